"""The servers of a bank are retired for a database, and reinstated.  Rule V14."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.coordination.succession import objection
from bankrmi.replication.view import View
from tests.replication.histories import comes_back, dies
from tests.replication.scenario import Bank, running

THERE = "bank at 10.0.0.20:5432"


def view_of(bank: Bank) -> View:
    assert bank.view is not None
    return bank.view


def retired(*servers: str) -> Bank:
    bank = running(*(servers or ("s1", "s2")))
    bank.retire("s1", THERE)
    bank.settle(lambda: view_of(bank).retired_for is not None)
    bank.deliver_all()
    bank.told()
    return bank


def told_of(bank: Bank, caller: str) -> list[str]:
    return [line for line in bank.told() if f" answers {caller}: " in line]


def test_the_view_says_where_the_bank_is_and_nothing_else_changes() -> None:
    bank = running("s1", "s2")
    before = view_of(bank)
    bank.retire("s1", THERE)
    bank.settle(lambda: view_of(bank) != before)
    bank.deliver_all()
    view = view_of(bank)
    assert view == replace(before, epoch=before.epoch + 1, retired_for=THERE)
    assert view.cause is not None
    assert view.cause.in_words == "retired by anna: the bank is in a database"
    assert View.from_wire(view.to_wire()) == view
    assert any("s1 answers operator: handed over" in line for line in bank.told())


def test_what_waits_is_sent_on_and_nothing_is_decided_or_read_any_more() -> None:
    bank = running("s1", "s2")
    bank.retire("s1", THERE)
    bank.withdraw("s1", "c:1", 10)  # It waits: the view is asked for.
    bank.settle(lambda: view_of(bank).retired_for is not None)
    bank.deliver_all()
    bank.withdraw("s1", "c:2", 10)
    bank.read("s1")
    bank.deliver_all()
    said = bank.told()
    for caller in ("c:1", "c:2", "reader"):
        assert [line for line in said if f"answers {caller}: " in line and THERE in line], (caller, said)
    assert bank.balances() == {"s1": 100, "s2": 100}


def test_what_was_decided_before_is_acknowledged() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.retire("s1", THERE)
    bank.settle(lambda: view_of(bank).retired_for is not None)
    bank.deliver_all()
    assert bank.balances() == {"s1": 90, "s2": 90}
    assert any("answers c:1: " in line and THERE not in line for line in bank.told())


def test_it_stays_so_whoever_leads() -> None:
    bank = retired()
    dies(bank, "s1")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    comes_back(bank, "s1")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert (view_of(bank).primary, view_of(bank).retired_for) == ("s2", THERE)
    bank.told()
    bank.withdraw("s2", "c:9", 10)
    bank.deliver_all()
    assert any(THERE in line for line in told_of(bank, "c:9"))


def test_the_servers_are_reinstated() -> None:
    bank = retired()
    bank.retire("s1", None)
    bank.settle(lambda: view_of(bank).retired_for is None)
    bank.deliver_all()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_they_are_reinstated_from_the_view_that_was_seen_and_from_no_later_one() -> None:
    """By a later retirement the bank may have gone meanwhile."""
    bank = retired()
    seen = (view_of(bank).history, view_of(bank).epoch)
    for retired_for in (None, THERE):
        before = view_of(bank)
        bank.retire("s1", retired_for, (before.history, before.epoch))
        bank.settle(lambda before=before: view_of(bank) != before)  # type: ignore[misc]
        bank.deliver_all()
    bank.told()
    bank.retire("s1", None, seen)
    bank.deliver_all()
    assert any("the view has changed since" in line for line in bank.told())
    assert view_of(bank).retired_for == THERE


@pytest.mark.parametrize("there", [None, THERE])
def test_a_takeover_and_whoever_lets_others_in_leave_it_as_it_is(there: str | None) -> None:
    view = replace(view_of(running("s1", "s2")), retired_for=THERE)
    taken = replace(view.taken_over_by("s2", "p"), retired_for=there)
    forced = replace(
        view.taken_over_by_force("s2", "p", incarnation="d2", history="other"), retired_for=there
    )
    assert (objection(view, taken) is None) == (there == THERE)
    assert (objection(view, forced) is None) == (there == THERE)
    assert objection(view, view.retiring(None)) is None
