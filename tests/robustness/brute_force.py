"""Is a small history linearizable?  Tried in every order (Wing and Gong), with a memory (Lowe).

    linearizable(calls, ledger)              by results alone: no action id is looked at
    agrees(calls, decided, ledger)           in the one order that a journal says, with the ids that were told

Rule 1: nothing here is shared with the checker but the values of a call; arithmetic is written out anew.
Rule 2: whatever was over before something else began comes first. Of what is unknown, any part may have
        happened, at any time after it began.
Rule 3: all calls of one request are one operation: it may have happened from the first invocation on, and
        had when the first of its calls was answered. A batch happens at once. A request whose outcome was
        asked may be cancelled instead: that changes no balance, but it has a place, too.
Rule 4: the requests of a session happen in their order, or not at all; "stale" means that a newer one did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from math import inf

from bankrmi.bank.forms import Form, described
from bankrmi.robustness.checker.history import (
    AnsweredOutcome,
    HistoryCall,
    RefusedOutcome,
    RequestId,
    UnknownOutcome,
)

__all__ = ["Decided", "agrees", "linearizable"]

Decided = tuple[RequestId, tuple[Form, ...]]
"""A request in a journal; without operations, it is cancelled."""

State = tuple[tuple[int, int], ...]
Results = tuple[tuple[str, int | None], ...]
CANCELLED_RESULTS: Results = (("cancelled", None),)


@dataclass(frozen=True, slots=True)
class Happening:
    """What has a place in the order; `results` is None if nobody was told."""

    begin: float
    end: float
    operations: tuple[Form, ...]
    query: int | None
    results: Results | None
    request: RequestId | None
    ids: tuple[int, ...]


def done(state: State, operations: Sequence[Form]) -> tuple[State, Results]:
    """Return what comes of operations."""
    balances = dict(state)
    results: list[tuple[str, int | None]] = []
    for operation in operations:
        what = described(operation)
        account = what["account"]
        if what["kind"] in ("open_account", "close_account"):
            results.append(opened_or_closed(balances, account, what["kind"]))
            continue
        if what["kind"] == "transfer":
            results.append(moved(balances, account, what["to"], what["amount"]))
            continue
        if account not in balances:
            results.append(("no_account", None))
            continue
        after = balances[account] + (what["amount"] if what["kind"] == "deposit" else -what["amount"])
        status = "insufficient" if after < 0 else "too_large" if after >= 2**63 else "done"
        if status == "done":
            balances[account] = after
        results.append((status, balances[account]))
    return tuple(sorted(balances.items())), tuple(results)


def moved(balances: dict[int, int], payer: int, payee: int, amount: int) -> tuple[str, int | None]:
    """Do a transfer, all of it or nothing; return what its caller is told."""
    if not {payer, payee} <= balances.keys():
        return "no_account", None
    if balances[payer] < amount:
        return "insufficient", balances[payer]
    if balances[payee] + amount >= 2**63:
        return "too_large", None
    balances[payer] -= amount
    balances[payee] += amount
    return "done", balances[payer]


def opened_or_closed(balances: dict[int, int], account: int, kind: str) -> tuple[str, int | None]:
    """Have an account, or have it no more; return what the caller is told."""
    held = balances.get(account)
    if kind == "open_account":
        balances.setdefault(account, 0)
        return ("done", 0) if held is None else ("exists", held)
    if held == 0:
        del balances[account]
        return "done", 0
    return ("no_account", None) if held is None else ("not_empty", held)


def told(call: HistoryCall) -> Results:
    """Return what a call was told, without the ids."""
    assert isinstance(call.outcome, AnsweredOutcome)
    return tuple((one.status, one.value) for one in call.outcome.results)


def ids_told(call: HistoryCall) -> tuple[int, ...]:
    """Return the action ids that a call was told."""
    assert isinstance(call.outcome, AnsweredOutcome)
    return tuple(one.action_id for one in call.outcome.results)


class Contradiction(Exception):
    """Two calls of one request were told what cannot both be true, or what nobody asked for."""


# -- by results alone ------------------------------------------------------------------------------


def linearizable(calls: Sequence[HistoryCall], ledger: Mapping[int, int]) -> list[Happening] | None:
    """Return an order that explains everything that was told, None if there is none."""
    try:
        happenings = [*reads(calls), *changes(calls)]
    except Contradiction:
        return None
    stale = [call.request for call in calls if call.request and isinstance(call.outcome, RefusedOutcome)]
    return Search(happenings, stale).order(tuple(sorted(ledger.items())))


def reads(calls: Sequence[HistoryCall]) -> Iterator[Happening]:
    """Return every read that was answered."""
    for call in calls:
        if call.request is None and isinstance(call.outcome, AnsweredOutcome):
            assert call.completed_ns is not None
            span = (call.invoked_ns, call.completed_ns)
            yield Happening(*span, (), call.query, told(call), None, ids_told(call))


def by_request(calls: Sequence[HistoryCall]) -> dict[RequestId, list[HistoryCall]]:
    """Return the calls of each request."""
    groups: dict[RequestId, list[HistoryCall]] = {}
    for call in calls:
        if call.request is not None:
            groups.setdefault(call.request, []).append(call)
    return groups


def changes(calls: Sequence[HistoryCall]) -> Iterator[Happening]:
    """Return every request that happened or was cancelled, or may have been."""
    for request, group in by_request(calls).items():
        answered = [call for call in group if isinstance(call.outcome, AnsweredOutcome)]
        refused = any(isinstance(call.outcome, RefusedOutcome) for call in group)
        if len({told(call) for call in answered}) > 1 or (answered and refused):
            raise Contradiction("two answers")
        if answered:
            yield as_told(request, group, answered)
        elif not refused:
            yield from possible(request, group)


def as_told(request: RequestId, group: Sequence[HistoryCall], answered: Sequence[HistoryCall]) -> Happening:
    """Return what must have happened."""
    results = told(answered[0])
    alternatives = [
        one for one in possible(request, group) if bool(one.operations) == (results != CANCELLED_RESULTS)
    ]
    if not alternatives:
        raise Contradiction("the outcome of nothing")
    end = min(call.completed_ns or 0 for call in answered)
    return replace(alternatives[0], end=end, results=results)


def possible(request: RequestId, group: Sequence[HistoryCall]) -> Iterator[Happening]:
    """Return what may have become of a request of which nothing was told: done, cancelled."""
    sent = [call for call in group if isinstance(call.outcome, AnsweredOutcome | UnknownOutcome)]
    for causes in ([call for call in sent if call.operations], [call for call in sent if call.is_question]):
        if causes:
            begin = min(call.invoked_ns for call in causes)
            yield Happening(begin, inf, tuple(causes[0].operations), None, None, request, ())


class Search:
    """All orders, depth first."""

    def __init__(self, happenings: Sequence[Happening], stale: Sequence[RequestId]) -> None:
        self.happenings = happenings
        self.seen: set[tuple[int, State]] = set()
        self.needed = self.places(lambda one: one.results is not None)
        self.overtaking = [self.newer_than(request) for request in stale]
        self.excluding = [
            self.newer_than(one.request) | self.places(partial(is_same, one.request)) for one in happenings
        ]

    def places(self, which: Callable[[Happening], bool]) -> int:
        """Return a mask."""
        return sum(1 << place for place, one in enumerate(self.happenings) if which(one))

    def newer_than(self, request: RequestId | None) -> int:
        """Return the mask of what comes later in a session."""
        return self.places(lambda one: is_newer(one.request, request))

    def order(self, state: State, mask: int = 0) -> list[Happening] | None:
        """Return an order of all that must have happened, from this state on."""
        if mask & self.needed == self.needed and all(mask & newer for newer in self.overtaking):
            return []
        if (mask, state) in self.seen:
            return None
        self.seen.add((mask, state))
        waiting = [place for place in range(len(self.happenings)) if not mask >> place & 1]
        first_end = min((self.happenings[place].end for place in waiting), default=inf)
        for place in waiting:
            one = self.happenings[place]
            if one.begin > first_end or mask & self.excluding[place]:
                continue
            after = happen(state, one)
            rest = None if after is None else self.order(after, mask | 1 << place)
            if rest is not None:
                return [one, *rest]
        return None


def is_same(request: RequestId | None, one: Happening) -> bool:
    """Return whether it is of this request."""
    return request is not None and one.request == request


def is_newer(one: RequestId | None, other: RequestId | None) -> bool:
    """Return whether `one` comes later in the same session."""
    return one is not None and other is not None and one[0] == other[0] and one[1] > other[1]


def happen(state: State, one: Happening) -> State | None:
    """Return the state after it, None if it would have been told something else."""
    if one.query is not None:
        return state if one.results == (("shown", dict(state).get(one.query)),) else None
    after, results = done(state, one.operations)
    return after if one.results in (None, results or CANCELLED_RESULTS) else None


# -- with the journal ------------------------------------------------------------------------------


def agrees(calls: Sequence[HistoryCall], decided: Sequence[Decided], ledger: Mapping[int, int]) -> bool:
    """Return whether everything happened just as, and where, the journal says, and nothing else did."""
    names = [request for request, _ in decided]
    if any(old == new or is_newer(old, new) for old, new in combinations(names, 2)):
        return False
    if not refusals_hold(calls, decided):
        return False
    groups = by_request(calls)
    happenings, state, position = [], tuple(sorted(ledger.items())), 0
    values = {0: dict(state)}
    for request, operations in decided:
        state, results = done(state, operations)
        results = results or CANCELLED_RESULTS
        ids = tuple(range(position + 1, position + len(results) + 1))
        position = ids[-1]
        values[position] = dict(state)
        happening = as_decided(request, operations, list(zip(ids, results, strict=True)), groups)
        if happening is None:
            return False
        happenings.append(happening)
    if any(answered_otherwise(group, decided) for group in groups.items()):
        return False
    looks = list(reads(calls))
    return all(shows(one, values) for one in looks) and in_time(happenings, looks)


def shows(look: Happening, values: Mapping[int, Mapping[int, int]]) -> bool:
    """Return whether a read is of the state after some whole request."""
    assert look.query is not None
    return look.ids[0] in values and look.results == (("shown", values[look.ids[0]].get(look.query)),)


def as_decided(
    request: RequestId,
    operations: tuple[Form, ...],
    results: list[tuple[int, tuple[str, int | None]]],
    groups: Mapping[RequestId, Sequence[HistoryCall]],
) -> Happening | None:
    """Return a journal's request, if somebody asked for it and all who were told were told this."""
    group = groups.get(request, [])
    sent = [
        call
        for call in group
        if isinstance(call.outcome, AnsweredOutcome | UnknownOutcome)
        and (call.operations == operations if operations else not call.operations)
    ]
    answered = [call for call in group if isinstance(call.outcome, AnsweredOutcome)]
    right = [(action_id, *result) for action_id, result in results]
    if not sent or any([tuple(one) for one in call.outcome.results] != right for call in answered):  # type: ignore[union-attr]
        return None
    end = min((call.completed_ns or 0 for call in answered), default=inf)
    return Happening(
        min(call.invoked_ns for call in sent), end, operations, None, None, request, (right[-1][0],)
    )


def answered_otherwise(group: tuple[RequestId, Sequence[HistoryCall]], decided: Sequence[Decided]) -> bool:
    """Return whether somebody was told of a request that is not in the journal."""
    request, calls = group
    return not any(request == one for one, _ in decided) and any(
        isinstance(call.outcome, AnsweredOutcome) for call in calls
    )


def refusals_hold(calls: Sequence[HistoryCall], decided: Sequence[Decided]) -> bool:
    """Return whether what was refused never happened, and stale is only what something newer overtook."""
    for call in calls:
        if call.request is not None and isinstance(call.outcome, RefusedOutcome):
            session, sequence = call.request
            newer = [one for one, _ in decided if one[0] == session and one[1] > sequence]
            if any(one == call.request for one, _ in decided) or not newer:
                return False
    return True


def in_time(happenings: Sequence[Happening], looks: Sequence[Happening]) -> bool:
    """Return whether the order of the journal, with each read where it says, is one in time (all pairs)."""
    placed = [(one.ids[0], 0, one) for one in happenings] + [(one.ids[0], 1, one) for one in looks]
    for place, kind, one in placed:
        for other_place, other_kind, other in placed:
            both_read_here = kind == other_kind == 1 and place == other_place
            if other.end < one.begin and not both_read_here and (other_place, other_kind) >= (place, kind):
                return False
    return True
