"""Small random histories of a bank that keeps its promises, and ways to break them.

Rule 1: a bank here is atomic: each call arrives at one moment between its invocation and its completion, or,
        if its client was never answered, at any time after, or never. What it is told then is the truth.
Rule 2: a breakage lies about as much as it can consistently: a journal is always sound in itself (its digests
        are right and its results are what replay gives), so that only what clients know can tell.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import CloseAccount, Deposit, OpenAccount, Transfer, Withdraw
from bankrmi.replication.record import (
    CANCELLED,
    DONE,
    Entry,
    Position,
    Record,
    chained,
    entries_of,
    packed,
)
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    HistoryCall,
    OperationResult,
    Outcome,
    RefusedOutcome,
    RequestId,
    UnknownOutcome,
    UnreachedOutcome,
)
from bankrmi.robustness.checker.verdict import Copy, HistoryVerdict, judge
from bankrmi.verifying.model import BankModel

__all__ = [
    "BREAKAGES",
    "OPENING",
    "Case",
    "chain",
    "copy_of",
    "looked_at_last",
    "random_case",
    "records_of",
    "relabelled",
    "rewritten",
    "telling_case",
    "verdict_on",
]

OPENING = Position(0, 0, b"opened")
Decided = tuple[RequestId, tuple[Form, ...]]
"""A request in a journal; without operations, it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A history, and the journal at the end."""

    ledger: Mapping[int, int]
    calls: Sequence[HistoryCall]
    decided: Sequence[Decided]


def records_of(decided: Iterable[Decided], ledger: Mapping[int, int]) -> list[Record]:
    """Return a sound journal."""
    model = BankModel(ledger)
    return chain(
        *(
            (request, [(operation, *model.apply(operation)) for operation in operations])
            for request, operations in decided
        )
    )


def chain(*requests: tuple[RequestId, Sequence[tuple[Any, ...]]]) -> list[Record]:
    """Return a record for each request and its (operation, status, result, ...), with digests that are right.

    A request without operations is cancelled.
    """
    records, before = list[Record](), OPENING
    for request, came in requests:
        operations = packed([operation for operation, *_ in came]) if came else b""
        outcomes = packed([told[1] if told[0] == DONE and len(told) == 2 else told for _, *told in came])
        outcomes = outcomes if came else b""
        records.append(chained(before, 1, request, (max(len(came), 1), operations, outcomes), 0))
        before = records[-1].position
    return records


def copy_of(name: str, records: Sequence[Record], ledger: Mapping[int, int]) -> Copy:
    """Return a disk with these records, and the accounts that they add up to."""
    return Copy(name=name, opening=OPENING, records=records, values=_values(entries_of(records), ledger))


def _values(entries: Sequence[Entry], ledger: Mapping[int, int]) -> dict[int, int]:
    model = BankModel(ledger)
    for entry in entries:
        if entry.status != CANCELLED:
            model.apply(entry.operation)
    return model.values


def verdict_on(case: Case) -> HistoryVerdict:
    """Return what the checker says."""
    copy = copy_of("s1", records_of(case.decided, case.ledger), case.ledger)
    return judge(case.calls, [copy], BankModel(case.ledger))


# -- banks that keep their promises ----------------------------------------------------------------


@dataclass(slots=True)
class _Planned:
    call: HistoryCall
    arrives: float | None


@dataclass(slots=True)
class _Plan:
    """What clients do when, drawn before anything happens."""

    chance: random.Random
    draw: Callable[[], Form]
    accounts: Sequence[int]
    repeats: bool
    planned: list[_Planned] = field(default_factory=list)

    def client(self, name: str, calls: int) -> None:
        """Plan one client's calls, more or less one after the other."""
        chance, now = self.chance, self.chance.randint(0, 6)
        earlier: list[HistoryCall] = []
        for number in range(1, calls + 1):
            call = self._next(name, number, earlier)
            ends = now + chance.randint(1, 8)
            unknown = chance.random() < 0.25
            late = chance.choice([None, chance.uniform(now, now + 30)])
            arrives = late if unknown else chance.uniform(now, ends)
            self.planned.append(
                _Planned(replace(call, invoked_ns=now, completed_ns=None if unknown else ends), arrives)
            )
            now = max(now, ends + chance.randint(-1, 4))

    def _next(self, name: str, number: int, earlier: list[HistoryCall]) -> HistoryCall:
        """Draw a read, or an earlier request again, or its outcome, or a new request."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.35:
            account = chance.choice(self.accounts)
            return replace(_call(name, number, None, ()), kind="balance", query=account)
        if kind < 0.6 and earlier and self.repeats:
            again = chance.choice(earlier)
            return replace(again, number=number, operations=chance.choice([again.operations, ()]))
        request = (f"{name}a", number) if self.repeats and chance.random() < 0.8 else (f"{name}b{number}", 1)
        size = 1 if chance.random() < 0.75 else chance.randint(2, 3)
        call = _call(name, number, request, tuple(self.draw() for _ in range(size)))
        earlier.append(call)
        return call


def _call(client: str, number: int, request: RequestId | None, operations: tuple[Form, ...]) -> HistoryCall:
    return HistoryCall(
        client=client,
        number=number,
        kind="change",
        invoked_ns=0,
        completed_ns=None,
        request=request,
        operations=operations,
        query=None,
        outcome=UnknownOutcome(),
    )


def random_case(chance: random.Random, *, most_calls: int = 7) -> Case:
    """Return a valid history: two accounts, declines, batches, retries, outcomes asked, unknown ends."""
    ledger = {1: chance.choice([0, 5]), 2: 3}

    def draw() -> Form:
        if chance.random() < 0.2:
            account = chance.choice([1, 1, 2, 9])
            return form_of(OpenAccount(account) if chance.random() < 0.5 else CloseAccount(account))
        kind: Any = chance.choice([Withdraw, Deposit, Transfer])
        account, amount = chance.choice([1, 1, 1, 2, 2, 9]), chance.choice([1, 2, 4, 8])
        if kind is Transfer:
            return form_of(
                Transfer(account, chance.choice([one for one in (1, 2, 9) if one != account]), amount)
            )
        return form_of(kind(account, amount))

    plan = _Plan(chance, draw, (1, 1, 2, 9), repeats=True)
    left = chance.randint(2, most_calls)
    for number in range(1, chance.randint(2, 3) + 1):
        calls = min(left, chance.randint(1, 4))
        left -= calls
        plan.client(f"c{number}", calls)
    return _run(plan.planned, ledger)


def telling_case(chance: random.Random) -> Case:
    """Return a valid history whose results tell their order: each balance shows all that came before.

    One account, deposits of different powers of two, no two of one session; `looked_at_last` shows what
    nobody else saw.
    """
    amounts = [1 << place for place in range(30)]
    chance.shuffle(amounts)
    plan = _Plan(chance, lambda: form_of(Deposit(1, amounts.pop())), (1,), repeats=False)
    for number in range(1, chance.randint(2, 3) + 1):
        plan.client(f"c{number}", chance.randint(1, 3))
    return _run(plan.planned, {1: 0})


def looked_at_last(case: Case) -> Case:
    """Return the case with one more read, after everything."""
    call = replace(_call("last", 1, None, ()), kind="balance", query=1, invoked_ns=1000, completed_ns=1001)
    call = replace(call, outcome=answer(call, case.decided, case.ledger))
    return replace(case, calls=[*case.calls, call])


def _run(planned: Sequence[_Planned], ledger: Mapping[int, int]) -> Case:
    """Let everything arrive; return what everyone was told."""
    decided: list[Decided] = []
    told: dict[int, Outcome] = {}
    arriving = [place for place, one in enumerate(planned) if one.arrives is not None]
    for place in sorted(arriving, key=lambda place: planned[place].arrives or 0):
        told[place] = _arrive(planned[place].call, decided, ledger)
    calls = [
        replace(one.call, outcome=told[place]) if one.call.completed_ns is not None else one.call
        for place, one in enumerate(planned)
    ]
    return Case(ledger=ledger, calls=calls, decided=decided)


def _arrive(call: HistoryCall, decided: list[Decided], ledger: Mapping[int, int]) -> Outcome:
    request = call.request
    if request is None:
        return answer(call, decided, ledger)
    known = [one for one, _ in decided]
    if request not in known:
        if any(one[0] == request[0] and one[1] > request[1] for one in known):
            return RefusedOutcome("stale")
        decided.append((request, tuple(call.operations)))
    return answer(call, decided, ledger)


def answer(
    call: HistoryCall, decided: Sequence[Decided], ledger: Mapping[int, int], *, at: int | None = None
) -> Outcome:
    """Return what a journal says to a call; a read is of the end, or of action id `at`."""
    entries = entries_of(records_of(decided, ledger))
    if call.request is None:
        at = len(entries) if at is None else at
        value = _values(entries[:at], ledger).get(call.query)
        return AnsweredOutcome(None, (OperationResult(at, SHOWN, value),))
    return AnsweredOutcome(
        None,
        tuple(
            OperationResult(entry.action_id, entry.status, entry.result)
            for entry in entries
            if (entry.session, entry.sequence) == call.request
        ),
    )


# -- banks that do not -----------------------------------------------------------------------------


def rewritten(case: Case, decided: Sequence[Decided]) -> Case:
    """Return the case with another journal, and everybody told what that says, wherever it says anything."""
    entries = entries_of(records_of(decided, case.ledger))
    known = {request for request, _ in decided}
    calls = []
    for call in case.calls:
        if isinstance(call.outcome, AnsweredOutcome) and (call.request is None or call.request in known):
            at = min(call.outcome.action_id, len(entries)) if call.request is None else None
            call = replace(call, outcome=answer(call, decided, case.ledger, at=at))
        calls.append(call)
    return replace(case, calls=calls, decided=decided)


def relabelled(case: Case, decided: Sequence[Decided]) -> Case:
    """Return the case with another journal, and its ids, but everybody told the same results as before.

    A read keeps its place behind the request that it stood behind, as far as that is still there.
    """
    ends = _ends(decided)
    before = [(end, request) for request, end in _ends(case.decided).items()]
    calls = []
    for call in case.calls:
        if isinstance(call.outcome, AnsweredOutcome):
            told = call.outcome
            if call.request is None:
                ahead = [
                    ends[request] for end, request in before if end <= told.action_id and request in ends
                ]
                ids = [ahead[-1] if ahead else 0]
            else:
                end = ends.get(call.request, told.action_id)
                ids = list(range(end - len(told.results) + 1, end + 1))
            results = tuple(one._replace(action_id=at) for one, at in zip(told.results, ids, strict=True))
            call = replace(call, outcome=replace(told, results=results))
        calls.append(call)
    return replace(case, calls=calls, decided=decided)


def _ends(decided: Sequence[Decided]) -> dict[RequestId, int]:
    ends, end = {}, 0
    for request, operations in decided:
        end += max(len(operations), 1)
        ends[request] = end
    return ends


def _changed(case: Case, call: HistoryCall, **changes: object) -> Case:
    new = replace(call, **changes)  # type: ignore[arg-type]
    return replace(case, calls=[new if one is call else one for one in case.calls])


def _answered(case: Case, chance: random.Random) -> HistoryCall | None:
    answered = [call for call in case.calls if isinstance(call.outcome, AnsweredOutcome)]
    return chance.choice(answered) if answered else None


def another_result(case: Case, chance: random.Random) -> Case:
    """Somebody is told another balance, or another status."""
    call = _answered(case, chance)
    if call is None:
        return case
    assert isinstance(call.outcome, AnsweredOutcome)
    results = list(call.outcome.results)
    place = chance.randrange(len(results))
    if chance.random() < 0.5 or call.request is None:
        changed = results[place]._replace(value=(results[place].value or 0) + chance.choice([-1, 1, 2]))
    else:
        changed = results[place]._replace(status=chance.choice(["done", "insufficient", CANCELLED]))
    results[place] = changed
    return _changed(case, call, outcome=AnsweredOutcome(None, tuple(results)))


def another_id(case: Case, chance: random.Random) -> Case:
    """Somebody is told a wrong action id."""
    call = _answered(case, chance)
    if call is None:
        return case
    assert isinstance(call.outcome, AnsweredOutcome)
    shift = chance.choice([-2, -1, 1, 2])
    results = tuple(one._replace(action_id=one.action_id + shift) for one in call.outcome.results)
    return _changed(case, call, outcome=AnsweredOutcome(None, results))


def another_read(case: Case, chance: random.Random) -> Case:
    """A read is of another state, older or newer, and says so."""
    reads = [
        call for call in case.calls if call.request is None and isinstance(call.outcome, AnsweredOutcome)
    ]
    if not reads:
        return case
    call = chance.choice(reads)
    at = chance.randint(0, len(entries_of(records_of(case.decided, case.ledger))))
    return _changed(case, call, outcome=answer(call, case.decided, case.ledger, at=at))


def another_time(case: Case, chance: random.Random) -> Case:
    """Somebody asked at another time than was written down."""
    call = chance.choice(case.calls)
    begin = chance.randint(0, 25)
    end = None if call.completed_ns is None else begin + chance.randint(0, 6)
    return _changed(case, call, invoked_ns=begin, completed_ns=end)


def lost(case: Case, chance: random.Random) -> Case:
    """A request is gone from the journal; others were told that it was there, or not even that."""
    if not case.decided:
        return case
    gone = chance.randrange(len(case.decided))
    decided = [one for place, one in enumerate(case.decided) if place != gone]
    return chance.choice([rewritten, relabelled])(case, decided)


def doubled(case: Case, chance: random.Random) -> Case:
    """A request is done twice, the second time under its own id, or under one that nobody used."""
    if not case.decided:
        return case
    request, operations = chance.choice(case.decided)
    again = chance.choice([request, ("nobody", 1)])
    decided = [*case.decided]
    decided.insert(chance.randint(0, len(decided)), (again, operations))
    return chance.choice([rewritten, relabelled])(case, decided)


def reordered(case: Case, chance: random.Random) -> Case:
    """Requests happened in another order, and everybody was told what came of that."""
    decided = [*case.decided]
    if chance.random() < 0.5:
        chance.shuffle(decided)
    elif len(decided) > 1:
        place = chance.randrange(len(decided) - 1)
        decided[place : place + 2] = reversed(decided[place : place + 2])
    return chance.choice([rewritten, rewritten, relabelled])(case, decided)


def unknown_otherwise(case: Case, chance: random.Random) -> Case:
    """What nobody was told of did happen, or did not, or somewhere else."""
    told = {call.request for call in case.calls if not isinstance(call.outcome, UnknownOutcome)}
    unknown = [call for call in case.calls if call.request is not None and call.request not in told]
    if not unknown:
        return case
    call = chance.choice(unknown)
    assert call.request is not None
    decided = [one for one in case.decided if one[0] != call.request]
    if len(decided) == len(case.decided) or chance.random() < 0.5:
        decided.insert(chance.randint(0, len(decided)), (call.request, tuple(call.operations)))
    return chance.choice([rewritten, relabelled])(case, decided)


def forgotten(case: Case, chance: random.Random) -> Case:
    """Somebody who was answered is taken for unanswered, which must never make a valid history invalid."""
    call = _answered(case, chance)
    return case if call is None else _changed(case, call, outcome=UnknownOutcome(), completed_ns=None)


def refused_falsely(case: Case, chance: random.Random) -> Case:
    """Somebody is told that it never happened, or that nothing was sent."""
    changes = [call for call in case.calls if call.request is not None]
    if not changes:
        return case
    call = chance.choice(changes)
    end = call.invoked_ns + 1 if call.completed_ns is None else call.completed_ns
    return _changed(
        case, call, outcome=chance.choice([RefusedOutcome("stale"), UnreachedOutcome()]), completed_ns=end
    )


BREAKAGES = (
    another_result,
    another_id,
    another_read,
    another_time,
    lost,
    doubled,
    reordered,
    unknown_otherwise,
    forgotten,
    refused_falsely,
)
