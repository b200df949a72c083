"""A recorded run of a bank: everything that writes to a disk happens at least once.

First start; steady load with batches, until the log is brought in (a checkpoint of SQLite's) and begins anew;
a switchover; a primary that stands still, is taken over and rolls back; kills and restarts of everybody; a
joiner with an empty disk, and one with another bank's database; a stop in good order.

Rule: what is recorded is a real bank under a real load; only the faults are placed by hand.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit
from bankrmi.errors import BrokenInvariant, OperationFailed
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import packed
from bankrmi.robustness.power_loss.disk import intervals
from bankrmi.robustness.power_loss.judge import FOREIGN_HISTORY
from bankrmi.robustness.power_loss.load import LEDGER, ClientLoad
from bankrmi.robustness.power_loss.operations import Operation
from bankrmi.robustness.power_loss.processes import WITNESS, BankProcesses
from bankrmi.robustness.power_loss.recording import DiskRecorder, cut_writes_done
from bankrmi.robustness.power_loss.states import State, build, draw
from bankrmi.robustness.power_loss.strace import calls, cut_off, recording
from bankrmi.server.data_directory import DATABASE
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal

__all__ = ["LONG", "SHORT", "DiskStory", "Length", "Story", "check_end", "end_of", "record"]


_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How much of everything; `turns` may be left out for a short run."""

    clients: int
    batch: int
    answers: int
    """Of each part."""
    first_answers: int
    """Of the first part: enough of them fill the log."""
    turns: bool


SHORT = Length(clients=3, batch=12, answers=15, first_answers=60, turns=False)
LONG = Length(clients=4, batch=8, answers=100, first_answers=1_200, turns=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskStory:
    """What happened to one disk from the beginning to the end; `name` is its process's."""

    name: str
    operations: list[Operation]
    foreign: bool = False
    """Whether it began with another bank's database."""
    begins_after: int = 0
    """How many syncs belong to what lay there when the recording began."""

    @property
    def is_witness(self) -> bool:
        """Whether it is the witness's."""
        return self.name == WITNESS


@dataclass(slots=True, kw_only=True)
class Story:
    """All disks; `told` is what clients know: request id and action id."""

    folder: Path
    disks: list[DiskStory] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)


class _Telling:
    """Starts, kills and records processes, one story at a time."""

    def __init__(self, processes: BankProcesses, story: Story, say: Callable[[str], None]) -> None:
        self.processes = processes
        self.story = story
        self.say = say
        self._lives: dict[str, list[Path]] = {}
        self._recorders: dict[str, DiskRecorder] = {}
        self._cut_done: dict[Path, frozenset[float]] = {}
        self._foreign: set[str] = set()

    def start(self, *names: str, wait: bool = True) -> None:
        """Start these under strace, side by side."""
        for name in names:
            lives = self._lives.setdefault(name, [])
            output = self.processes.folder / f"strace-{name}-{len(lives)}"
            lives.append(output)
            self.processes.start(name, partial(recording, output), wait=False)
        if wait:
            for name in names:
                self.processes.wait_until_ready(name)

    def restart(self, name: str) -> None:
        """`kill -9`, and start again."""
        self.say(f"{name} is killed, and starts again")
        self.kill(name)
        self.start(name)

    def kill(self, name: str) -> None:
        """`kill -9`; find out at once what became of the write that was under way, if any."""
        self.processes.kill(name)
        output = self._lives[name][-1]
        self._cut_done[output] = cut_writes_done(cut_off(output))

    def new_disk(self, name: str) -> None:
        """Give a process that does not run another, empty disk; what the old one went through is kept."""
        self._end(name)
        shutil.rmtree(self.processes.machine(name) / "data")

    def foreign_disk(self, name: str) -> None:
        """The same, but the disk holds the database of another bank."""
        self.new_disk(name)
        folder = self.processes.machine(name) / "data" / name
        folder.mkdir(parents=True)
        _make_foreign(folder / DATABASE)
        self._foreign.add(name)
        self._recorder(name).lies_there(f"data/{name}/{DATABASE}", (folder / DATABASE).read_bytes())

    def _recorder(self, name: str) -> DiskRecorder:
        if name not in self._recorders:
            self._recorders[name] = DiskRecorder(self.processes.machine(name), witness=name == WITNESS)
        return self._recorders[name]

    def _end(self, name: str) -> None:
        recorder = self._recorder(name)
        for output in self._lives.pop(name, []):
            recorder.take_process(calls(output), self._cut_done.get(output, frozenset()))
            for file in output.parent.glob(f"{output.name}.*"):
                file.unlink()
        del self._recorders[name]
        check_end(recorder.operations, self.processes.machine(name))
        self.story.disks.append(
            DiskStory(
                name=name,
                operations=recorder.operations,
                foreign=name in self._foreign,
                begins_after=recorder.lay_there,
            )
        )
        self._foreign.discard(name)

    def end(self) -> None:
        """Read what was recorded of those that have ended last."""
        for name in list(self._lives):
            self.say(f"what {name} did is read")
            self._end(name)


def check_end(operations: list[Operation], machine: Path) -> None:
    """If everything survives, the model's disk is the real one; else something was not seen."""
    modelled = {path: content for path, content in end_of(operations).files.items() if _counts(path)}
    real = {
        str(file.relative_to(machine)): file.read_bytes()
        for file in machine.rglob("*")
        if file.is_file() and _counts(file.name)
    }
    differing = sorted(path for path in {*modelled, *real} if modelled.get(path) != real.get(path))
    if differing:
        raise BrokenInvariant(f"the recording does not lead to what is on the disk: {', '.join(differing)}")


def _counts(path: str) -> bool:
    return not path.endswith("-shm")


def end_of(operations: list[Operation]) -> State:
    """Return the disk at the end of a recording, with everything on it."""
    for interval in intervals(operations):
        last = interval
    return build(last, draw(last, "everything", ""))


def record(folder: Path, length: Length, *, seed: str, say: Callable[[str], None] = lambda _: None) -> Story:
    """Run a bank in this folder and return what its disks went through; takes many seconds."""
    story = Story(folder=folder)
    with BankProcesses(folder, LEDGER) as processes:
        telling = _Telling(processes, story, say)
        say("a bank starts for the first time")
        telling.start(WITNESS)
        telling.start("s1", "s2")
        processes.wait_until_in_sync("s1", "s2")
        load = ClientLoad(processes.configuration(), clients=length.clients, seed=seed, batch=length.batch)
        with load:
            _live(telling, load, length)
        story.told = load.told
        say("everybody stops in good order")
        processes.wait_until_in_sync("s1", "s2")
        for name in ("s2", "s1", WITNESS):
            processes.terminate(name)
        telling.end()
    return story


def _live(telling: _Telling, load: ClientLoad, length: Length) -> None:
    load.wait_for(length.first_answers)
    parts = [_roll_back, _foreign_disk]
    if length.turns:
        parts = [
            _roll_back,
            _stand_still,
            _restart_standby,
            _switch_over,
            _restart_primary,
            _empty_disk,
            _foreign_disk,
        ]
    for part in parts:
        part(telling, load)
        telling.processes.wait_until_in_sync("s1", "s2")
        load.wait_for(length.answers)


def _leader(processes: BankProcesses) -> tuple[str, str]:
    """Wait until a server leads; return it, and the other one."""

    def leads() -> tuple[str, str] | None:
        for one, other in (("s1", "s2"), ("s2", "s1")):
            if (processes.status(one) or {}).get("role") == "primary":
                return one, other
        return None

    found = processes.until(leads, "a server leads")
    assert found is not None
    return found


def _stand_still(telling: _Telling, _: ClientLoad) -> None:
    """The primary stands still with requests before it; the other one leads; the first one comes back."""
    processes = telling.processes
    primary, standby = _leader(processes)
    telling.say(f"{primary} stands still, and is taken over")
    processes.pause(primary)
    processes.wait_for_primary(standby)
    processes.resume(primary)


def _roll_back(telling: _Telling, load: ClientLoad) -> None:
    """Again, until it came about: on a slow machine the primary may go on alone before it is stopped."""
    for _ in range(_TRIES):
        primary = _decide_alone(telling, load)
        telling.processes.wait_until_in_sync("s1", "s2")
        if " rolled back " in telling.processes.log(primary).read_text():
            return
    raise OperationFailed(f"in {_TRIES} tries nothing had to be rolled back")


def _decide_alone(telling: _Telling, load: ClientLoad) -> str:
    """The primary decides what the standby never gets; it comes back when the standby leads."""
    processes = telling.processes
    primary, standby = _leader(processes)
    telling.say(f"{primary} decides alone, is taken over, and rolls back")
    with load.at_rest():  # Else it may hold what nobody knows of yet.
        processes.pause(standby)

    def is_ahead_or_alone() -> bool:
        """Alone: we were slow, and it has gone on without the other one."""
        status = processes.status(primary) or {}
        return status.get("lag", 0) > 0 or standby not in status.get("in_sync", [standby])

    processes.until(is_ahead_or_alone, f"{primary} is ahead")
    processes.pause(primary)
    telling.kill(standby)
    telling.start(standby, wait=False)

    processes.leads_after_loss(standby)
    processes.resume(primary)
    return primary


def _restart_standby(telling: _Telling, _: ClientLoad) -> None:
    telling.restart(_leader(telling.processes)[1])


def _restart_primary(telling: _Telling, _: ClientLoad) -> None:
    telling.restart(_leader(telling.processes)[0])


def _switch_over(telling: _Telling, _: ClientLoad) -> None:
    primary, standby = _leader(telling.processes)
    telling.say(f"{primary} hands over, and the witness starts again")
    telling.processes.switch_over(primary)
    telling.processes.wait_for_primary(standby)
    telling.restart(WITNESS)


def _empty_disk(telling: _Telling, _: ClientLoad) -> None:
    standby = _leader(telling.processes)[1]
    telling.say(f"{standby} has lost its disk, and joins")
    telling.kill(standby)
    telling.new_disk(standby)
    telling.start(standby)


def _foreign_disk(telling: _Telling, _: ClientLoad) -> None:
    standby = _leader(telling.processes)[1]
    telling.say(f"{standby} has another bank's disk, and joins")
    telling.kill(standby)
    telling.foreign_disk(standby)
    telling.start(standby)


def _make_foreign(path: Path) -> None:
    journal = SqliteJournal(
        open_database(path), Accounts({1: 100, 2: 200}), new_incarnation=lambda: "another-disk"
    )
    journal.open(Adopted(history=FOREIGN_HISTORY, epoch=1, primary="s1", start_id="another"))
    journal.decide(1, ("another", 1), 50, packed([form_of(Deposit(1, 5))] * 50), 1)
    journal.commit()
    journal.close()
