"""A disk that refuses to sync, or is full, under a real process with real clients.

Rule 1: the process that got the error stops, with a sentence and exit code 1, and tells nobody anything newer
        after it: what is on the disk is not known then.
Rule 2: the others go on; nothing that was answered is lost; and it comes back when the disk is sound again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bankrmi.errors import BankError
from bankrmi.robustness.power_loss.load import LEDGER, ClientLoad
from bankrmi.robustness.power_loss.operations import ToldEntry, ToldView
from bankrmi.robustness.power_loss.processes import WITNESS, BankProcesses
from bankrmi.robustness.power_loss.strace import SystemCall, calls, failing, fd_path, strings
from bankrmi.robustness.power_loss.told import Listener
from bankrmi.server.data_directory import DATABASE
from bankrmi.verifying.directories import verify
from bankrmi.verifying.stopped_directory import opened_unchanged

__all__ = ["CASES", "DiskFailure", "run", "told_after_failure"]

SYNCS = "fsync,fdatasync"
WRITES = "pwrite64"
_INJECTED = "(INJECTED)"
_BROKEN = re.compile(r"Traceback|cannot be broken was|bug in bankrmi")
_ANSWERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFailure:
    """Which calls of which process fail, with what error, and when."""

    victim: str
    """`primary`, `standby` or `nameserver` (the witness)."""
    calls: str
    error: str
    when: str

    def __str__(self) -> str:
        return f"{self.victim}: {self.calls} fails with {self.error}, call {self.when}"


CASES = (
    DiskFailure(victim="primary", calls=SYNCS, error="EIO", when="60"),
    DiskFailure(victim="standby", calls=SYNCS, error="EIO", when="60"),
    DiskFailure(victim=WITNESS, calls=SYNCS, error="EIO", when="26"),
    DiskFailure(victim="primary", calls=WRITES, error="ENOSPC", when="600+"),
    DiskFailure(victim="standby", calls=WRITES, error="ENOSPC", when="600+"),
    DiskFailure(victim="primary", calls=SYNCS, error="EIO", when="83+"),
    DiskFailure(victim=WITNESS, calls=WRITES, error="ENOSPC", when="70+"),
    DiskFailure(victim="primary", calls=WRITES, error="EIO", when="777"),
)
"""After the start of each: it takes about 25 syncs of a server, and 22 of the witness."""


def run(case: DiskFailure, *, seed: str, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Try one case; return what was wrong."""
    with (
        tempfile.TemporaryDirectory(prefix="bankrmi-failure-") as folder,
        BankProcesses(Path(folder), LEDGER) as processes,
    ):
        try:
            return _Trial(case, processes, seed).run(say)
        except BankError as error:
            logs = "\n".join(processes.log(name).read_text()[-1500:] for name in (WITNESS, "s1", "s2"))
            return [f"{case}: {error.message}\n{logs}"]


class _Trial:
    """One bank, one disk that fails."""

    def __init__(self, case: DiskFailure, processes: BankProcesses, seed: str) -> None:
        self._case = case
        self._processes = processes
        self._output = processes.folder / "strace-failing"
        self._victim = WITNESS if case.victim == WITNESS else "s1"
        self._load = ClientLoad(processes.configuration(), clients=3, seed=seed, batch=10)

    def run(self, say: Callable[[str], None]) -> list[str]:
        """Return what was wrong, in sentences."""
        processes, victim = self._processes, self._victim
        self._start()
        with self._load:
            self._load.wait_for(1)
            self._wait_for_failure()
            code = processes.wait_for_end(victim)
            say(f"{self._case}: {victim} ended with exit code {code}")
            # Without the witness the open change of view keeps all waiting.
            if victim != WITNESS and processes.leads_after_loss("s2"):
                self._load.wait_for(_ANSWERS)
            processes.start(victim)
            processes.wait_until_in_sync("s1", "s2")
            self._load.wait_for(_ANSWERS)
        wrong = self._judge_end(code)
        for name in ("s1", "s2", WITNESS):
            processes.kill(name)
        return [f"{self._case}: {each}" for each in (*wrong, *self._judge_disks())]

    def _start(self) -> None:
        case, processes = self._case, self._processes
        bad_disk = partial(failing, self._output, case.calls, case.error, case.when)
        for name in (WITNESS, "s1", "s2"):
            processes.start(name, bad_disk if name == self._victim else list, wait=name == WITNESS)
        for name in ("s1", "s2"):
            processes.wait_until_ready(name)
        processes.wait_until_in_sync("s1", "s2")
        leads = (processes.status("s1") or {}).get("role") == "primary"
        if case.victim != WITNESS and leads != (case.victim == "primary"):
            processes.switch_over("s1" if leads else "s2")
            processes.wait_for_primary("s2" if leads else "s1")

    def _wait_for_failure(self) -> None:
        """Servers write all the time; a witness has to be given something to write."""
        processes = self._processes

        def ended() -> bool:
            if self._victim == WITNESS and not processes.has_ended(WITNESS):
                self._ask_witness()
            return processes.has_ended(self._victim)

        processes.until(ended, f"{self._victim} ends when its disk fails")

    def _ask_witness(self) -> None:
        for name in ("s1", "s2"):
            if (self._processes.status(name) or {}).get("role") == "primary":
                try:
                    self._processes.switch_over(name, seconds=0.5)
                except BankError:
                    return

    # -- the verdict -----------------------------------------------------------------------------

    def _judge_end(self, code: int) -> Sequence[str]:
        log = self._processes.log(self._victim).read_text()
        wrong = []
        if code != 1:
            wrong.append(f"exit code {code}, and 1 was expected")
        if not re.search(r"error\s+.*(the disk refused|the database failed|the witness cannot use)", log):
            wrong.append("no sentence in the log says that the disk failed")
        broken = _BROKEN.search(log)
        if broken is not None:
            wrong.append(f"its log says {broken[0]!r}")
        return [*wrong, *told_after_failure(calls(self._output), witness=self._victim == WITNESS)]

    def _judge_disks(self) -> Sequence[str]:
        wrong = []
        for name in ("s1", "s2", WITNESS):
            folder = self._processes.machine(name) / "data" / ("witness" if name == WITNESS else name)
            for verdict in verify(folder):
                wrong += [f"{name}: {fault}" for fault in verdict.faults]
                if verdict.path.name == DATABASE:
                    wrong += _missing(verdict.path, self._load.told)
        return wrong


def told_after_failure(trace: list[SystemCall], *, witness: bool) -> list[str]:
    """Return what the process said after its disk had failed that it could not know."""
    listener, failed, known = Listener(witness=witness), False, 0
    for call in trace:
        failed = failed or _INJECTED in call.rest
        found = fd_path(call.arguments)
        if found is None or not found[1].startswith("socket:") or call.returned is None or call.returned < 0:
            continue
        for told in listener.hears(found[1], b"".join(strings(call.arguments))[: call.returned]):
            newest = told.action_id if isinstance(told, ToldEntry) else 0
            newest = told.epoch if isinstance(told, ToldView) else newest
            if failed and newest > known:
                return [f"after its disk had failed, it told of {told}"]
            known = max(known, newest)
    return [] if failed else ["the disk has not failed: nothing was tried"]


def _missing(path: Path, told: dict[str, int]) -> list[str]:
    """Return what clients were told and this database does not hold."""
    with opened_unchanged(path) as database:
        rows = database.execute(
            "SELECT session, sequence, max(action_id) FROM journal GROUP BY session, sequence"
        )
        held = {f"{session}:{sequence}": newest for session, sequence, newest in rows}
    return [
        f"{path.parent.name}: {request_id} was answered as {action_id}, and is at {held.get(request_id)}"
        for request_id, action_id in told.items()
        if held.get(request_id) != action_id
    ][:1]
