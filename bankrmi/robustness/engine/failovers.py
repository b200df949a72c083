"""How long nobody was told of an update when another database began to lead.  Pure.

Rule 1: that another one leads is noticed by asking, a second late perhaps; what counts is what clients felt:
        the longest time without an update around it.
Rule 2: the cause is the newest fault of the one that led which came before that time, or with it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from bankrmi.robustness.chaos.recorded import Failover, Fault, FaultKind
from bankrmi.robustness.chaos.roles import Lead
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall

__all__ = ["database_failovers"]

_LATE_NS = 3_000_000_000
_MOMENT_NS = 50_000_000
"""So long an answer may be on its way when a fault hits whoever decided it."""


def database_failovers(
    leads: Sequence[Lead], faults: Sequence[Fault], calls: Iterable[HistoryCall]
) -> Iterator[Failover]:
    """Yield every change of the database that leads which a fault brought about, and how long it took."""
    told = sorted(
        call.completed_ns
        for call in calls
        if call.operations and isinstance(call.outcome, AnsweredOutcome) and call.completed_ns is not None
    )
    for old, new in pairwise(leads):
        hits = [fault for fault in faults if _hits(fault, old, new)]
        if not hits:
            continue
        gap = _longest(told, min(fault.from_ns for fault in hits), new.at_ns + _LATE_NS)
        if gap is None:
            continue
        hits.sort(key=lambda fault: fault.from_ns)
        before = [fault for fault in hits if fault.from_ns <= gap[0] + _MOMENT_NS]
        cause = before[-1] if before else hits[0]  # The first one came while nobody was told anything.
        yield Failover(
            cause=_in_words(cause),
            at_ns=cause.from_ns,
            took_ns=gap[1] - cause.from_ns,
            old_primary=old.server,
            new_primary=new.server,
            epoch=new.epoch,
        )


def _hits(fault: Fault, old: Lead, new: Lead) -> bool:
    hit = old.server in (fault.target, fault.toward) and fault.kind is not FaultKind.SLOW
    return hit and old.at_ns <= fault.from_ns <= new.at_ns


def _longest(told: Sequence[int], from_ns: int, to_ns: int) -> tuple[int, int] | None:
    """Return the longest time between two answers, the first of which came in this stretch, or before it."""
    first = max(0, bisect_right(told, from_ns) - 1)
    last = bisect_left(told, to_ns)
    return max(pairwise(told[first : last + 1]), key=lambda gap: gap[1] - gap[0], default=None)


def _in_words(fault: Fault) -> str:
    if fault.kind is FaultKind.SWITCHOVER or fault.toward:
        return fault.kind.value
    part = f"'s {fault.note}" if fault.note in ("PostgreSQL", "Patroni") else ""
    return f"{fault.kind.value} of the primary{part}"
