"""One run of chaos: the bank comes up, clients work, the nemesis rages; all is healed, and comes to rest.

Rule 1: a run ends early if somebody says so, or if a process ends by itself; it is healed all the same.
Rule 2: after healing, all copies have to be in sync and every client answered, within a deadline: liveness.
Rule 3: clients stop first, then the servers, once all copies hold the same and everything is acknowledged.
Rule 4: whatever happens, no process is left when this returns.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bankrmi.config import Configuration
from bankrmi.console.events import UsageEvent
from bankrmi.console.local_usage import LocalUsage
from bankrmi.errors import OperationFailed
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.clients import Clients
from bankrmi.robustness.chaos.fault_log import FaultLog
from bankrmi.robustness.chaos.ordered_clients import ClientProgress
from bankrmi.robustness.chaos.processes import ChaosProcesses

__all__ = ["BankUnderTest", "Course", "Finished", "Raging", "run_course"]

_HEALED_S = 150.0
_ANSWERED_S = 60.0
_AT_REST_S = 60.0
_NO_TIME_S = 5.0
_ENDED_S = 20.0
_POLL_S = 0.1
_LINE_S = 0.5
_USAGE_LOOKS = 7_200
"""One a second, for two hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a run went, before anybody has looked at what is on the disks."""

    started_ns: int
    ended_ns: int
    violations: tuple[str, ...]
    interrupted: bool
    evidence: tuple[str, ...]
    """The servers whose disks tell what was acknowledged: all, if all was at rest; else who led, if known."""
    views: tuple[View, ...] = ()
    """How the view changed, as its keeper has it on record; none if it did not tell."""
    usage: tuple[UsageEvent, ...] = ()


class BankUnderTest(Protocol):
    """The bank of a run, of whatever kind; its questions take their time, and are asked in a thread."""

    directory: Path
    configuration: Configuration
    processes: ChaosProcesses
    servers: tuple[str, ...]
    keepers: tuple[str, ...]
    """What servers need: started before them, in this order."""
    up_s: float
    """What it takes at most until all are there for the first time."""

    def start(self, process: str) -> None:
        """Start a process, if it does not run."""

    def stop(self, process: str) -> None:
        """Have it end in good order."""

    def in_order_of_stopping(self) -> tuple[str, ...]:
        """Return whom to stop at the end, one after the other."""

    def may_serve(self) -> bool:
        """Whether what servers need is ready for the first of them."""

    def is_whole(self) -> bool:
        """Whether all copies are in sync."""

    def in_words(self) -> str:
        """Return how it is, for a sentence."""

    def at_rest(self) -> tuple[str, ...]:
        """Return whose disks tell what was acknowledged; none while anything is still on its way."""

    def best_evidence(self) -> tuple[str, ...]:
        """Return the same if it does not come to rest."""

    def views(self) -> tuple[View, ...]:
        """Return how the view changed; none where there is none, or nobody tells."""


class Raging(Protocol):
    """Who breaks the bank."""

    async def rage(self) -> None:
        """Go on until cancelled; everything is taken back then."""

    def start(self, name: str) -> None:
        """Start a process of the run, if it does not run, and belongs to it."""

    async def settle(self) -> None:
        """After the rage: undo what is no fault, and has to be undone."""


class Course:
    """One run, from the start to the end of its processes."""

    def __init__(
        self,
        bank: BankUnderTest,
        clients: Clients,
        faults: FaultLog,
        nemesis: Raging,
        *,
        show: Callable[[str], None],
    ) -> None:
        self._bank = bank
        self._clients = clients
        self._faults = faults
        self._nemesis = nemesis
        self._show = show
        self._violations: list[str] = []
        self._stop = asyncio.Event()
        self._interrupted = False
        self._phase = "starting"
        self._ends_at = 0.0
        self._views: tuple[View, ...] = ()
        self._usage: list[UsageEvent] = []
        self._used = LocalUsage(self._pid)

    async def run(self, seconds: float) -> Finished:
        """Run for `seconds`; then heal, and have all come to rest."""
        self._catch_signals()
        watching = asyncio.create_task(self._watch())
        try:
            started_ns = time.monotonic_ns()
            await self._come_up()
            await self._rage(seconds)
            await self._heal()
            evidence = await self._come_to_rest()
            ended_ns = time.monotonic_ns()
        finally:
            watching.cancel()
            self._bank.processes.kill_all()
            self._show("")
        self._note_ends()
        return Finished(
            started_ns=started_ns,
            ended_ns=ended_ns,
            violations=tuple(self._violations),
            interrupted=self._interrupted,
            evidence=evidence,
            views=self._views,
            usage=tuple(self._usage),
        )

    def _catch_signals(self) -> None:
        """The first one ends the run early, the next one at once."""
        loop, whole = asyncio.get_running_loop(), asyncio.current_task()
        assert whole is not None

        def interrupted() -> None:
            if self._interrupted:
                whole.cancel()
            self._interrupted = True
            self._stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, interrupted)

    # -- the phases ------------------------------------------------------------------------------

    async def _come_up(self) -> None:
        for keeper in self._bank.keepers:
            self._bank.start(keeper)
        may_serve = await self._until_it_says(self._bank.may_serve, self._bank.up_s)
        for server in self._bank.servers if may_serve else ():
            self._bank.start(server)
        if not may_serve or not await self._until_whole(self._bank.up_s):
            up_s, logs = self._bank.up_s, self._bank.directory / "log"
            raise OperationFailed(f"the bank did not come up in {up_s:g} s; the logs in {logs} say why")
        for client in self._clients.names:
            self._clients.start(client)

    async def _rage(self, seconds: float) -> None:
        self._phase, self._ends_at = "", time.monotonic() + seconds
        raging = asyncio.create_task(self._nemesis.rage())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({raging, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        raging.cancel()
        with suppress(asyncio.CancelledError):
            await raging

    async def _heal(self) -> None:
        self._phase = "healing"
        for process in (*self._bank.keepers, *self._bank.servers, *self._clients.names):
            self._nemesis.start(process)
        with suppress(TimeoutError):  # Then not all copies are in sync, and that is said below.
            await asyncio.wait_for(self._nemesis.settle(), _HEALED_S / 2)
        if not await self._until_whole(_HEALED_S):
            last = await asyncio.to_thread(self._bank.in_words)
            self._violations.append(
                f"liveness: {_HEALED_S:g} s after everything was healed not all copies were in sync ({last})"
            )
            return
        before = self._clients.progress()
        if not await self._until(lambda: self._all_went_on(before), _ANSWERED_S):
            self._violations.append(
                f"liveness: {_ANSWERED_S:g} s after all copies were in sync not every client had its answers"
            )

    def _all_went_on(self, before: dict[str, ClientProgress]) -> bool:
        now = self._clients.progress()
        return all(
            name in now and now[name].operations > (before[name].operations if name in before else 0)
            for name in self._clients.names
        )

    async def _come_to_rest(self) -> tuple[str, ...]:
        """Stop the clients, then the servers; return whose disks are evidence."""
        self._phase = "coming to rest"
        self._clients.ask_to_end()
        patience_s = self._bank.configuration.client.timeout_ms / 1000 + _ENDED_S
        if not await self._until_gone(self._clients.names, patience_s):
            self._violations.append(
                f"a call of a client did not end in {patience_s:g} s, its deadline long over"
            )
        evidence = await self._until_at_rest()
        self._views = await asyncio.to_thread(self._bank.views)
        for process in self._bank.in_order_of_stopping():
            self._bank.stop(process)
            if not await self._until_gone([process], _ENDED_S):
                self._violations.append(f"{process} did not end in {_ENDED_S:g} s though it was asked to")
        return evidence

    async def _until_at_rest(self) -> tuple[str, ...]:
        deadline = time.monotonic() + (_NO_TIME_S if self._violations else _AT_REST_S)
        while time.monotonic() < deadline:
            if evidence := await asyncio.to_thread(self._bank.at_rest):
                return evidence
            await asyncio.sleep(_POLL_S)
        self._violations.append("liveness: the copies did not come to hold the same when clients had stopped")
        return await asyncio.to_thread(self._bank.best_evidence)

    # -- waiting and watching ----------------------------------------------------------------------

    async def _until_whole(self, seconds: float) -> bool:
        return await self._until_it_says(self._bank.is_whole, seconds)

    async def _until_it_says(self, question: Callable[[], bool], seconds: float) -> bool:
        """Wait for a yes to what takes its time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await asyncio.to_thread(question):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def _until_gone(self, names: Sequence[str], seconds: float) -> bool:
        return await self._until(lambda: not any(map(self._bank.processes.is_alive, names)), seconds)

    async def _watch(self) -> None:
        """Show how far the run is; notice whoever ended by himself."""
        while True:
            for name in self._bank.processes.names():
                self._bank.processes.is_alive(name)
            if self._bank.processes.ended_by_themselves:
                self._stop.set()
            self._look_at_usage()
            self._show(self._line())
            await asyncio.sleep(_LINE_S)

    def _look_at_usage(self) -> None:
        if len(self._usage) < _USAGE_LOOKS:
            used = self._used.look(self._bank.processes.names())
            if used is not None:
                self._usage.append(UsageEvent(t=time.time_ns() // 1_000_000, **used))

    def _pid(self, name: str) -> int | None:
        processes = self._bank.processes
        return processes.pid(name) if processes.is_alive(name) else None

    def _line(self) -> str:
        left_s = max(0, round(self._ends_at - time.monotonic()))
        phase = self._phase or f"{left_s // 60}:{left_s % 60:02} left"
        done = self._clients.whole_progress()
        return f"{phase}, {done.operations} operations, {done.unknown} in doubt, {self._faults.count} faults"

    def _note_ends(self) -> None:
        for ended in self._bank.processes.ended_by_themselves:
            how = f"exit code {ended.exit_code}" if ended.exit_code >= 0 else f"signal {-ended.exit_code}"
            log = self._bank.processes.log(ended.name)
            self._violations.append(f"{ended.name} ended by itself, with {how}; {log} says why")


def run_course(course: Course, seconds: float) -> Finished:
    """Run in an event loop of its own, in this thread, to which all processes are tied.

    Raises KeyboardInterrupt if somebody would not wait for the end.
    """
    try:
        return asyncio.run(course.run(seconds))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
