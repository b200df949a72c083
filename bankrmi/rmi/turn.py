"""Whose message is served next, and when it is somebody else's turn. Pure: no loop, no clock of its own.

Whoever sends decides how much work there is, so callers share a few milliseconds of each turn of the event
loop. Links to other servers, the witness, timers and the server's own work are not asked here: they come in
between, however many callers wait. Who calls as a server has a line outside of that budget, and before it.

Rule 1: in one turn callers are served until `budget_ms` is spent; then the loop goes round once.
        A message is never cut in two: one that is dearer than the budget runs, as the last of its turn.
Rule 2: callers stand in three lines. Our own are served in rounds: each that waits, once; then one of those
        whose last messages were dear (one over `dear_ms`). So a light caller, or a new one, waits for at most
        one dear message, and a dear one, in its order, for one round of the others. Who was dear stays so
        until a few light messages of his have followed.
Rule 3: after every four of ours, and after each round, comes one handshake, so a crowd of ours gets in though
        those who are in always ask for something; after each round one stranger's message, too: a caller is a
        stranger unless his handshake was one of ours.
Rule 4: handshakes and strangers each have a bounded share of the time. Time that they took beyond it is owed,
        by all in that line together, and until it is paid off by waiting none of them is served: a connection
        thrown away and opened anew owes as much as before.
Rule 5: what a message costs later (an operation that has to be decided, an entry to be stored) is charged as
        soon as it is known; that counts for what is owed, and not for the turn in which it was said.
Rule 6: servers come first, for up to `servers_ms` of a turn, and in rounds as our own do (rule 2): until
        certificates, a server is whoever says its name, and may not keep the true one waiting for more than
        one dear message, nor everything else for longer than a turn of theirs.
Rule 7: after a caller's dear message come a few turns without one. What a light caller asks passes several
        turns of the loop (it is read, decided, written, shared, answered), and would else wait in each.
Rule 8: a piece of an answer is never dear, whoever waits for it: it is bounded, there are no more of them
        than were decided, and until they are sent they take up memory.
Assumption: what nobody waits for is served at once (`is_free`); whoever waits stands in line once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Generic, TypeVar

__all__ = ["Line", "Turn"]

Caller = TypeVar("Caller")


class Line(IntEnum):
    """Where a caller stands."""

    OURS = 0
    GREETINGS = 1
    STRANGERS = 2
    SERVERS = 3


_OURS, _SERVERS = Line.OURS, Line.SERVERS
_GREETINGS_SHARE, _GREETINGS_SAVED_MS = 0.75, 250.0
"""Handshakes are small and cost little each. Among them are servers that come back, and honest crowds."""
_OURS_BEFORE_A_GREETING = 4
_QUIET_TURNS = 8
"""After a dear message; with nothing else to do they pass in a fraction of a millisecond."""
_LIGHT_AGAIN = 8
"""Light messages, one after the other."""
_STRANGERS_SAVED_MS = 20.0
"""How much of a share that was not used is kept for later."""


class Turn(Generic[Caller]):
    """The lines, and what of this turn is spent. `now_ms` is asked for the time, only ever forward."""

    __slots__ = (
        "_budget_ms",
        "_dear",
        "_dear_ms",
        "_lines",
        "_place",
        "_quiet",
        "_round_goes_on",
        "_served",
        "_servers_ms",
        "_servers_spent_ms",
        "_spent_ms",
        "_waiting",
    )

    def __init__(
        self,
        now_ms: Callable[[], float],
        *,
        budget_ms: float = 4.0,
        dear_ms: float = 1.0,
        strangers_share: float = 0.25,
        servers_ms: float = 8.0,
    ) -> None:
        self._budget_ms = budget_ms
        self._servers_ms = servers_ms
        self._dear_ms = dear_ms
        self._lines: tuple[_Waiting[Caller], ...] = (
            _Waiting(None),
            _Waiting(_Share(_GREETINGS_SHARE, _GREETINGS_SAVED_MS, now_ms)),
            _Waiting(_Share(strangers_share, _STRANGERS_SAVED_MS, now_ms)),
            _Waiting(None),
        )
        self._place = _OURS
        self._served = 0  # Of ours, since the last handshake.
        self._round_goes_on = False  # After the handshake whose turn it is.
        self._dear: dict[Caller, int] = {}  # And how many light messages make them light again.
        self._quiet = 0
        self._spent_ms = self._servers_spent_ms = 0.0
        self._waiting = 0  # Of all lines but the servers'.

    # --- for whoever drives the loop ------------------------------------------------------------------

    def begin(self) -> None:
        """Begin the next turn."""
        if self._quiet:
            self._quiet -= 1
        self._spent_ms = self._servers_spent_ms = 0.0

    def is_free(self, line: Line) -> bool:
        """Whether one of this line who arrives now is served at once."""
        if line is _SERVERS:
            return self._servers_spent_ms < self._servers_ms and not self._lines[line].count
        if self._spent_ms >= self._budget_ms:
            return False
        if line is _OURS:
            return not self._waiting or not self._lines[line].count
        return not self._waiting and self._lines[line].may_be_served()

    def wait(self, caller: Caller, line: Line, *, for_answer: bool = False) -> None:
        """Put the caller into line; once, until `next` has given him out.

        `for_answer`: what he waits for is a piece of an answer, and not that his message is looked into.
        """
        self._lines[line].add(caller, dear=caller in self._dear and not for_answer)
        self._waiting += line is not _SERVERS

    def next(self) -> Caller | None:
        """Return who is served now; None if nobody waits, or may be served in this turn."""
        servers = self._lines[_SERVERS]
        if servers.count and self._servers_spent_ms < self._servers_ms:
            return servers.take(dear=True)
        if not self._waiting or self._spent_ms >= self._budget_ms:
            return None
        ours = self._lines[_OURS]
        if ours.count == self._waiting and ours.has(not self._quiet):  # No other line is passed over.
            self._waiting -= 1
            return ours.take(dear=not self._quiet)
        for _ in range(len(self._lines)):  # Ours perhaps twice: a handshake comes between.
            line = self._lines[self._place]
            if line.has(not self._quiet) and line.may_be_served():
                caller = line.take(dear=not self._quiet)
                self._place = self._next_place(self._place, served=True)
                self._waiting -= 1
                return caller
            self._place = self._next_place(self._place, served=False)
        return None

    def pause_ms(self) -> float | None:
        """Return after what time to look again: 0 for the next turn, None if nobody waits."""
        pauses = [line.pause_ms() for line in self._lines if line.count]
        return min(pauses) if pauses else None

    # --- what it cost ---------------------------------------------------------------------------------

    def spent(
        self,
        caller: Caller,
        line: Line,
        ms: float,
        work_ms: float | None = None,
        *,
        is_message: bool = True,
    ) -> bool:
        """Note what serving the caller took; return whether half of this turn is over.

        Then it is time to arrange for the next one to begin. Of the time that it took `work_ms` were work, if
        that is known: a message is not dear because another process had the processor meanwhile. What is not
        a message that was looked into (a piece of an answer, or a call that was answered unread) makes nobody
        dear, and nobody light again: a batch is answered in many pieces.
        """
        if is_message and (self._dear or ms > self._dear_ms):
            self._learn(caller, line, ms if work_ms is None else min(ms, work_ms))
        if line is _SERVERS:
            self._servers_spent_ms += ms
            return self._servers_spent_ms * 2 >= self._servers_ms
        self._spent_ms += ms
        if line is not _OURS:
            self._lines[line].charge(ms)
        return self._spent_ms * 2 >= self._budget_ms

    def _learn(self, caller: Caller, line: Line, ms: float) -> None:
        """Learn from what a message cost how dear his are."""
        if ms > self._dear_ms:
            self._dear[caller] = _LIGHT_AGAIN
            if line is not _SERVERS:
                self._quiet = _QUIET_TURNS
        elif caller in self._dear:
            self._dear[caller] -= 1
            if not self._dear[caller]:
                del self._dear[caller]

    def charge(self, line: Line, ms: float) -> None:
        """Note what the caller's message will still cost, outside of the turns of callers."""
        self._lines[line].charge(ms)

    def forget(self, caller: Caller) -> None:
        """The caller is gone. If he waits, he is still given out by `next`; what he owes stays owed."""
        self._dear.pop(caller, None)

    def _next_place(self, place: Line, *, served: bool) -> Line:
        if place is _OURS:
            self._round_goes_on = served and not self._lines[_OURS].round_is_over
            self._served += served
            if self._round_goes_on and self._served < _OURS_BEFORE_A_GREETING:
                return _OURS
            self._served = 0
            return Line.GREETINGS
        if place is Line.GREETINGS and not self._round_goes_on:
            return Line.STRANGERS
        return _OURS


class _Share:
    """A part of all time, and how much of it is left; less than nothing is owed."""

    __slots__ = ("_left_ms", "_now_ms", "_saved_ms", "_seen_ms", "_share")

    def __init__(self, share: float, saved_ms: float, now_ms: Callable[[], float]) -> None:
        self._share = share
        self._now_ms = now_ms
        self._seen_ms = now_ms()
        self._left_ms = self._saved_ms = saved_ms

    def left_ms(self) -> float:
        now_ms = self._now_ms()
        self._left_ms = min(self._saved_ms, self._left_ms + (now_ms - self._seen_ms) * self._share)
        self._seen_ms = now_ms
        return self._left_ms

    def take(self, ms: float) -> None:
        self._left_ms -= ms

    def pause_ms(self) -> float:
        return max(0.0, -self.left_ms() / self._share)


class _Waiting(Generic[Caller]):
    """One line: who is served in rounds, and who waits for the end of one."""

    __slots__ = ("_dear", "_in_round", "_light", "_share", "count")

    def __init__(self, share: _Share | None) -> None:
        self._share = share
        self._light: deque[Caller] = deque()
        self._dear: deque[Caller] = deque()
        self._in_round = 0
        self.count = 0
        """How many wait."""

    def has(self, dear: bool) -> bool:
        """Whether anybody waits who may be served: those who are dear, too, or not now."""
        return bool(self._light or (dear and self._dear))

    @property
    def round_is_over(self) -> bool:
        return self._in_round == 0

    def add(self, caller: Caller, *, dear: bool) -> None:
        (self._dear if dear else self._light).append(caller)
        self.count += 1

    def may_be_served(self) -> bool:
        return self._share is None or self._share.left_ms() > 0

    def take(self, *, dear: bool) -> Caller:
        self.count -= 1
        if self._in_round or not dear:
            if self._in_round:
                self._in_round -= 1
            if self._light:
                return self._light.popleft()
        self._in_round = len(self._light)
        if self._dear:
            return self._dear.popleft()
        self._in_round -= 1
        return self._light.popleft()

    def charge(self, ms: float) -> None:
        if self._share is not None:
            self._share.take(ms)

    def pause_ms(self) -> float:
        return 0.0 if self._share is None else self._share.pause_ms()
