"""Child processes kept alive: started, watched, started again, stopped in order.

Rule 1: a child that dies is reported, with its pid and how it ended, before anything else is done about it.
Rule 2: it is started again after a growing pause; but not after a configuration error, nor when it was never
        ready and has failed `FIRST_TRIES` times: it would only end the same. Unless it says that it awaits
        something that comes by itself, as an address does when the network comes up.
Rule 3: whoever is held down is not started again until it is let go by the last who holds it.
Rule 4: who only looks on stops first, for it may have something to undo. Of the others, the first group
        stops before the second. So the witness is gone when the servers stop, and what they leave behind is
        the view as it was (rule V10). Only where the first is what the others rest on, as a database is, the
        last group stops first.
Rule 5: what goes wrong with one child is that child's: it is told, and tried again, and the others live on.
Rule 6: nothing is left behind. Children have sessions of their own, so that a Ctrl-C on the terminal reaches
        only us; and the kernel ends them when our thread ends, however that comes about (`parent_death`).
Assumption: the thread that starts children lives as long as they do; hence it also waits for their end.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.readiness import AWAITS
from bankrmi.signals import putting_off
from bankrmi.storage.database import make_directory, private_opener

__all__ = ["Child", "Supervisor", "how_it_ended", "next_pause_s"]

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
GOOD_LIFE_S = 10.0
"""A child that lived this long died of something new."""

FIRST_TRIES = 3
"""What is in the way of a first start may go away by itself, as a port that was just left does."""

LAST_LINE_S = 1.0
"""How long to read what a child said before it ended: somebody else may hold its end of the pipe."""

_SIGNATURE = re.compile(r"^\S+Z \w+ +\S+\[\d+\] ")
"""Of a line of a log (`logging_setup`): when, how bad, who. All of that is said beside it."""

STOP_S = 3.0
"""What a child gets to stop by itself."""

UNDOING_S = 10.0
"""What one that looks on gets to undo what it has done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What to run: `{parent_pid}` and `{ready_fd}` are filled into the command."""

    name: str
    title: str
    command: tuple[str, ...]
    stop_signal: signal.Signals
    log: Path | None
    """Where its output goes; None: to our standard error."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What it has in its environment beside ours."""
    looks_on: bool = False
    """Whether it does none of the work: then it stops before the others, and may take longer."""
    stop_s: float = STOP_S
    """What it gets to stop by itself."""


def next_pause_s(pause_s: float, lived_s: float) -> float:
    """Return how long to wait after a life of `lived_s` that began after `pause_s` (0 at first)."""
    if pause_s == 0 or lived_s >= GOOD_LIFE_S:
        return FIRST_PAUSE_S
    return min(2 * pause_s, LONGEST_PAUSE_S)


def how_it_ended(returncode: int) -> str:
    """Return it as the end of a sentence."""
    if returncode < 0:
        named = -returncode in set(signal.Signals)  # Real-time signals have no names.
        return f"was killed by {signal.Signals(-returncode).name if named else f'signal {-returncode}'}"
    if returncode == ExitCode.USAGE:
        return "cannot run as configured"
    return "ended" if returncode == 0 else f"ended with exit code {returncode}"


class _Kept:
    """One child, and its process of the moment."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: asyncio.subprocess.Process | None = None
        self.was_ready = False
        self.failures = 0
        self.awaits: str | None = None
        """For what it waits that may pass by itself, as it said before it ended."""
        self.given_up_with: int | None = None
        self.settled = asyncio.Event()
        """It was ready once, or is given up."""
        self.held_down = 0
        """How many want it not to be started again."""
        self.let_go = asyncio.Event()
        """The last of them has changed his mind."""

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """A thread that keeps groups of children; the second group is started when the first has settled."""

    def __init__(
        self,
        groups: Sequence[Sequence[Child]],
        *,
        restart: bool,
        report: Callable[[str], None],
        last_stops_first: bool = False,
        on_start: Callable[[Child, int], None] = lambda *_: None,
        on_end: Callable[[Child], None] = lambda _: None,
    ) -> None:
        """`on_start` is told of each new process with its pid, `on_end` when it has ended."""
        self._groups = groups
        self._restart = restart
        self._last_stops_first = last_stops_first
        self._report = report
        self._on_start = on_start
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._kept: list[list[_Kept]] = []
        self._settled = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_settled(self, timeout_s: float) -> bool:
        """Return whether every child was ready once, or is given up.

        Where one has failed meanwhile it waits as long again: after a few tries it is ready, or given up.
        """
        failures = 0
        while not (settled := self._settled.wait(timeout_s)):
            new = [kept for kept in self._all() if not kept.was_ready]
            known, failures = failures, sum(min(kept.failures, FIRST_TRIES) for kept in new)
            if failures <= known:
                break
        return settled

    def wait_until_over(self) -> None:
        """Return when no child is left and none will be started."""
        self._over.wait()

    def never_started(self) -> list[int]:
        """Return the exit codes of the children that were given up before they were ever ready."""
        return [kept.given_up_with for kept in self._all() if kept.given_up_with and not kept.was_ready]

    def stop(self) -> None:
        """Stop all children, in order; return when they are gone."""
        self._tell(self._stopping.set)
        self._thread.join()

    def kill(self) -> None:
        """End all children at once. May be called from a signal handler, while `stop` waits."""
        self._tell(self._kill_all)

    def hold_down(self, name: str) -> None:
        """From now on this child is not started again when it ends. May be called from any thread."""
        self._tell(lambda: self._held_down(name, 1))

    def let_go(self, name: str) -> None:
        """Take back one `hold_down`: after the last it is started again, if it does not run."""
        self._tell(lambda: self._held_down(name, -1))

    def _held_down(self, name: str, more: int) -> None:
        for kept in self._all():
            if kept.child.name == name:
                kept.held_down += more
                if not kept.held_down:
                    kept.let_go.set()

    def pass_on(self, number: signal.Signals) -> None:
        """Send every child this signal. May be called from a signal handler."""
        self._tell(lambda: self._signal_all(number))

    def _signal_all(self, number: signal.Signals) -> None:
        for kept in self._all():
            kept.signal(number)

    def _tell(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: nothing is left to be told.
            self._loop.call_soon_threadsafe(what)

    def _kill_all(self) -> None:
        self._stopping.set()
        self._signal_all(signal.SIGKILL)

    def _all(self) -> list[_Kept]:
        return [kept for group in self._kept for kept in group]

    def _run(self) -> None:
        try:
            with putting_off():  # Children begin so: it would end one that has not said yet what it does.
                self._loop.run_until_complete(self._supervise())
        finally:
            self._loop.close()
            self._settled.set()
            self._over.set()

    async def _supervise(self) -> None:
        keeping: list[asyncio.Task[None]] = []
        for group in self._groups:
            kept_group = [_Kept(child) for child in group]
            self._kept.append(kept_group)
            keeping += [asyncio.create_task(self._keep(kept)) for kept in kept_group]
            await self._unless_stopped(kept.settled.wait() for kept in kept_group)
            if self.never_started():  # Those to come would only look in vain for these.
                break
        self._settled.set()
        await self._unless_stopped(asyncio.shield(task) for task in keeping)
        if self._stopping.is_set():
            await self._stop_in_order()
        await asyncio.gather(*keeping)

    async def _unless_stopped(self, awaited: Iterable[Awaitable[object]]) -> None:
        """Return when all of these are done, or when everything shall stop."""
        either: tuple[asyncio.Future[Any], ...] = (
            asyncio.gather(*awaited),
            asyncio.ensure_future(self._stopping.wait()),
        )
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for future in either:
            future.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await future

    async def _stop_in_order(self) -> None:
        await self._stop_these([kept for kept in self._all() if kept.child.looks_on], UNDOING_S)
        for group in reversed(self._kept) if self._last_stops_first else self._kept:
            working = [kept for kept in group if not kept.child.looks_on]
            await self._stop_these(working, max((kept.child.stop_s for kept in working), default=STOP_S))

    async def _stop_these(self, children: Sequence[_Kept], seconds: float) -> None:
        for kept in children:
            kept.signal(kept.child.stop_signal)
        running = [kept.process.wait() for kept in children if kept.process is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*running)
        for kept in children:
            kept.signal(signal.SIGKILL)

    async def _keep(self, kept: _Kept) -> None:
        pause_s = 0.0
        while not self._stopping.is_set():
            began_s, kept.awaits = self._loop.time(), None
            try:
                returncode = await self._live(kept)
                ended = _how_it_went(kept, returncode)
            except Exception as error:  # Whatever it is, the bank does not end for one child.
                returncode, ended = ExitCode.ERROR, f"{kept.child.title} could not be run: {_reason(error)}"
            if self._stopping.is_set():
                break
            if kept.held_down and self._restart:
                self._report(f"{ended}; it is held down, and not started again until it is let go")
                await self._until_let_go(kept)
                pause_s = 0.0
                continue
            pause_s = next_pause_s(pause_s, self._loop.time() - began_s)
            if not self._goes_on(kept, returncode, ended, pause_s):
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
        kept.settled.set()

    async def _until_let_go(self, kept: _Kept) -> None:
        while kept.held_down and not self._stopping.is_set():
            kept.let_go.clear()
            await self._unless_stopped([kept.let_go.wait()])

    async def _live(self, kept: _Kept) -> int:
        """Start the child once; return how its process ended."""
        ready_end, child_end = os.pipe()
        with os.fdopen(ready_end, "rb", buffering=0) as ready:
            try:
                kept.process = await self._spawn(kept.child, child_end)
            finally:
                os.close(child_end)
            self._on_start(kept.child, kept.process.pid)
            if self._stopping.is_set():  # It was too late to be told.
                kept.signal(signal.SIGKILL)
            reading = asyncio.create_task(self._read_readiness(kept, ready))
            returncode = await kept.process.wait()
            self._on_end(kept.child)
            await asyncio.wait({reading}, timeout=LAST_LINE_S)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        return returncode

    @staticmethod
    async def _spawn(child: Child, ready_fd: int) -> asyncio.subprocess.Process:
        blanks = {"parent_pid": os.getpid(), "ready_fd": ready_fd}
        command = [part.format_map(blanks) if part.startswith("{") else part for part in child.command]
        with contextlib.ExitStack() as open_files:
            output = open_files.enter_context(_log(child.log)) if child.log is not None else sys.stderr
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(ready_fd,),
                start_new_session=True,
                env={**os.environ, **child.variables},
            )

    async def _read_readiness(self, kept: _Kept, ready: io.RawIOBase) -> None:
        """Wait for the line by which a child says that it is ready; no line if it ends first."""
        reader = asyncio.StreamReader()
        transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), ready)
        try:
            line = await reader.readline()
        finally:
            transport.close()
        if line:
            told = json.loads(line)
            if AWAITS in told:
                kept.awaits = str(told[AWAITS])
                return
            kept.was_ready = True
            kept.settled.set()
            role = f"{told['role']}, " if told.get("role") else ""
            self._report(f"{kept.child.title} is ready: {role}pid {told['pid']}, {told['address']}")

    def _goes_on(self, kept: _Kept, returncode: int, ended: str, pause_s: float) -> bool:
        """Report the end of a child; return whether it shall be started again."""
        kept.failures += returncode > 0
        in_vain = kept.failures >= FIRST_TRIES and not kept.was_ready and kept.awaits is None
        hopeless = returncode == ExitCode.USAGE or in_vain
        if self._restart and not hopeless:
            self._report(f"{ended}; it is started again in {pause_s:g} s")
            return True
        self._report(f"{ended}; it is not started again")
        kept.given_up_with = returncode
        return False


def _how_it_went(kept: _Kept, returncode: int) -> str:
    """Return how a child ended, to begin a sentence."""
    assert kept.process is not None
    last_words = _last_words(kept.child, returncode)
    return f"{kept.child.title} (pid {kept.process.pid}) {how_it_ended(returncode)}{last_words}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def _last_words(child: Child, returncode: int) -> str:
    """Return what a child that ended by itself said last, which is why, and where there is more."""
    if child.log is None or returncode <= 0:
        return ""
    lines: list[str] = []
    with contextlib.suppress(OSError), child.log.open("rb") as log:  # It may have been removed.
        log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
        lines = log.read().decode(errors="replace").splitlines()
    return f": {_SIGNATURE.sub('', lines[-1]).strip()} ({child.log})" if lines else ""


def _log(path: Path) -> IO[bytes]:
    """Open the log of a child to add to it; what is made, be it the folder, is for its owner only."""
    if not path.parent.is_dir():
        make_directory(path.parent)
    return open(path, "ab", opener=private_opener)
