"""What a database holds, against what clients were told: what is right passes, and each wrong is found."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from bankrmi.bank.operations import Deposit, Operation, Transfer, Withdraw
from bankrmi.robustness.checker.answers import Became
from bankrmi.robustness.engine.database_copy import DatabaseRequest, copy_file, kept_copy, written_to
from tests.robustness.engine.made_up_database import MadeUp


def usual() -> MadeUp:
    """Return a run of which everything is right: of each kind of call, one after the other."""
    made = MadeUp({1: 100, 2: 0, 3: 50})
    made.does("a:1", Withdraw(1, 10), at=(0, 5))
    made.does("b:1", Transfer(1, 2, 30), at=(6, 9))
    made.reads(1, at=(10, 11))
    made.does("b:2", Withdraw(2, 1_000), at=(12, 13))  # Declined, and an operation all the same.
    made.does("c:1", Deposit(3, 5), Transfer(3, 1, 1), Withdraw(404, 7), at=(14, 16))
    made.does("d:1", Deposit(2, 1), at=(17, 40), told=False)
    made.cancels("e:1", at=(18, 19))
    made.reads(404, at=(20, 21))
    made.totals(150 - 10 + 5 + 1, at=(41, 42))
    return made


def test_what_is_right_is_found_right() -> None:
    made = usual()
    verdict = made.verdict(replace(made.copy, name="db2"))
    assert verdict.violations == ()
    assert (verdict.operations, verdict.reads, verdict.totals) == (7, 2, 1)
    assert verdict.unknown == {Became.DONE: 1}


def test_a_copy_is_read_from_its_file_as_it_was(tmp_path: Path) -> None:
    made = usual()
    file = copy_file(tmp_path, "db1")
    file.parent.mkdir()
    written_to(file, made.copy)
    assert kept_copy(file) == made.copy


def wrong(sentence: str, made: MadeUp) -> None:
    found = made.verdict().violations
    assert any(sentence in one for one in found), found


def test_what_was_acknowledged_and_is_gone() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), at=(0, 5))
    calls = made.calls
    made = MadeUp({1: 100})
    made.calls = calls
    wrong("told done (90) at action id 1, and the request is not in the journal", made)


def test_a_request_done_twice() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), at=(0, 5))
    made.does("a:2", Withdraw(1, 10), at=(6, 8))
    made.calls.pop()
    wrong("request a:2 at action id 2 was never asked for", made)


def test_two_members_that_hold_different_things() -> None:
    made = usual()
    other = replace(deepcopy(made.copy), name="db2")
    other.accounts[1] = (7, 3)
    found = made.verdict(other).violations
    assert "db1 and db2 hold other accounts" in found
    assert any(one.startswith("on db2, 1 holds 7, and the journal adds up to ") for one in found)


def test_an_entry_that_is_missing() -> None:
    made = usual()
    made.copy.entries[1].pop()
    wrong("request c:1 has no entry on account 1", made)
    wrong("account 1 says that its newest entry is 3, and there are 2", made)


def test_an_entry_of_a_request_that_is_not_recorded() -> None:
    made = usual()
    del made.copy.requests["b", 1]
    wrong("entry 2 of account 1 is of request b:1, which is not recorded", made)


def test_an_outcome_that_cannot_be() -> None:
    made = MadeUp({1: 5})
    made.does("a:1", Withdraw(1, 3), at=(0, 1))
    made.does("a:2", Withdraw(1, 3), at=(2, 3))
    kept = made.copy.requests["a", 2]
    made.copy.requests["a", 2] = DatabaseRequest(kept.operations, b"\x91\xff", kept.action_ids)  # -1
    wrong("action id 2 says ('done', -1), and replay says ('insufficient', 2)", made)


def test_an_answer_that_is_not_what_is_recorded() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), at=(0, 5))
    made.tell_last(value=91)
    wrong("told done (91)", made)


def test_an_action_id_that_is_not_what_is_recorded() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), at=(0, 5))
    made.tell_last(action_id=2)
    wrong("told action ids (2,), and recorded are (1,)", made)


def test_a_read_that_is_older_than_what_was_told_before() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), at=(0, 5))
    made.reads(1, at=(6, 7))
    made.tell_last(action_id=0, value=100)
    wrong("request a:1 was over, and stands before it", made)


def test_a_read_of_what_is_never_there() -> None:
    made = MadeUp({1: 100})
    made.reads(1, at=(6, 7))
    made.tell_last(action_id=3, value=70)
    wrong("read at action id 3, and the newest of account 1 is 0", made)


def test_a_read_within_a_request() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), Withdraw(1, 10), at=(0, 5))
    made.reads(1, at=(6, 7))
    made.tell_last(action_id=1, value=90)
    wrong("read at action id 1, within a request", made)


def test_a_change_that_is_in_front_of_one_that_was_over_before_it() -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Deposit(1, 1), at=(10, 12))
    made.does("b:1", Deposit(1, 1), at=(0, 5))
    wrong("request a:1 was asked for when request b:1 was over, and stands before it", made)


def test_reads_of_two_accounts_between_which_a_transfer_would_have_to_be_half_done() -> None:
    """Each account by itself is in order: the payee has the money, and later on the payer has it, too."""
    made = MadeUp({1: 100, 2: 0})
    made.reads(1, at=(10, 11))
    made.does("a:1", Transfer(1, 2, 30), at=(0, 20))
    made.reads(2, at=(3, 4))
    wrong("was asked for when c at 0.000000 s, balance 2 was over, and stands before it", made)


def test_a_transfer_that_stands_in_two_orders_at_once() -> None:
    made = MadeUp({1: 100, 2: 100})
    made.does("a:1", Transfer(1, 2, 1), at=(0, 20))
    made.does("b:1", Transfer(1, 2, 1), at=(0, 20))
    made.copy.entries[2] = [(1, ("b", 1), 0), (2, ("a", 1), 0)]
    wrong("these stand before each other, so one was half done: request", made)


def test_a_total_that_has_half_a_transfer() -> None:
    made = usual()
    made.totals(150 - 10 + 5 + 1 - 30, at=(50, 51))
    wrong("told that all accounts hold 116, and they never did then", made)


@pytest.mark.parametrize(
    ("total", "is_right"), [(100, True), (90, True), (97, True), (87, True), (93, False)]
)
def test_what_is_under_way_may_be_in_a_total_or_not(total: int, is_right: bool) -> None:
    made = MadeUp({1: 100})
    made.does("a:1", Withdraw(1, 10), at=(0, 9))
    made.does("b:1", Withdraw(1, 3), at=(1, 9))
    made.totals(total, at=(2, 8))
    # Of one account, the second cannot be without the first: that is not looked at here.
    assert (made.verdict().violations == ()) == is_right


def test_many_clients_at_once_are_found_right() -> None:
    """Whatever the order in which calls overlap, as long as each happened while it was under way."""
    draw = random.Random(7)
    for _ in range(30):
        made = MadeUp(dict.fromkeys(range(4), 100))
        now = 0
        for number in range(60):
            now += draw.randrange(1, 5)
            payer, payee = draw.sample(range(4), 2)
            kinds: list[Operation] = [Withdraw(payer, 9), Deposit(payer, 9), Transfer(payer, payee, 9)]
            at = (now - draw.randrange(0, 40), now + draw.randrange(0, 40))
            if draw.random() < 0.3:
                made.reads(payer, at=at)
            else:
                made.does(
                    f"s{number}:1",
                    *draw.choices(kinds, k=draw.randrange(1, 4)),
                    at=at,
                    told=draw.random() < 0.8,
                )
        assert made.verdict().violations == ()
