"""How a client for asyncio waits: what a bank's and a service's have in common.

The same as `blocking_client`, rule for rule; what to do next is decided in `attempts`, for both, and done by
a `Channel`. Usable from many tasks: each call takes a channel for itself, so requests go out side by side.

Rule 1: a call that is cancelled leaves nothing behind: its channel starts afresh, its request id is an
        attribute (`request_id`) of the CancelledError, which is the cause of a TimeoutError.
Rule 2: a client outlives its event loop: in another one, and after a fork, it begins with new connections.
Assumption: one event loop is used in one thread; which loop it is, is looked at with every call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from bankrmi.client.calls import ClientCall
from bankrmi.client.channel import LIMITS, Channel, now_ms
from bankrmi.client.decisions import Finish, Wait
from bankrmi.client.equal_waits import EqualWaits
from bankrmi.client.idle import IDLE_MS, Idle
from bankrmi.client.memory import Memory
from bankrmi.client.permits import LoopPermits
from bankrmi.client.requests import Request
from bankrmi.config import Configuration
from bankrmi.errors import BankError, OperationFailed, Refused
from bankrmi.rmi import Link, TlsCredentials, look_up_async

__all__ = ["LoopClient"]


class _LoopChannel(Channel):
    """A channel for one task at a time of one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        usual: EqualWaits,
        shown: Callable[[], TlsCredentials | None],
        object_of: Callable[[str], str],
    ) -> None:
        super().__init__(_linked, self._call_back, shown, object_of)
        self._loop = loop
        self._usual = usual
        self._waiter: asyncio.Future[None] | None = None

    def _call_back(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self, wait_ms: int) -> None:
        """Return when there is news, or after `wait_ms` at the latest."""
        if self.has_news:
            return
        waiter = self._waiter = self._loop.create_future()
        timer = None
        if wait_ms == self._usual.wait_ms:
            self._usual.begin(waiter)
        else:
            timer = self._loop.call_later(wait_ms / 1000, self._call_back)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is None:
                self._usual.end(waiter)
            else:
                timer.cancel()


def _linked(
    address: str,
    object_id: str,
    handshake: Mapping[str, object],
    on_up: Callable[[Mapping[str, Any]], None],
    on_lost: Callable[[str], None],
) -> Link:
    return Link(address, object_id, handshake, on_up, on_lost, limits=LIMITS)


class _Home:
    """What a client keeps in one event loop of one process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, memory: Memory) -> None:
        self._shown, self._object_of = memory.shown, memory.object_of
        self.process = os.getpid()
        self.loop = loop
        self.permits = LoopPermits(memory.calls_at_once)
        self.idle: Idle[_LoopChannel] = Idle()
        self._usual = EqualWaits(loop, memory.usual_wait.wait_ms)
        self.looking_up: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be said to its connections any more."""
        return self.loop.is_closed() or self.process != os.getpid()

    @property
    def is_looking_up(self) -> bool:
        """Whether the name server is being asked; a task that was cancelled before it began is done."""
        return self.looking_up is not None and not self.looking_up.done()

    async def wait_for_permit(self, call: ClientCall) -> None:
        """Let no more calls be under way at once than may; raises Busy if that takes too long."""
        try:
            async with asyncio.timeout(call.seconds_in_queue):
                await self.permits.wait()
        except TimeoutError:
            raise call.not_begun() from None

    def take(self) -> _LoopChannel:
        """Return a channel for one call."""
        return self.idle.take() or _LoopChannel(self.loop, self._usual, self._shown, self._object_of)

    def give_back(self, channel: _LoopChannel) -> None:
        """Keep it, for a while."""
        self.idle.give_back(channel, now_ms())
        if self._timer is None:
            self._timer = self.loop.call_later(IDLE_MS / 1000, self._close_unused)

    def _close_unused(self) -> None:
        self.idle.close_unused(now_ms())
        again = len(self.idle) > 0
        self._timer = self.loop.call_later(IDLE_MS / 1000, self._close_unused) if again else None

    def close(self) -> None:
        """Close what no call uses."""
        if self.is_gone:
            self.idle.abandon()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._usual.close()
        self.idle.close()


class LoopClient:
    """An async context manager; usable from many tasks."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
        service: str | None = None,
    ) -> None:
        """`service`: which of several, by its name; None: the first one."""
        self._memory = Memory(configuration, timeout, on_waiting, service)
        self._homes: dict[asyncio.AbstractEventLoop, _Home] = {}
        self._process = os.getpid()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; again does nothing. Calls in progress end as usual."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, home in list(self._homes.items()):
            if loop is here or home.is_gone:
                home.close()
            else:  # It lives in another thread.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(home.close)

    async def _perform(self, request: Request) -> Any:
        """Return what the caller is to get, or raise one of our errors."""
        if self._closed:
            raise OperationFailed("this client is closed")
        call = ClientCall(request, self._memory, now_ms())
        try:
            home = self._home()
            if not home.permits.take():
                await home.wait_for_permit(call)
            try:
                return await self._permitted(call, home)
            finally:
                home.permits.give_back()
        except BankError:
            raise
        except Exception as failure:
            raise call.broken_off(failure) from failure
        except BaseException as interruption:  # Wherever it came: also while the answer was taken in.
            call.note_on(interruption)
            raise

    async def _permitted(self, call: ClientCall, home: _Home) -> Any:
        channel = home.take()
        try:
            call.identify(channel.session)
            if self._memory.primary is None:
                await self._look_up(home, call.deadline_ms)
            return await self._carry_out(call, channel, home)
        except Refused:
            raise  # The session goes on: what became of its request is known.
        except BaseException:
            channel.start_afresh()
            raise
        finally:
            self._give_back(home, channel, call)

    async def _carry_out(self, call: ClientCall, channel: _LoopChannel, home: _Home) -> Any:
        decision = channel.begin(call)
        while not isinstance(decision, Finish):
            if isinstance(decision, Wait):
                await channel.wait(decision.wait_ms)
                self._learn(home, call)
            else:
                channel.carry_out(decision, call)
            decision = channel.tell(call)
        return call.finish(decision)

    async def _look_up(self, home: _Home, deadline_ms: int) -> None:
        """Ask the name server who leads; without an answer, begin with the first one in the configuration.

        One task asks, and all that need it wait for that.
        """
        if not home.is_looking_up:
            seconds = self._memory.look_up_seconds(deadline_ms, now_ms())
            if seconds <= 0:
                return
            home.looking_up = home.loop.create_task(self._ask_for_the_primary(seconds))
        if home.looking_up is not None:
            await asyncio.wait([home.looking_up], timeout=max(0, deadline_ms - now_ms()) / 1000)

    def _learn(self, home: _Home, call: ClientCall) -> None:
        """Ask beside the calls who the servers are, if it is time to; go on with those that are known."""
        seconds = call.learn_seconds(now_ms())
        if seconds > 0 and not home.is_looking_up:
            home.looking_up = home.loop.create_task(self._ask_for_the_primary(seconds, others=True))
        call.take_learned()

    async def _ask_for_the_primary(self, seconds: float, *, others: bool = False) -> None:
        memory = self._memory
        try:
            tags, take = memory.asks_names(others=others)
            take(await look_up_async(memory.nameserver, tags, seconds, memory.shown()))
        except Exception as error:  # Names are hints: no error of theirs is the result of anything.
            memory.take_no_hint(error)

    def _home(self) -> _Home:
        loop = asyncio.get_running_loop()
        home = self._homes.get(loop)
        if home is None or home.is_gone:
            self._leave_homes_that_are_gone()
            home = self._homes[loop] = _Home(loop, self._memory)
        return home

    def _leave_homes_that_are_gone(self) -> None:
        if self._process != os.getpid():
            self._process = os.getpid()
            self._memory.after_fork()
        for loop, home in list(self._homes.items()):
            if home.is_gone:
                self._homes.pop(loop, None)  # Another thread may see the same.
                home.close()

    def _give_back(self, home: _Home, channel: _LoopChannel, call: ClientCall) -> None:
        if home.is_gone:  # A call that nobody waited for, thrown away after its loop.
            channel.abandon()
            return
        channel.end_call(call.preferred)
        home.give_back(channel)
        if self._closed:
            home.close()
