"""What a run came to in figures: calls, failovers, counts.  Pure.

Rule: everything is as clients saw it: a failover ends when somebody was told of an update of the new primary.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from bankrmi.bank.outcomes import DECLINES
from bankrmi.replication.record import CANCELLED
from bankrmi.robustness.chaos.figures import separate
from bankrmi.robustness.chaos.recorded import Failover, Fault, FaultKind, MadeCall, OutcomeKind
from bankrmi.robustness.chaos.roles import Lead
from bankrmi.robustness.checker.history import SHOWN, AnsweredOutcome, HistoryCall, UnknownOutcome
from bankrmi.service.calls import RAISED

__all__ = ["Acknowledgements", "failovers", "fault_counts", "made_calls"]

_KINDS = {"balance": "read", "withdraw": "withdrawal"}
_MOMENT_NS = 20_000_000
"""So long an answer may be on its way when a fault hits whoever sent it."""

_PLURALS = {
    FaultKind.KILL: "kills",
    FaultKind.PAUSE: "pauses",
    FaultKind.CUT: "cuts",
    FaultKind.SLOW: "slow links",
    FaultKind.STOP: "stops in good order",
    FaultKind.WIPE: "lost disks",
    FaultKind.REMOVE: "servers removed and added",
    FaultKind.SWITCHOVER: "switchovers",
    FaultKind.STRANGERS: "crowds of strangers",
    FaultKind.RUSH: "rushes of own clients",
    FaultKind.SLOW_DISK: "slow disks",
    FaultKind.RELEASE: "servers given other code",
}


def made_calls(calls: Iterable[HistoryCall]) -> Iterator[MadeCall]:
    """Yield the calls that ended, as they are drawn."""
    for call in calls:
        if call.completed_ns is not None:
            request = f"{call.request[0]}:{call.request[1]}" if call.request else f"call {call.number}"
            yield MadeCall(
                client=call.client,
                request=request,
                kind=_KINDS.get(call.kind, call.kind),
                outcome=_outcome(call),
                invoked_ns=call.invoked_ns,
                completed_ns=call.completed_ns,
                operations=max(1, len(call.operations)),
            )


def _outcome(call: HistoryCall) -> OutcomeKind:
    if isinstance(call.outcome, UnknownOutcome):
        return OutcomeKind.IN_DOUBT
    if not isinstance(call.outcome, AnsweredOutcome):
        return OutcomeKind.REFUSED
    statuses = {result.status for result in call.outcome.results}
    if CANCELLED in statuses:
        return OutcomeKind.REFUSED
    return OutcomeKind.DECLINED if statuses <= DECLINES | {RAISED} else OutcomeKind.DONE


class Acknowledgements:
    """When clients were told of updates, and of which epoch these are."""

    def __init__(self, calls: Iterable[HistoryCall], epochs: Mapping[int, int]) -> None:
        """`epochs` says at which action id each epoch begins."""
        begins = sorted((action_id, epoch) for epoch, action_id in epochs.items())
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        told = list(_told(calls))
        ids = [action_id for action_id, _ in begins]
        for completed_ns, action_id in sorted(told):
            place = bisect_right(ids, action_id) - 1
            if place >= 0:
                epoch = begins[place][1]
                self._first.setdefault(epoch, completed_ns)
                self._last[epoch] = completed_ns
        self._epochs = sorted(self._first)

    def first_since(self, epoch: int) -> int | None:
        """Return when somebody was first told of an update of this epoch or a newer one."""
        at = bisect_left(self._epochs, epoch)
        return min((self._first[one] for one in self._epochs[at:]), default=None)

    def last_before(self, epoch: int) -> int | None:
        """Return when somebody was last told of an update of an older epoch that was the newest then."""
        at = bisect_left(self._epochs, epoch)
        return self._last[self._epochs[at - 1]] if at else None


def _told(calls: Iterable[HistoryCall]) -> Iterator[tuple[int, int]]:
    """Yield when a client was told of an update, and its action id."""
    for call in calls:
        outcome = call.outcome
        if call.completed_ns is None or not isinstance(outcome, AnsweredOutcome) or outcome.action_id == 0:
            continue
        if outcome.results[0].status != SHOWN:
            yield call.completed_ns, outcome.action_id


def failovers(
    leads: Sequence[Lead], faults: Sequence[Fault], acknowledged: Acknowledgements
) -> Iterator[Failover]:
    """Yield every change of the primary that a fault brought about, and how long it took."""
    for old, new in pairwise(leads):
        first, last = acknowledged.first_since(new.epoch), acknowledged.last_before(new.epoch)
        cause = _cause(old, new, faults, last)
        if cause is not None and first is not None and first > cause.from_ns:
            of_whom = "" if cause.kind is FaultKind.SWITCHOVER else " of the primary"
            yield Failover(
                cause=f"{cause.kind.value}{of_whom}",
                at_ns=cause.from_ns,
                took_ns=first - cause.from_ns,
                old_primary=old.server,
                new_primary=new.server,
                epoch=new.epoch,
            )


def _cause(old: Lead, new: Lead, faults: Sequence[Fault], last_told_ns: int | None) -> Fault | None:
    """Return the first fault after which the old primary told nobody anything; else the last one before."""
    hits = [
        fault
        for fault in sorted(faults, key=lambda fault: fault.from_ns)
        if old.server in (fault.target, fault.toward)
        and fault.kind is not FaultKind.SLOW
        and old.at_ns <= fault.from_ns <= new.at_ns
    ]
    if last_told_ns is not None:
        since = [fault for fault in hits if fault.from_ns >= last_told_ns - _MOMENT_NS]
        hits = since[:1] or hits
    return hits[-1] if hits else None


def fault_counts(faults: Sequence[Fault]) -> Iterator[tuple[str, int]]:
    """Yield how many there were of each kind; links that one fault has cut are one cut."""
    counts = Counter(_PLURALS[fault.kind] for fault in separate(faults))
    yield from ((name, counts[name]) for name in _PLURALS.values() if counts[name])
