"""How a blocking client waits: what a bank's and a service's have in common.

It finds the primary by the name of the service, and when that fails goes on with the other servers, the same
request, the same id, until there is an answer or the deadline. What to do next is decided in `attempts`; a
`Channel` does it; here is only how one waits: for several connections at once, with poll(2).

Rule 1: usable from several threads. Each call takes a channel (a session and connections) for itself and
        gives it back, so a session has one request at a time (O3), and nobody waits for another's answer.
Rule 2: a channel whose request has no certain outcome gets a new session and new connections.
Rule 3: every call ends by its deadline, with a result or an error of `bankrmi.errors`. What else may leave a
        call (KeyboardInterrupt) carries `request_id`, with which the outcome can be asked.
Assumption: after a fork, parent and child go on with channels of their own (looked after here).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Self

from bankrmi.client.calls import ClientCall
from bankrmi.client.channel import LIMITS, Channel, now_ms
from bankrmi.client.decisions import Finish, Wait
from bankrmi.client.idle import Idle
from bankrmi.client.memory import Memory
from bankrmi.client.permits import Permits
from bankrmi.client.requests import Request
from bankrmi.config import Configuration
from bankrmi.errors import BankError, OperationFailed, Refused
from bankrmi.rmi import Link, PolledLink, PolledLinks, TlsCredentials, look_up

__all__ = ["BlockingClient"]


class _PolledChannel(Channel):
    """A channel for one thread at a time."""

    def __init__(self, shown: Callable[[], TlsCredentials | None], object_of: Callable[[str], str]) -> None:
        super().__init__(self._linked, lambda: None, shown, object_of)
        self._links = PolledLinks()

    def _linked(
        self,
        address: str,
        object_id: str,
        handshake: Mapping[str, object],
        on_up: Callable[[Mapping[str, Any]], None],
        on_lost: Callable[[str], None],
    ) -> Link:
        return PolledLink(self._links, address, object_id, handshake, on_up, on_lost, limits=LIMITS)

    def wait(self, wait_ms: int) -> None:
        """Return when there is news, or after `wait_ms` at the latest; perhaps before."""
        if not self.has_news:
            self._links.wait(wait_ms / 1000)

    def look(self) -> None:
        """Take in what has arrived while something else was done."""
        self._links.wait(0)


class _Kept:
    """What a client keeps in one process; a child after a fork begins with another."""

    __slots__ = ("_object_of", "_shown", "idle", "looking_up", "permits", "process")

    def __init__(self, memory: Memory) -> None:
        self._shown, self._object_of = memory.shown, memory.object_of
        self.process = os.getpid()
        self.permits = Permits(memory.calls_at_once)
        self.idle: Idle[_PolledChannel] = Idle()
        self.looking_up = Lock()

    def take(self) -> _PolledChannel:
        """Return a channel for one call."""
        return self.idle.take() or _PolledChannel(self._shown, self._object_of)


class BlockingClient:
    """A context manager; usable from several threads."""

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
        self._kept = _Kept(self._memory)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; again does nothing. Calls in progress end as usual."""
        self._closed = True
        if self._kept.process == os.getpid():
            self._kept.idle.close()

    def _perform(self, request: Request) -> Any:
        """Return what the caller is to get, or raise one of our errors."""
        if self._closed:
            raise OperationFailed("this client is closed")
        call = ClientCall(request, self._memory, now_ms())
        try:
            kept = self._kept_here()
            permit = kept.permits.take(call.seconds_in_queue)
            if permit is None:
                raise call.not_begun()
            try:
                return self._permitted(call, kept)
            finally:
                permit.give_back()
        except BankError:
            raise
        except Exception as failure:
            raise call.broken_off(failure) from failure
        except BaseException as interruption:  # Wherever it came: also while the answer was taken in.
            call.note_on(interruption)
            raise

    def _permitted(self, call: ClientCall, kept: _Kept) -> Any:
        channel = kept.take()
        try:
            call.identify(channel.session)
            if self._memory.primary is None:
                self._look_up(kept, call.deadline_ms)
            return self._carry_out(call, channel)
        except Refused:
            raise  # The session goes on: what became of its request is known.
        except BaseException:
            channel.start_afresh()
            raise
        finally:
            self._give_back(kept, channel, call)

    def _carry_out(self, call: ClientCall, channel: _PolledChannel) -> Any:
        decision = channel.begin(call)
        while not isinstance(decision, Finish):
            if isinstance(decision, Wait):
                channel.wait(decision.wait_ms)
                self._learn(call, channel)
            else:
                channel.carry_out(decision, call)
            decision = channel.tell(call)
        return call.finish(decision)

    def _learn(self, call: ClientCall, channel: _PolledChannel) -> None:
        """Ask who the servers are, if it is time to; go on with those that are known."""
        if (seconds := call.learn_seconds(now_ms())) > 0:
            self._ask_names(seconds, others=True)
            channel.look()
        call.take_learned()

    def _look_up(self, kept: _Kept, deadline_ms: int) -> None:
        """Ask the name server who leads; without an answer, begin with the first one in the configuration.

        One thread asks, and the others wait for it, no longer than it may.
        """
        memory = self._memory
        if not kept.looking_up.acquire(timeout=memory.look_up_at_most):
            return
        try:
            self._ask_names(memory.look_up_seconds(deadline_ms, now_ms()))
        finally:
            kept.looking_up.release()

    def _ask_names(self, seconds: float, *, others: bool = False) -> None:
        memory = self._memory
        if seconds > 0:
            try:
                tags, take = memory.asks_names(others=others)
                take(look_up(memory.nameserver, tags, seconds, memory.shown()))
            except Exception as error:  # Names are hints: no error of theirs is the result of anything.
                memory.take_no_hint(error)

    def _kept_here(self) -> _Kept:
        """Return what this process keeps; a child knows what its parent did, and uses nothing of it."""
        if self._kept.process != os.getpid():
            idle, self._kept = self._kept.idle, _Kept(self._memory)
            self._memory.after_fork()
            idle.abandon()
        return self._kept

    def _give_back(self, kept: _Kept, channel: _PolledChannel, call: ClientCall) -> None:
        channel.end_call(call.preferred)
        kept.idle.give_back(channel, now_ms())
        if self._closed:
            kept.idle.close()
