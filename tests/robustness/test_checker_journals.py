"""Each check of journals and their copies, seen to fail once: what does not add up is told in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import LARGEST, Deposit, Operation, Withdraw
from bankrmi.replication.record import Position, Record, chained, packed
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.robustness.checker.verdict import Copy, HistoryVerdict, judge
from bankrmi.verifying.model import BankModel
from tests.robustness.made_up_calls import GOOD, JOURNAL, LEDGER, PUT, TAKE, TOO_MUCH, TOOK, only, told
from tests.robustness.small_banks import OPENING, chain, copy_of, records_of


def judged(
    records: Sequence[Record], values: Any = None, *, calls: Sequence[HistoryCall] = GOOD
) -> HistoryVerdict:
    if values is None:
        values = copy_of("s1", records, LEDGER).values
    copy = Copy(name="s1", opening=OPENING, records=records, values=values)
    return judge(calls, [copy], BankModel(LEDGER), begin_ns=0)


def test_a_gap_is_found() -> None:
    records = records_of(JOURNAL, LEDGER)
    found = judged([*records[:2], records[2]._replace(action_id=5)])
    assert "action id 4 is missing from the journal: 5 is there" in found.violations


def test_a_digest_that_is_not_that_of_the_record_is_found() -> None:
    records = records_of(JOURNAL, LEDGER)
    records[1] = records[1]._replace(time_us=7)
    assert only(judged(records)) == "the digest at action id 3 is not that of the record and all before it"


def test_an_epoch_that_goes_back_is_found() -> None:
    first = chained(OPENING, 3, ("a", 1), (1, packed([TAKE]), packed([90])), 0)
    second = chained(first.position, 2, ("b", 1), (1, packed([PUT]), packed([305])), 0)
    assert "epoch 2 at action id 2 comes after epoch 3" in judged([first, second], calls=[]).violations


def test_a_result_that_is_not_what_comes_of_the_operation_is_found() -> None:
    records = chain((("a", 1), [(TAKE, "done", 91)]))
    lie = [replace(TOOK, outcome=told((1, "done", 91)))]
    assert only(judged(records, calls=lie)) == (
        "action id 1 says ('done', 91), and replay says ('done', 90): withdraw 10 from account 1"
    )


def test_a_status_that_is_not_what_comes_of_the_operation_is_found() -> None:
    records = chain((("a", 1), [(TAKE, "insufficient", 90)]))
    lie = [replace(TOOK, outcome=told((1, "insufficient", 90)))]
    assert "says ('insufficient', 90), and replay says ('done', 90)" in only(judged(records, calls=lie))


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
    assert model.apply(form_of(operation)) == expected
    assert list(model.audit(model.values)) == []


def test_an_overdraft_is_found_though_journal_and_table_agree_on_it() -> None:
    records = chain((("a", 1), [(TOO_MUCH, "done", -900)]))
    overdrawn = [replace(TOOK, operations=(TOO_MUCH,), outcome=told((1, "done", -900)))]
    replayed = "action id 1 says ('done', -900), and replay says ('insufficient', 100)"
    assert judged(records, {1: -900, 2: 300}, calls=overdrawn).violations == (
        f"{replayed}: withdraw 1000 from account 1",
        "on s1, 1 holds -900, and the journal adds up to 100",
        "on s1, account 1 holds -900, and a balance is never negative",
        "on s1, all accounts hold -600, and the opening 400 with 0 deposited and 0 withdrawn is 400",
    )


def test_a_request_done_twice_is_found() -> None:
    records = chain((("a", 1), [(TAKE, "done", 90)]), (("a", 1), [(TAKE, "done", 80)]))
    assert (
        only(judged(records, calls=[TOOK]))
        == "request a:1 is in the journal twice, the second time at action id 2"
    )


def test_a_request_behind_a_newer_one_of_its_session_is_found() -> None:
    records = chain((("a", 2), [(TAKE, "done", 90)]), (("a", 1), [(TAKE, "done", 80)]))
    assert "request a:1 is at action id 2, after number 2 of its session" in judged(records).violations


TWO = packed([PUT, TOO_MUCH])


@pytest.mark.parametrize(
    "decided",
    [
        (1, TWO, packed([305, ("insufficient", 100)])),
        (3, TWO, packed([305, ("insufficient", 100)])),
        (2, TWO, packed([305])),
        (2, TWO, packed([305, ("insufficient", 100), 305])),
        (2, TWO, b""),
        (2, TWO, b"\xc1"),
        (2, TWO, packed(305)),  # type: ignore[arg-type]
        (2, b"\xc1", packed([305, ("insufficient", 100)])),
    ],
)
@pytest.mark.parametrize("before", [0, 1])
def test_a_record_that_does_not_hold_the_operations_that_it_says_is_found(
    decided: tuple[int, bytes, bytes], before: int
) -> None:
    """And the verdict on all others is given all the same, whoever was told of this one."""
    records = chain((("a", 1), [(TAKE, "done", 90)]))[:before]
    place = records[-1].position if records else OPENING
    found = judged([*records, chained(place, 1, ("b", 1), decided, 0)], {1: 90, 2: 305})
    assert f"the record at action id {before + 1} cannot be read" in found.violations


def test_an_operation_that_is_none_is_found() -> None:
    records = [chained(OPENING, 1, ("b", 1), (2, packed([PUT, 5]), packed([305, 305])), 0)]
    found = judged(records, {1: 100, 2: 305}, calls=[])
    assert "the operation at action id 2 cannot be read" in found.violations


@pytest.mark.parametrize("decided", [(2, b"", b""), (1, b"", packed([305]))])
def test_something_cancelled_that_is_not_a_whole_request_or_did_something_is_found(
    decided: tuple[int, bytes, bytes],
) -> None:
    records = [chained(OPENING, 1, ("b", 1), decided, 0)]
    found = judged(records, LEDGER, calls=[])
    sentence = f"what is cancelled at action id {decided[0]} is not a whole request"
    assert sentence in found.violations


# -- copies ----------------------------------------------------------------------------------------


def judged_together(*copies: Copy) -> HistoryVerdict:
    return judge(GOOD, copies, BankModel(LEDGER), begin_ns=0)


def copies_of_the_journal() -> tuple[Copy, Copy]:
    records = records_of(JOURNAL, LEDGER)
    return copy_of("s1", records, LEDGER), copy_of("s2", records, LEDGER)


def test_equal_copies_are_counted() -> None:
    found = judged_together(*copies_of_the_journal())
    assert (found.violations, found.copies, found.entries) == ((), ("s1", "s2"), 4)


def test_a_copy_that_ends_too_early_is_found_and_the_longer_journal_counts() -> None:
    one, other = copies_of_the_journal()
    short = replace(one, records=list(one.records)[:2])
    assert only(judged_together(short, other)) == "s1's journal ends at action id 3, and another goes on"


def test_a_copy_that_holds_something_else_is_found() -> None:
    one, other = copies_of_the_journal()
    records = list(other.records)
    records[2] = records[2]._replace(digest=b"another")
    assert only(judged_together(one, replace(other, records=records))) == (
        "s2 holds another record at action id 4 than the others"
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
