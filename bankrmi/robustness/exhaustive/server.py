"""One server as a function: what it is and what happens to it in, what it becomes and what it does out.

Rule 1: the function is production's `Carrier` around `Replica.step`, on production's journal.
Rule 2: it is called once for each pair of a server's state and an event, however many states of the whole
        bank share that pair. That is what makes the search fast: the bank is a combination of few parts.
Rule 3: a crash may come between any two effects; a `Commit` that was not carried out never happened.
Assumption: all that the rules remember hangs on the `Replica` and its journal. What is kept elsewhere (a
            planted bug's own notes, a class variable) would be mixed up among the states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.events import (
    AnswerArrived,
    CoordinatorSilent,
    Event,
    LinkChanged,
    MessageArrived,
    Probed,
    Proceed,
    Proposed,
    ReadArrived,
    RequestArrived,
    SwitchoverAsked,
    Tick,
    ViewRead,
)
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.robustness.exhaustive.disks import Content, Disks
from bankrmi.robustness.exhaustive.forgetting import comes_too_late, forget, renumber, surplus
from bankrmi.robustness.exhaustive.kept import InternTable
from bankrmi.robustness.exhaustive.memory import NOW_MS, MemoryCodec
from bankrmi.robustness.exhaustive.scribe import PEER, Deed, deeds_of

__all__ = ["NAMES", "Happening", "Server", "Servers", "StepOutcome", "start_id"]

NAMES = ("s1", "s2")

Happening = tuple[Any, ...]
"""What happens to a server: a word, and what it is about as plain values and numbers of kept things."""

_A_MOMENT_LATER_MS = 0.001
"""Between two events time passes, though nothing falls due: what came later has a later time."""


class Server(NamedTuple):
    """All that one server is: its process (None: dead), its disk, and what it has on its mind.

    `probes` holds (epoch, when begun, as an age) of every look at the other server's address that is under
    way; `due`: time has passed, and it has not ticked yet.
    """

    place: int
    boot: int
    disk: int
    memory: tuple[Any, ...] | None
    probes: tuple[tuple[int, float], ...] = ()
    due: bool = False


class StepOutcome(NamedTuple):
    """What comes of an event: the server after it, what it does, and how far it may get before a crash."""

    server: int
    deeds: tuple[Deed, ...]
    crashes: tuple[tuple[int, tuple[Deed, ...]], ...] = ()
    broken: str = ""


class Glance(NamedTuple):
    """What the rest of the bank has to know of a server."""

    alive: bool
    place: int
    boot: int
    disk: int
    due: bool
    has_work: bool
    leads: int  # The view, as a kept number; -1: none.
    sound: bool  # If it leads, the view names this very process.
    surplus: int  # What can be counted anew.
    idle_crash: int | None


def start_id(place: int, boot: int) -> str:
    """Return the id of a process."""
    return f"{NAMES[place]}#{boot}"


class Servers:
    """Every state of a server that has occurred, and what comes of every event in it, as far as known."""

    def __init__(self, settings: dict[str, Any], landmarks_ms: tuple[float, ...], client: Any) -> None:
        self.kept = InternTable()
        self.disks = Disks()
        self.steps = 0
        """How often production's `step` was called."""
        self._settings = [Settings(server=name, servers=NAMES, **settings) for name in NAMES]
        self._memory = MemoryCodec(self.kept, landmarks_ms)
        self._client = client  # Turns the number of a request into the event that it is.
        self._servers: list[Server] = []
        self._number_of: dict[Server, int] = {}
        self._known: list[dict[Happening, StepOutcome]] = []
        self._calm: list[dict[int, int]] = []
        self._in_time: list[dict[tuple[int, ...], tuple[int, ...]]] = []
        self.glances: list[Glance] = []

    def __len__(self) -> int:
        return len(self._servers)

    def __getitem__(self, number: int) -> Server:
        return self._servers[number]

    # -- states ----------------------------------------------------------------------------------

    def number(self, server: Server, replica: Replica | None = None) -> int:
        """Return the number of a server's state."""
        number = self._number_of.get(server)
        if number is None:
            glance = self._glance(server, replica)  # Makes room for the dead server first.
            number = self._number_of[server] = len(self._servers)
            self._servers.append(server)
            self._known.append({})
            self._calm.append({})
            self._in_time.append({})
            self.glances.append(glance)
        return number

    def _glance(self, server: Server, replica: Replica | None) -> Glance:
        alive = server.memory is not None
        dead = None
        if alive:
            dead = self.number(Server(server.place, server.boot, server.disk, None))
        primary = replica.primary if replica is not None else None
        return Glance(
            alive=alive,
            place=server.place,
            boot=server.boot,
            disk=server.disk,
            due=server.due,
            has_work=replica is not None and replica.has_work,
            leads=self.kept.number(primary.view) if primary is not None else -1,
            sound=primary is None or primary.view.start_id == start_id(server.place, server.boot),
            surplus=surplus(replica) if replica is not None else 0,
            idle_crash=dead,
        )

    def dead(self, place: int, content: Content) -> int:
        """Return a server that has never run, on such a disk."""
        return self.number(Server(place, 0, self.disks.number(content), None))

    def start(self, number: int) -> int:
        """Start a process on the disk of a dead server."""
        server = self._servers[number]
        boot = server.boot + 1
        replica = Replica(
            self._settings[server.place],
            self.disks.journal(server.disk),
            start_id=start_id(server.place, boot),
            now_ms=NOW_MS,
        )
        memory = self._memory.value_of(replica, NOW_MS)
        return self.number(Server(server.place, boot, server.disk, memory), replica)

    def wait(self, number: int, ms: float) -> int:
        """Let time pass at a server; it has not noticed yet."""
        server = self._servers[number]
        if server.memory is None:
            return number
        return self._after(server, self._woken(server), server.disk, NOW_MS + ms, due=True)

    def calm(self, number: int, quiet: int) -> int:
        """Return the same server, counting anew what none of is on its way (`quiet`; see `forgetting`)."""
        counted = quiet & self.glances[number].surplus
        if not counted:
            return number
        calm = self._calm[number].get(counted)
        if calm is None:
            server = self._servers[number]
            replica = self._woken(server)
            renumber(replica, counted)
            calm = self._after(server, replica, server.disk, NOW_MS, due=server.due)
            self._calm[number][counted] = calm
        return calm

    def in_time(self, number: int, messages: tuple[int, ...]) -> tuple[int, ...]:
        """Return those of the messages that are still worth arriving; none of them will be answered."""
        known = self._in_time[number].get(messages)
        if known is None:
            server = self._servers[number]
            known = ()
            if server.memory is not None:
                replica = self._woken(server)
                known = tuple(one for one in messages if not comes_too_late(replica, self.kept[one]))
            self._in_time[number][messages] = known
        return known

    # -- steps -----------------------------------------------------------------------------------

    def step(self, number: int, happening: Happening) -> StepOutcome:
        """Let something happen to a server."""
        known = self._known[number]
        outcome = known.get(happening)
        if outcome is None:
            outcome = known[happening] = self._stepped(self._servers[number], happening)
        return outcome

    def _woken(self, server: Server) -> Replica:
        assert server.memory is not None
        replica = self._memory.replica_of(server.memory)
        replica.settings = replica._server_set._told = self._settings[server.place]
        replica.journal = self.disks.journal(server.disk)
        return replica

    def _stepped(self, server: Server, happening: Happening) -> StepOutcome:
        self.steps += 1
        now_ms = NOW_MS + _A_MOMENT_LATER_MS
        probes, due = list(server.probes), server.due
        if happening[0] == "tick":
            now_ms, due = NOW_MS + happening[1], False
        replica = self._woken(server)
        event = self._event(server, happening, probes)
        try:
            deeds = deeds_of(replica, event, now_ms, self.kept)
        except (BrokenInvariant, apsw.Error, AssertionError) as broken:
            self.disks.journal(server.disk).discard()
            return StepOutcome(-1, (), broken=f"{type(broken).__name__} at {NAMES[server.place]}: {broken}")
        after = self.disks.after_step(server.disk)
        commits = deeds.count(None)
        if commits > 1 or (after != server.disk and not commits):
            return StepOutcome(-1, (), broken=f"{NAMES[server.place]} wrote, and {commits} commits follow")
        begun = [(deed[2], now_ms) for deed in deeds if deed and deed[0] == "probe"]
        ages = [(epoch, NOW_MS - age) for epoch, age in probes] + begun
        state = self._after(server, replica, after, now_ms, probes=ages, due=due)
        return StepOutcome(
            state,
            tuple(deed for deed in deeds if deed),
            self._crashes(server, after, deeds),
            self.disks.broken.get(after, ""),
        )

    def _after(
        self,
        server: Server,
        replica: Replica,
        disk: int,
        now_ms: float,
        *,
        probes: list[tuple[int, float]] | None = None,
        due: bool = False,
    ) -> int:
        if probes is None:
            probes = [(epoch, NOW_MS - age) for epoch, age in server.probes]
        other = NAMES[1 - server.place]
        ages = tuple((epoch, self._probe_age(replica, other, begun_ms)) for epoch, begun_ms in probes)
        replica.journal = self.disks.journal(disk)
        forget(replica)
        memory = self._memory.value_of(replica, now_ms)
        return self.number(Server(server.place, server.boot, disk, memory, ages, due), replica)

    def _probe_age(self, replica: Replica, other: str, begun_ms: float) -> float:
        """A probe's beginning matters only against the newest lease granted to that server (R3)."""
        granted = [grant for holder, grant in replica.grants._granted.items() if holder[0] == other]
        return NOW_MS if any(grant.at_ms > begun_ms for grant in granted) else 0.0

    def _crashes(
        self, server: Server, after: int, deeds: list[Deed | None]
    ) -> tuple[tuple[int, tuple[Deed, ...]], ...]:
        """Return how far the effects may get: after at least one, and before the last one."""
        crashes: dict[tuple[int, tuple[Deed, ...]], None] = {}
        disk, done = server.disk, []
        for deed in deeds[:-1]:
            if deed is None:
                disk = after
            else:
                done.append(deed)
            dead = self.number(Server(server.place, server.boot, disk, None))
            crashes[dead, tuple(done)] = None
        return tuple(crashes)

    # -- words for what happens ------------------------------------------------------------------

    def _event(self, server: Server, happening: Happening, probes: list[tuple[int, float]]) -> Event:
        kept, other = self.kept, 1 - server.place
        match happening:
            case ("message", number):
                return MessageArrived(PEER, kept[number])
            case ("answer", number):
                return AnswerArrived(kept[number], NAMES[other])
            case ("ask", request):
                event: RequestArrived | ReadArrived = self._client(request)
                return event
            case ("proceed",):
                return Proceed(0)
            case ("tick", _):
                return Tick()
            case ("link up", boot):
                return LinkChanged(
                    server=NAMES[other], up=True, start_id=start_id(other, boot), begun_ms=NOW_MS
                )
            case ("link down",):
                return LinkChanged(server=NAMES[other], up=False)
            case ("probed", index, found):
                epoch, age = probes.pop(index)
                return Probed(
                    server=NAMES[other],
                    begun_ms=NOW_MS - age,
                    epoch=epoch,
                    refused=found == "refused",
                    start_id=start_id(other, found) if isinstance(found, int) else None,
                )
            case ("view", number, since_epoch):
                return ViewRead(kept[number], since_epoch)
            case ("proposed", number):
                return Proposed(kept[number])
            case ("silence", proposal):
                return CoordinatorSilent(proposal=proposal)
            case ("switch over",):
                return SwitchoverAsked(None, None)
        raise ValueError(f"nobody knows what {happening!r} is")
