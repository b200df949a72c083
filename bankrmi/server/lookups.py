"""Questions for outcomes, and which of them the rules may look up in the journal now.  Pure.

How much a recorded request holds is not known before it is read, and a question of a few bytes may bring back
thousands of entries.

Rule 1: each is taken for the largest there is, from when it is given to the rules until its answer is made;
        as many are under way as fit into a share of the budget, and one in any case.
Rule 2: all others wait here in the order in which they came, and cost no more than a question.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from bankrmi.replication.events import OutcomeAsked
from bankrmi.server.waiting import Caller, Waiting

__all__ = ["Lookups"]

SHARE = 4
"""One part in this many of the budget is for what was looked up."""


class Lookups:
    """Those of one server."""

    def __init__(self, budget_bytes: int, largest_bytes: int) -> None:
        self._at_once = max(1, budget_bytes // SHARE // largest_bytes)
        self._waiting: OrderedDict[Waiting, OutcomeAsked] = OrderedDict()
        self._under_way: set[Waiting | Caller] = set()

    def put(self, event: OutcomeAsked) -> None:
        """Wait behind all others."""
        self._waiting[event.token] = event

    def next(self) -> OutcomeAsked | None:
        """Return what is looked up now; None if nothing waits, or too much is under way."""
        if not self._waiting or len(self._under_way) >= self._at_once:
            return None
        waiting, event = self._waiting.popitem(last=False)
        self._under_way.add(waiting)
        return event

    def waits(self, waiting: Waiting) -> bool:
        """Whether the rules have not been asked yet."""
        return waiting in self._waiting

    def answered(self, waiting: Waiting, callers: Iterable[Caller]) -> None:
        """The rules have answered; what they said is kept until each of these has his answer."""
        if waiting in self._under_way:
            self._under_way.remove(waiting)
            self._under_way.update(callers)

    def end(self, waiting: Waiting | Caller) -> None:
        """Nothing is kept for it any more."""
        if isinstance(waiting, Waiting):
            self._waiting.pop(waiting, None)
        self._under_way.discard(waiting)
