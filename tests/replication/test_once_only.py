"""A request happens once: rules O1 to O4; each message delivered by hand."""

from __future__ import annotations

from bankrmi.bank.operations import Deposit, Withdraw
from tests.replication.histories import taken_over
from tests.replication.scenario import running


def test_a_retry_gets_the_recorded_outcome_and_changes_nothing() -> None:
    """O1, a batch too; and after a takeover."""
    bank = running("s1", "s2")
    bank.request("s1", "c:1", Withdraw(1, 10), Withdraw(1, 1000), Deposit(2, 1))
    bank.deliver_all()
    answer = "c:1: done 90 at 1, insufficient 90 at 2, done 301 at 3"
    assert bank.told()[-1] == f"s1 answers {answer}"
    bank.request("s1", "c:1", Withdraw(1, 10), Withdraw(1, 1000), Deposit(2, 1))
    assert bank.told()[-1] == f"s1 answers {answer}"
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    bank.request("s2", "c:1", Withdraw(1, 10), Withdraw(1, 1000), Deposit(2, 1))
    assert bank.told()[-1] == f"s2 answers {answer}"
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_a_retry_before_the_standby_has_it_waits_like_the_first() -> None:
    """O1 and A1."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.withdraw("s1", "c:1", 10)
    assert "s1 answers c:1: done 90 at 1" not in bank.told()
    bank.deliver_all()
    told = bank.told()
    assert told.count("s1 answers c:1: done 90 at 1") == 2
    assert bank.tips() == {"s1": (1, 2), "s2": (1, 2)}


def test_an_id_used_for_another_operation_is_a_mistake() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    bank.told()
    bank.withdraw("s1", "c:1", 11)
    assert bank.told()[-1].startswith("s1 answers c:1: refused, this request id was used before")
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_a_request_older_than_a_newer_one_of_its_session_is_stale() -> None:
    """O2; told only when the newer entry is acknowledged."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:2", 10)
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.deliver_all()
    assert bank.told()[2:] == ["s1 answers c:2: done 90 at 1", "s1 answers c:1: stale, 2 was decided"]
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_an_outcome_of_what_never_arrived_is_final_and_the_late_request_finds_it() -> None:
    """O4, for all operations of a batch."""
    bank = running("s1", "s2")
    bank.outcome("s1", "c:1")
    assert bank.told() == ["s1 -> s2: checkpoint in 2 of 1-1", "s1 commits group"]
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers outcome of c:1: cancelled None at 1"
    bank.request("s1", "c:1", Withdraw(1, 10), Deposit(2, 1))
    assert bank.told()[-1] == "s1 answers c:1: cancelled None at 1"
    bank.outcome("s1", "c:1")
    assert bank.told()[-1] == "s1 answers outcome of c:1: cancelled None at 1"
    assert bank.balances() == {"s1": 100, "s2": 100}


def test_an_outcome_of_what_was_decided_is_what_was_decided() -> None:
    bank = running("s1", "s2")
    bank.request("s1", "c:1", Withdraw(1, 10), Withdraw(1, 1000))
    bank.outcome("s1", "c:1")
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers outcome of c:1: done 90 at 1, insufficient 90 at 2"
