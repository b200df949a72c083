"""The checker believes the action ids that it is told; so lies about ids must not hide anything from it.

Held against two judges that try out or compare everything (`brute_force`), on thousands of small histories,
valid and broken. What "the same verdict" means:

- `agrees` knows the journal and the ids: it must say the same as the checker, always.
- `linearizable` knows results only. What it refuses, the checker refuses with any journal and any ids. What
  it accepts, the checker accepts with the ids that its order gives. With the ids that were told, the checker
  may refuse more (it must: an id that lies breaks a promise), unless results tell the order by themselves:
  then the verdicts are the same again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations, product

import pytest

from bankrmi.bank.forms import Form
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall, RequestId, UnknownOutcome
from tests.robustness.brute_force import Decided, Happening, agrees, linearizable
from tests.robustness.small_banks import (
    BREAKAGES,
    Case,
    another_read,
    another_time,
    forgotten,
    looked_at_last,
    random_case,
    relabelled,
    reordered,
    rewritten,
    telling_case,
    verdict_on,
)

pytestmark = [
    pytest.mark.parametrize("rounds", [500, pytest.param(5_000, marks=pytest.mark.long)]),
    pytest.mark.timeout(300),
]


def accepts(case: Case) -> bool:
    return verdict_on(case).violation_count == 0


def broken(chance: random.Random) -> tuple[str, Case]:
    """Return a random history with one to three breakages, and the name of the first."""
    case = random_case(chance)
    breakages = [chance.choice(BREAKAGES) for _ in range(chance.choice([1, 1, 2, 3]))]
    for breakage in breakages:
        case = breakage(case, chance)
    return breakages[0].__name__, case


def test_a_bank_that_keeps_its_promises_is_never_accused(rounds: int) -> None:
    chance, seen = random.Random(f"1 {rounds}"), Counter[str]()
    for _ in range(rounds):
        case = random_case(chance)
        verdict = verdict_on(case)
        assert verdict.violations == ()
        assert agrees(case.calls, case.decided, case.ledger)
        assert linearizable(case.calls, case.ledger) is not None
        seen.update(type(call.outcome).__name__ for call in case.calls)
        seen["retried"] += len({call.request for call in case.calls}) < len(case.calls) - verdict.reads
        seen["cancelled"] += any(not operations for _, operations in case.decided)
        seen["unknown done"] += verdict.unknown_done
        seen["unknown not done"] += verdict.unknown_not_done
    assert all(count > rounds // 500 for count in seen.values()), seen
    assert len(seen) == 7, seen


def test_with_the_journal_the_verdict_is_that_of_comparing_every_pair(rounds: int) -> None:
    """In both directions, whatever is broken."""
    chance, verdicts = random.Random(f"2 {rounds}"), Counter[tuple[str, bool]]()
    for _ in range(2 * rounds):
        name, case = broken(chance)
        verdict = verdict_on(case)
        assert (verdict.violation_count == 0) == agrees(case.calls, case.decided, case.ledger), verdict
        verdicts[name, verdict.violation_count == 0] += 1
    for breakage in BREAKAGES:
        assert verdicts[breakage.__name__, True] > rounds // 150, verdicts
        assert verdicts[breakage.__name__, False] > rounds // 30, verdicts


def test_what_is_not_linearizable_is_refused_whatever_ids_were_told(rounds: int) -> None:
    chance, refused, lies = random.Random(f"3 {rounds}"), Counter[str](), 0
    for _ in range(2 * rounds):
        name, case = broken(chance)
        accepted = accepts(case)
        if linearizable(case.calls, case.ledger) is None:
            assert not accepted, case
            refused[name] += 1
        elif not accepted:
            lies += 1
    assert lies > rounds // 15, "histories with sound results, where only ids or the journal lie"
    told = [breakage.__name__ for breakage in BREAKAGES if breakage is not forgotten]
    assert all(refused[name] > rounds // 75 for name in told), refused


def test_what_is_linearizable_is_accepted_with_the_ids_of_its_order(rounds: int) -> None:
    """The checker asks for no more than honest ids."""
    chance, mended = random.Random(f"4 {rounds}"), 0
    for _ in range(2 * rounds):
        _, case = broken(chance)
        order = linearizable(case.calls, case.ledger)
        if order is not None:
            honest = with_ids_of(case, order)
            assert verdict_on(honest).violations == (), honest
            mended += not accepts(case)
    assert mended > rounds // 15, "histories that the checker refused before, with the ids that were told"


def with_ids_of(case: Case, order: Sequence[Happening]) -> Case:
    """Return the case with a journal in this order, and ids to match; results stay as they were told."""
    decided = [(one.request, one.operations) for one in order if one.request is not None]
    honest = relabelled(replace(case, decided=decided), decided)
    places, end = [], 0
    for one in order:
        end += max(len(one.operations), 1) if one.request is not None else 0
        if one.request is None:
            places.append((one, end))
    return replace(honest, calls=[read_at(call, places) for call in honest.calls])


def read_at(call: HistoryCall, places: list[tuple[Happening, int]]) -> HistoryCall:
    if call.request is not None or not isinstance(call.outcome, AnsweredOutcome):
        return call
    told = call.outcome.results[0]
    wanted = [call.invoked_ns, call.completed_ns, call.query, ((told.status, told.value),)]
    for place, (one, end) in enumerate(places):
        if [one.begin, one.end, one.query, one.results] == wanted:
            del places[place]
            return replace(call, outcome=AnsweredOutcome(None, (told._replace(action_id=end),)))
    raise AssertionError(f"{call} is not in the order")


def test_where_results_tell_the_order_the_verdict_is_that_of_trying_every_order(rounds: int) -> None:
    """In both directions, as long as what was told is what a journal says."""
    chance, verdicts = random.Random(f"5 {rounds}"), Counter[tuple[str, bool]]()
    breakages = [another_read, another_time, reordered]
    for _ in range(2 * rounds):
        case = telling_case(chance)
        breakage = chance.choice(breakages)
        case = breakage(case, chance)
        case = looked_at_last(rewritten(case, case.decided))
        possible = linearizable(case.calls, case.ledger) is not None
        assert accepts(case) == possible, (case, verdict_on(case))
        verdicts[breakage.__name__, possible] += 1
    for breakage in breakages:
        assert verdicts[breakage.__name__, True] > rounds // 15, verdicts
        assert verdicts[breakage.__name__, False] > rounds // 15, verdicts


def test_no_journal_and_no_ids_whatever_hide_what_is_not_linearizable(rounds: int) -> None:
    """Every journal that could be, every place for every read: all are tried, on the smallest histories."""
    chance, cases, tried = random.Random(f"6 {rounds}"), 0, 0
    while cases < rounds // 10:
        case = random_case(chance, most_calls=4)
        case = chance.choice(BREAKAGES)(case, chance)
        reads = [call for call in case.calls if call.request is None]
        if len(reads) > 2 or linearizable(case.calls, case.ledger) is not None:
            continue
        cases += 1
        for lie in every_lie(case):
            tried += 1
            assert not accepts(lie), lie
    assert tried > rounds


def every_lie(case: Case) -> Iterator[Case]:
    """Yield the case with every journal of what was asked, and with every place of its reads."""
    for decided in every_journal(case):
        labelled = relabelled(case, decided)
        reads = [
            call
            for call in labelled.calls
            if call.request is None and isinstance(call.outcome, AnsweredOutcome)
        ]
        length = sum(max(len(operations), 1) for _, operations in decided)
        for ids in product(range(length + 1), repeat=len(reads)):
            at = {(call.client, call.number): action_id for call, action_id in zip(reads, ids, strict=True)}
            yield replace(labelled, calls=[placed(call, at) for call in labelled.calls])


def placed(call: HistoryCall, at: dict[tuple[str, int], int]) -> HistoryCall:
    action_id = at.get((call.client, call.number))
    if action_id is None:
        return call
    assert isinstance(call.outcome, AnsweredOutcome)
    return replace(
        call, outcome=AnsweredOutcome(None, (call.outcome.results[0]._replace(action_id=action_id),))
    )


def every_journal(case: Case) -> Iterator[list[Decided]]:
    """Yield every order of every choice of requests, as they were asked, or cancelled."""
    forms: dict[RequestId, set[tuple[Form, ...]]] = {}
    for call in case.calls:
        if call.request is not None and isinstance(call.outcome, AnsweredOutcome | UnknownOutcome):
            forms.setdefault(call.request, set()).add(tuple(call.operations))
    for size in range(len(forms) + 1):
        for chosen in combinations(sorted(forms), size):
            for order in permutations(chosen):
                for became in product(*(sorted(forms[request]) for request in order)):
                    yield list(zip(order, became, strict=True))
