"""What this server has proposed and does not know the end of (V6).

Rule 1: one proposal is on its way at a time.
Rule 2: a proposal whose answer was lost is unsettled until the epoch has moved on: it may still win.
        The way to settle it is another proposal from the same epoch, never a guess.
Rule 3: one that never left this process can win nothing, and is settled.
"""

from __future__ import annotations

from bankrmi.replication.view import View

__all__ = ["Proposals"]

RETRY_MS = (20.0, 50.0, 100.0, 200.0, 500.0)
"""Waits after the first, second, ... unanswered proposal; the last one repeats."""


class Proposals:
    """The proposals of one server from one epoch."""

    def __init__(self) -> None:
        self._epoch = 0
        self._moved_to = 0
        self._under_way = False
        self._unanswered = 0
        self._may_win = False
        self._next_ms = 0.0

    @property
    def settled(self) -> bool:
        """Whether no proposal of ours can still win."""
        return not self._under_way and not self._may_win

    def may_propose(self, now_ms: float) -> bool:
        """Whether it is time for a proposal, the first or another one."""
        return not self._under_way and now_ms >= self._next_ms

    def proposed(self, view: View) -> None:
        """A proposal was sent."""
        self._epoch = view.epoch
        self._under_way = True

    def answered(self, epoch: int) -> bool:
        """The keeper of the view answered, with the epoch it holds; return whether that makes sense.

        It held the epoch before the proposed one when that was learned; if it holds less now, it has
        lost its memory (V9).
        """
        self._under_way = False
        return epoch >= self._epoch - 1

    def unanswered(self, now_ms: float, *, sent: bool = True) -> None:
        """The answer was lost, or did not come in time; or the proposal was not even sent."""
        self._under_way = False
        if self._moved_to >= self._epoch:
            return
        self._next_ms = now_ms + RETRY_MS[min(self._unanswered, len(RETRY_MS) - 1)]
        self._unanswered += 1
        self._may_win = self._may_win or sent

    def epoch_moved(self, epoch: int) -> None:
        """A view of this epoch exists: proposals to become it, or an older one, are settled."""
        self._moved_to = epoch
        if epoch >= self._epoch:
            self._unanswered = 0
            self._may_win = False
            self._next_ms = 0.0
