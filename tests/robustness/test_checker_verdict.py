"""Each check of the verdict, seen to fail once: a planted lie is found, and told in its own sentence."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bankrmi.bank.accounts import packed
from bankrmi.bank.operations import LARGEST, Deposit, Operation, Withdraw
from bankrmi.replication.entry import Entry, Position, chained
from bankrmi.robustness.checker.history import (
    SHOWN,
    Answered,
    Call,
    Outcome,
    Refused,
    Result,
    Unknown,
    Unreached,
)
from bankrmi.robustness.checker.verdict import Copy, Verdict, judge
from bankrmi.verifying.model import BankModel
from tests.robustness.small_banks import OPENING, copy_of, entries_of

LEDGER = {1: 100, 2: 300}
TAKE = packed(Withdraw(1, 10))
PUT = packed(Deposit(2, 5))
TOO_MUCH = packed(Withdraw(1, 1000))
SECOND = 1_000_000_000

JOURNAL = [(("a", 1), (TAKE,)), (("b", 1), (PUT, TOO_MUCH)), (("a", 2), ())]
"""Action id 1: 90 on account 1; 2 and 3: 305 on account 2, and a decline; 4: cancelled."""


def call(
    client: str,
    begin: int,
    end: int | None,
    outcome: Outcome,
    request: Any = None,
    *operations: bytes,
    query: Any = None,
) -> Call:
    """Return a call; times in seconds."""
    return Call(
        client=client,
        number=begin,
        kind="balance" if request is None else "change" if operations else "outcome",
        invoked_ns=begin * SECOND,
        completed_ns=None if end is None else end * SECOND,
        request=request,
        operations=operations,
        query=query,
        outcome=outcome,
    )


def told(*results: tuple[int, str, int | None]) -> Answered:
    return Answered("h", tuple(Result(*result) for result in results))


def read(client: str, begin: int, end: int, account: int, action_id: int, value: int | None) -> Call:
    return call(client, begin, end, told((action_id, SHOWN, value)), query=account)


TOOK = call("c1", 1, 2, told((1, "done", 90)), ("a", 1), TAKE)
BATCH = call("c2", 3, 5, told((2, "done", 305), (3, "insufficient", 90)), ("b", 1), PUT, TOO_MUCH)
LOST = call("c1", 5, None, Unknown(), ("a", 2), TAKE)
ASKED = call("c1", 6, 7, told((4, "cancelled", None)), ("a", 2))
GOOD = (TOOK, BATCH, LOST, ASKED, read("c3", 8, 9, 2, 4, 305), read("c3", 2, 4, 1, 1, 90))


def verdict(calls: Sequence[Call], journal: Any = JOURNAL, **options: Any) -> Verdict:
    entries = entries_of(journal, LEDGER)
    return judge(calls, [copy_of("s1", entries, LEDGER)], BankModel(LEDGER), begin_ns=0, **options)


def only(found: Verdict) -> str:
    [sentence] = found.violations
    assert found.violation_count == 1
    return sentence


def instead(old: Call, **changes: Any) -> list[Call]:
    return [replace(old, **changes) if one is old else one for one in GOOD]


def test_a_sound_history_has_no_violation_and_is_counted() -> None:
    found = verdict(GOOD)
    assert found.violations == ()
    assert (found.calls, found.operations, found.reads, found.entries) == (6, 4, 2, 4)
    assert (found.unknown_done, found.unknown_cancelled, found.unknown_not_done) == (0, 0, 0)


# -- answers ---------------------------------------------------------------------------------------


def test_an_acknowledged_operation_that_is_not_in_the_journal_is_lost() -> None:
    more = call("c4", 9, 10, told((5, "done", 310)), ("d", 1), PUT)
    assert only(verdict([*GOOD, more])) == (
        "c4 at 9.000000 s, deposit 5 on account 2 as d:1: told done (310) at action id 5, "
        "and the request is not in the journal"
    )


def test_an_answer_that_is_not_the_journals_is_found() -> None:
    lie = told((2, "done", 305), (3, "done", 90))
    assert only(verdict(instead(BATCH, outcome=lie))) == (
        "c2 at 3.000000 s, 2 operations as b:1: told operation 2: done (90) at action id 3, "
        "and the journal holds insufficient (90) at action id 3"
    )


def test_every_call_of_one_request_has_to_be_told_the_same() -> None:
    again = call("c1", 10, 11, told((2, "done", 80)), ("a", 1), TAKE)
    assert only(verdict([*GOOD, again])).endswith(
        "told done (80) at action id 2, and the journal holds done (90) at action id 1"
    )
    asked = call("c5", 10, 11, told((1, "insufficient", 100)), ("a", 1))
    assert only(verdict([*GOOD, asked])).startswith("c5 at 10.000000 s, outcome of a:1: told insufficient")


def test_an_answer_with_too_few_results_is_found() -> None:
    assert "told 1 results from done (305) at action id 2, and the journal holds 2 from" in only(
        verdict(instead(BATCH, outcome=told((2, "done", 305))))
    )


def test_what_was_done_may_not_be_called_cancelled_nor_the_other_way_round() -> None:
    lie = told((1, "cancelled", None))
    assert "told cancelled at action id 1, and the journal holds done (90)" in only(
        verdict(instead(TOOK, outcome=lie))
    )
    late = call("c1", 8, 9, told((4, "done", 80)), ("a", 2), TAKE)
    assert "told done (80) at action id 4, and the journal holds cancelled" in only(verdict([*GOOD, late]))


def test_nobody_is_told_the_outcome_of_other_operations() -> None:
    other = call("c1", 10, 11, told((1, "done", 90)), ("a", 1), PUT)
    assert only(verdict([*GOOD, other])).endswith("told the outcome of other operations, at action id 1")


@pytest.mark.parametrize("code", ["stale", "invalid_request", "refused"])
def test_what_was_refused_may_never_be_in_the_journal(code: str) -> None:
    again = call("c1", 10, 11, Refused(code), ("a", 1), TAKE)
    assert only(verdict([*GOOD, again])).endswith(f"refused ({code}), and the request is at action id 1")


def test_an_id_that_was_used_for_something_else_may_be_refused() -> None:
    assert verdict([*GOOD, call("c1", 10, 11, Refused("invalid_request"), ("a", 1), PUT)]).violations == ()


def test_stale_is_said_only_when_something_newer_of_the_session_was_done() -> None:
    overtaken = call("c2", 10, 11, Refused("stale"), ("b", 2), TAKE)
    assert only(verdict([*GOOD, overtaken])).endswith(
        "told that it is stale, and nothing newer of its session was done"
    )
    journal = [*JOURNAL, (("b", 3), (TAKE,))]
    newer = call("c2", 10, 11, told((5, "done", 80)), ("b", 3), TAKE)
    assert verdict([*GOOD, overtaken, newer], journal).violations == ()


# -- what nobody asked for -------------------------------------------------------------------------


def test_what_nobody_asked_for_is_found() -> None:
    assert only(verdict(GOOD, [*JOURNAL, (("z", 1), (PUT,))])) == (
        "request z:1 at action id 5 was never asked for"
    )


def test_other_operations_than_were_asked_for_are_found() -> None:
    doubtful = call("c4", 9, None, Unknown(), ("d", 1), PUT)
    assert only(verdict([*GOOD, doubtful], [*JOURNAL, (("d", 1), (PUT, PUT))])) == (
        "request d:1 at action id 5 is not what was asked for: "
        "c4 at 9.000000 s, deposit 5 on account 2 as d:1"
    )


def test_what_was_never_sent_may_not_be_there() -> None:
    unsent = call("c4", 9, 10, Unreached(), ("d", 1), PUT)
    assert verdict([*GOOD, unsent]).violations == ()
    assert only(verdict([*GOOD, unsent], [*JOURNAL, (("d", 1), (PUT,))])).startswith(
        "request d:1 at action id 5 was never sent: c4"
    )


def test_nothing_is_cancelled_unless_somebody_asks_for_its_outcome() -> None:
    doubtful = call("c4", 9, None, Unknown(), ("d", 1), PUT)
    assert only(verdict([*GOOD, doubtful], [*JOURNAL, (("d", 1), ())])) == (
        "request d:1 at action id 5 is cancelled, and nobody was asking for its outcome"
    )


def test_what_is_unknown_is_resolved_by_the_journal() -> None:
    calls = [call("c4", 9, None, Unknown(), (name, 1), PUT) for name in "def"]
    asked = call("c5", 9, None, Unknown(), ("f", 1))
    found = verdict([*GOOD, *calls, asked], [*JOURNAL, (("d", 1), (PUT,)), (("f", 1), ())])
    assert found.violations == ()
    assert (found.unknown_done, found.unknown_cancelled, found.unknown_not_done) == (1, 1, 1)


# -- reads and real time ---------------------------------------------------------------------------


def test_a_read_of_what_never_was_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 9, 10, 2, 4, 300)])) == (
        "c5 at 9.000000 s, balance 2: read 300 at action id 4; it was 305"
    )
    assert verdict([*GOOD, read("c5", 9, 10, 77, 4, None)]).violations == ()


def test_a_read_beyond_the_journal_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 9, 10, 2, 5, 305)])).endswith(
        "read at action id 5, and the journal ends at 4"
    )


def test_a_read_within_a_request_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 3, 10, 2, 2, 305)])).endswith(
        "read at action id 2, within a request that ends at 3"
    )


def test_a_stale_read_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 9, 10, 2, 3, 305)])) == (
        "c5 at 9.000000 s, balance 2: read at action id 3; 4 was acknowledged before (to c1 at 6.000000 s)"
    )


def test_where_stale_reads_are_allowed_a_client_still_goes_back_behind_nothing_it_saw() -> None:
    stale = read("c5", 9, 10, 2, 3, 305)
    assert verdict([*GOOD, stale], fresh_reads=False).violations == ()
    stale = read("c1", 9, 10, 2, 3, 305)
    assert "4 was acknowledged before" in only(verdict([*GOOD, stale], fresh_reads=False))


def test_a_request_that_stands_before_what_was_over_when_it_was_asked_is_found() -> None:
    assert only(verdict(instead(TOOK, invoked_ns=6 * SECOND, completed_ns=7 * SECOND))) == (
        "c1 at 6.000000 s, withdraw 10 from account 1 as a:1: it is at action id 1, and before it was first "
        "asked, 3 was acknowledged (to c2 at 3.000000 s)"
    )


def test_a_request_counts_from_the_first_time_that_it_was_asked() -> None:
    again = replace(TOOK, number=9, invoked_ns=6 * SECOND, completed_ns=7 * SECOND)
    assert verdict([*GOOD, again]).violations == ()


def test_what_nobody_was_told_has_its_place_in_time_too() -> None:
    doubtful = instead(TOOK, invoked_ns=6 * SECOND, completed_ns=None, outcome=Unknown())
    assert "it is at action id 1, and before it was first asked, 3" in verdict(doubtful).violations[0]


# -- the journal -----------------------------------------------------------------------------------


def judged(entries: Sequence[Entry], values: Any = None, *, calls: Sequence[Call] = GOOD) -> Verdict:
    copy = copy_of("s1", entries, LEDGER)
    copy = copy if values is None else replace(copy, values=values)
    return judge(calls, [copy], BankModel(LEDGER), begin_ns=0)


def chain(*rows: tuple[tuple[str, int], int, bytes, str, int | None]) -> list[Entry]:
    """Return entries of (request, place, operation, status, result), with digests that are right."""
    entries, before = list[Entry](), OPENING
    for request, place, operation, status, result in rows:
        entries.append(chained(before, 1, request, place, (operation, status, result), 0))
        before = entries[-1].position
    return entries


def test_a_gap_is_found() -> None:
    entries = entries_of(JOURNAL, LEDGER)
    found = judged([*entries[:3], entries[3]._replace(action_id=5)])
    assert "action id 4 is missing from the journal: 5 is there" in found.violations


def test_a_digest_that_is_not_that_of_the_entry_is_found() -> None:
    entries = entries_of(JOURNAL, LEDGER)
    entries[1] = entries[1]._replace(time_us=7)
    assert only(judged(entries)) == "the digest at action id 2 is not that of the entry and all before it"


def test_an_epoch_that_goes_back_is_found() -> None:
    first = chained(OPENING, 3, ("a", 1), 0, (TAKE, "done", 90), 0)
    second = chained(first.position, 2, ("b", 1), 0, (PUT, "done", 305), 0)
    assert "epoch 2 at action id 2 comes after epoch 3" in judged([first, second], calls=[]).violations


def test_a_result_that_is_not_what_comes_of_the_operation_is_found() -> None:
    entries = chain((("a", 1), 0, TAKE, "done", 91))
    lie = [replace(TOOK, outcome=told((1, "done", 91)))]
    assert only(judged(entries, calls=lie)) == (
        "action id 1 says ('done', 91), and replay says ('done', 90): withdraw 10 from account 1"
    )


def test_a_status_that_is_not_what_comes_of_the_operation_is_found() -> None:
    entries = chain((("a", 1), 0, TAKE, "insufficient", 90))
    lie = [replace(TOOK, outcome=told((1, "insufficient", 90)))]
    assert "says ('insufficient', 90), and replay says ('done', 90)" in only(judged(entries, calls=lie))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Withdraw(1, 100), ("done", 0)),
        (Withdraw(1, 101), ("insufficient", 100)),
        (Deposit(1, LARGEST - 100), ("done", LARGEST)),
        (Deposit(1, LARGEST - 99), ("too_large", 100)),
        (Withdraw(1, 0), ("done", 100)),
        (Deposit(9, 1), ("no_account", None)),
    ],
    ids=str,
)
def test_the_model_says_what_the_specification_says(
    operation: Operation, expected: tuple[str, int | None]
) -> None:
    model = BankModel(LEDGER)
    assert model.apply(packed(operation)) == expected
    assert list(model.audit(model.values)) == []


def test_an_overdraft_is_found_though_journal_and_table_agree_on_it() -> None:
    entries = chain((("a", 1), 0, TOO_MUCH, "done", -900))
    overdrawn = [replace(TOOK, operations=(TOO_MUCH,), outcome=told((1, "done", -900)))]
    replayed = "action id 1 says ('done', -900), and replay says ('insufficient', 100)"
    assert judged(entries, {1: -900, 2: 300}, calls=overdrawn).violations == (
        f"{replayed}: withdraw 1000 from account 1",
        "on s1, 1 holds -900, and the journal adds up to 100",
        "on s1, account 1 holds -900, and a balance is never negative",
        "on s1, all accounts hold -600, and the opening 400 with 0 deposited and 0 withdrawn is 400",
    )


def test_a_request_done_twice_is_found() -> None:
    entries = chain((("a", 1), 0, TAKE, "done", 90), (("a", 1), 0, TAKE, "done", 80))
    assert (
        only(judged(entries, calls=[TOOK]))
        == "request a:1 is in the journal twice, the second time at action id 2"
    )


def test_a_request_that_was_split_is_found() -> None:
    entries = chain(
        (("b", 1), 0, PUT, "done", 305),
        (("a", 1), 0, TAKE, "done", 90),
        (("b", 1), 1, TOO_MUCH, "insufficient", 90),
    )
    assert "operation 2 of request b:1 is at action id 3, apart from the one before it" in (
        judged(entries).violations
    )


def test_operations_out_of_their_order_are_found() -> None:
    entries = chain((("b", 1), 0, PUT, "done", 305), (("b", 1), 2, PUT, "done", 310))
    assert "operation 3 of request b:1 is at action id 2, apart from the one before it" in (
        judged(entries, calls=[]).violations
    )


def test_a_request_behind_a_newer_one_of_its_session_is_found() -> None:
    entries = chain((("a", 2), 0, TAKE, "done", 90), (("a", 1), 0, TAKE, "done", 80))
    assert "request a:1 is at action id 2, after number 2 of its session" in judged(entries).violations


def test_a_cancelled_operation_of_a_request_is_found() -> None:
    entries = chain((("b", 1), 0, PUT, "done", 305), (("b", 1), 1, b"", "cancelled", None))
    assert "what is cancelled at action id 2 is not a whole request" in judged(entries).violations
    entries = chain((("b", 1), 0, b"", "cancelled", None), (("b", 1), 1, PUT, "done", 305))
    assert "operation 2 of request b:1 is at action id 2, apart from the one before it" in (
        judged(entries).violations
    )


# -- copies ----------------------------------------------------------------------------------------


def judged_together(*copies: Copy) -> Verdict:
    return judge(GOOD, copies, BankModel(LEDGER), begin_ns=0)


def copies_of_the_journal() -> tuple[Copy, Copy]:
    entries = entries_of(JOURNAL, LEDGER)
    return copy_of("s1", entries, LEDGER), copy_of("s2", entries, LEDGER)


def test_equal_copies_are_counted() -> None:
    found = judged_together(*copies_of_the_journal())
    assert (found.violations, found.copies, found.entries) == ((), ("s1", "s2"), 4)


def test_a_copy_that_ends_too_early_is_found_and_the_longer_journal_counts() -> None:
    one, other = copies_of_the_journal()
    short = replace(one, entries=list(one.entries)[:3])
    assert only(judged_together(short, other)) == "s1's journal ends at action id 3, and another goes on"


def test_a_copy_that_holds_something_else_is_found() -> None:
    one, other = copies_of_the_journal()
    entries = list(other.entries)
    entries[3] = entries[3]._replace(digest=b"another")
    assert only(judged_together(one, replace(other, entries=entries))) == (
        "s2 holds another entry at action id 4 than the others"
    )


def test_copies_that_were_opened_differently_are_found() -> None:
    one, other = copies_of_the_journal()
    other = replace(other, opening=Position(0, 0, b"elsewhere"))
    assert only(judged_together(one, other)) == "s1 and s2 were not opened with the same state and history"


def test_accounts_that_are_not_what_the_journal_adds_up_to_are_found() -> None:
    one, other = copies_of_the_journal()
    assert judged_together(one, replace(other, values={1: 90, 2: 304})).violations == (
        "on s2, 2 holds 304, and the journal adds up to 305",
        "on s2, all accounts hold 394, and the opening 400 with 5 deposited and 10 withdrawn is 395",
    )
    assert "s2 has no 2, and the journal adds up to 305" in (
        judged_together(one, replace(other, values={1: 90})).violations
    )
    assert "on s2, 9 holds 1, and was never opened" in (
        judged_together(one, replace(other, values={1: 90, 2: 305, 9: 1})).violations
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_of_cycles_is_afterwards_as_it_was(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        verdict(GOOD)
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_a_run_that_went_all_wrong_is_told_in_a_thousand_sentences_and_counted_whole() -> None:
    found = verdict([*GOOD, *(read("c5", 9, 10, 2, 4, 0) for _ in range(1500))])
    assert (len(found.violations), found.violation_count) == (1000, 1500)
