"""How many connections one client begins at once, to each server, whatever the crowd of its calls.

Thousands of tasks that lose their server in one moment must not all knock at the next one in the same
millisecond. They queue here. (If nobody is greeted, who queues finds the server silent like everybody else,
and asks another one.)

Rule 1: who has waited for a greeting four times the patience holds nobody up any more.
Rule 2: whoever has entered leaves: greeted, failed, or given up.
Assumption: `start` may be called in any thread that uses the gate; it only notes that it was.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from bankrmi.client.decisions import Candidate

__all__ = ["AT_ONCE", "Gate"]

AT_ONCE = 512
"""Connections to one server that have not been greeted yet: half of the seats that it has for such, and far
fewer than the system keeps for it to accept. Fewer at once take longer: each waits in two busy loops."""

_PATIENCES = 4


class Gate:
    """The connections that are being made by one client."""

    def __init__(self, patience_ms: int, *, at_once: int = AT_ONCE) -> None:
        self._patience_ms = _PATIENCES * patience_ms
        self._at_once = at_once
        self._begun: dict[Candidate, dict[object, int]] = {}
        self._queues: dict[Candidate, dict[object, Callable[[], None]]] = {}
        self._lock = Lock()

    def enter(self, candidate: Candidate, who: object, start: Callable[[], None], now_ms: int) -> None:
        """Have `start` called when it may begin: now, or later."""
        with self._lock:
            self._queues.setdefault(candidate, {})[who] = start
        self.turn(candidate, now_ms)

    def leave(self, candidate: Candidate, who: object, now_ms: int) -> None:
        """It is greeted, or not to be any more."""
        with self._lock:
            self._begun.get(candidate, {}).pop(who, None)
            self._queues.get(candidate, {}).pop(who, None)
        self.turn(candidate, now_ms)

    def turn(self, candidate: Candidate, now_ms: int) -> None:
        """Let in whose turn it is."""
        while (start := self._next(candidate, now_ms)) is not None:
            start()

    def _next(self, candidate: Candidate, now_ms: int) -> Callable[[], None] | None:
        with self._lock:
            queue = self._queues.get(candidate)
            if not queue:
                return None
            begun = self._begun.setdefault(candidate, {})
            if len(begun) >= self._at_once:
                oldest = next(iter(begun))
                if now_ms - begun[oldest] < self._patience_ms:
                    return None
                del begun[oldest]
            who = next(iter(queue))
            begun[who] = now_ms
            return queue.pop(who)
