"""Did anything come before what was over when it began?  By the action ids alone, in O(n log n).

Rule 1: a request stands above every action id that anybody had been told when it was first invoked.
Rule 2: a read is at least as new as that.
Rule 3: a request may have been decided at any time from its first invocation to the first answer about it.

With replay (every result is right at its action id) this is linearizability: order requests by action id and
put each read behind the request at its action id. Whatever was over before something else began stands in
front of it: by rule 1 strictly below a request, by rule 2 not above a read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from bankrmi.robustness.checker.history import HistoryCall

__all__ = ["Times"]

_Moment = tuple[int, int, HistoryCall]
_when = itemgetter(0)


@dataclass(slots=True)
class Times:
    """When what was told of, and when it began: (time, action id, call)."""

    told: list[_Moment] = field(default_factory=list)
    requests_begun: list[_Moment] = field(default_factory=list)
    reads_begun: list[_Moment] = field(default_factory=list)

    def check_requests(
        self, who: Callable[[HistoryCall], str], when: Callable[[HistoryCall], str]
    ) -> Iterator[str]:
        """Yield a sentence for each request that is older than what was told before it was asked (rule 1)."""
        for call, action_id, before, witness in _too_old(self.requests_begun, self.told, 1):
            yield (
                f"{who(call)}: it is at action id {action_id}, and before it was first asked, {before} "
                f"was acknowledged (to {when(witness)})"
            )

    def check_reads(
        self, who: Callable[[HistoryCall], str], when: Callable[[HistoryCall], str]
    ) -> Iterator[str]:
        """Yield a sentence for each read that is older than what was told before it began (rule 2)."""
        for call, action_id, before, witness in _too_old(self.reads_begun, self.told, 0):
            yield (
                f"{who(call)}: read at action id {action_id}; {before} was acknowledged before "
                f"(to {when(witness)})"
            )

    def by_client(self) -> Iterator[Times]:
        """Return what each client knows by itself: it is never shown less than it has seen (R5)."""
        apart: dict[str, Times] = {}
        for moment in self.told:
            apart.setdefault(moment[2].client, Times()).told.append(moment)
        for moment in self.reads_begun:
            apart.setdefault(moment[2].client, Times()).reads_begun.append(moment)
        yield from apart.values()


def _too_old(
    begun: Iterable[_Moment], told: Iterable[_Moment], above: int
) -> Iterator[tuple[HistoryCall, int, int, HistoryCall]]:
    """Yield whatever is not `above` or more over what was told before it began, and what that was."""
    over = deque(sorted(told, key=_when))
    newest, witness = 0, None
    for began_ns, action_id, call in sorted(begun, key=_when):
        while over and over[0][0] < began_ns:
            _, told_id, told_to = over.popleft()
            if told_id > newest:
                newest, witness = told_id, told_to
        if action_id < newest + above and witness is not None:
            yield call, action_id, newest, witness
