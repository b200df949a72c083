"""Who waits no longer costs nothing, and what was not decided yet never is.  O1, A1."""

from __future__ import annotations

import pytest

from bankrmi.bank.operations import Withdraw
from bankrmi.replication import following, queue
from bankrmi.replication.queue import OPERATION_BYTES, REQUEST_BYTES
from bankrmi.replication.step import Step
from tests.replication.histories import taken_over
from tests.replication.scenario import running


def test_what_is_queued_for_nobody_is_never_decided() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "a:1", 1)
    bank.withdraw("s1", "b:1", 10)
    bank.withdraw("s1", "c:1", 1)
    bank.forget("s1", "b:1")
    bank.deliver_all()
    assert "s1 answers c:1: done 98 at 2" in bank.told()
    assert bank.journals["s1"].recorded("b", 1) is None
    assert bank.balances() == {"s1": 98, "s2": 98}


def test_what_is_decided_stays_decided_though_nobody_waits_and_a_retry_finds_it() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "a:1", 10)
    bank.forget("s1", "a:1")
    bank.deliver_all()
    assert not [line for line in bank.told() if line.startswith("s1 answers")]
    bank.withdraw("s1", "a:1", 10)
    assert bank.told() == ["s1 answers a:1: done 90 at 1"]


def test_a_retry_of_what_was_dropped_is_decided_once() -> None:
    """As if it had never arrived: no promise was made about it."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "other:1", 1)
    bank.withdraw("s1", "a:1", 10)
    bank.forget("s1", "a:1")
    bank.withdraw("s1", "a:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers a:1: done 89 at 2"


def test_all_that_is_turned_away_is_told_in_the_order_in_which_it_came() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "first:1", 1)
    bank.told()
    requests = [f"c{number * 7 % 20}:1" for number in range(20)]
    for request in requests:
        bank.withdraw("s1", request, 1)
    bank.told()
    bank.turn_away("s1", *sorted(requests))
    assert bank.told() == [f"s1 answers {request}: busy" for request in requests]


def test_what_is_not_decided_is_turned_away_while_there_is_time_and_what_is_decided_is_not() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "a:1", 1)
    bank.withdraw("s1", "b:1", 10)
    bank.told()
    bank.turn_away("s1", "a:1", "b:1")
    assert bank.told() == ["s1 answers b:1: busy"]
    bank.deliver_all()
    assert "s1 answers a:1: done 99 at 1" in bank.told()
    assert bank.journals["s1"].recorded("b", 1) is None
    bank.withdraw("s1", "b:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers b:1: done 89 at 2"


def test_who_waits_at_a_standby_is_turned_away_too_and_not_served_when_it_leads() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s2", "a:1", 10)
    bank.told()
    bank.turn_away("s2", "a:1", "b:1")
    assert bank.told() == ["s2 answers a:1: busy"]
    bank.crash("s1")
    bank.drop("s1 ")
    taken_over(bank, "s2", "s1")
    bank.deliver_all()
    assert bank.balances()["s2"] == 100


def test_an_outcome_settles_what_was_dropped() -> None:
    """O4: it was in doubt, and now it never happens."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "other:1", 1)
    bank.withdraw("s1", "a:1", 10)
    bank.forget("s1", "a:1")
    bank.outcome("s1", "a:1")
    bank.deliver_all()
    assert "s1 answers outcome of a:1: cancelled None at 2" in bank.told()
    bank.withdraw("s1", "a:1", 10)
    assert bank.told()[-1] == "s1 answers a:1: cancelled None at 2"


def test_an_outcome_asked_behind_a_queued_request_does_not_overtake_it() -> None:
    """However the group is dealt: the question is cheap, and of another caller."""
    bank = running("s1", "s2", group_bytes=200)
    bank.withdraw("s1", "other:1", 1)
    bank.request("s1", "a:1", *[Withdraw(1, 1)] * 9)
    bank.outcome("s1", "a:1")
    bank.deliver_all()
    told = bank.told()
    assert [line for line in told if line.startswith("s1 answers outcome of a:1: done 98 at 2")]


def test_reads_that_nobody_waits_for_are_forgotten_too() -> None:
    bank = running("s1", "s2", lease_ms=0)
    bank.read("s1")
    bank.forget("s1", "reader")
    bank.deliver_all()
    assert not [line for line in bank.told() if line.startswith("s1 answers")]


def test_who_waits_at_a_standby_and_goes_is_not_served_when_it_leads() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s2", "a:1", 10)
    bank.forget("s2", "a:1")
    bank.crash("s1")
    bank.drop("s1 ")
    taken_over(bank, "s2", "s1")
    bank.deliver_all()
    assert bank.balances()["s2"] == 100


def test_too_many_are_told_that_the_server_is_busy_and_nothing_of_theirs_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not that somebody else leads: they would go and look for him."""
    monkeypatch.setattr(queue, "QUEUE_LIMIT", 1)
    bank = running("s1", "s2")
    bank.withdraw("s1", "a:1", 1)
    bank.withdraw("s1", "b:1", 1)
    bank.told()
    bank.withdraw("s1", "c:1", 1)
    assert bank.told() == ["s1 answers c:1: busy"]
    bank.deliver_all()
    assert bank.journals["s1"].recorded("c", 1) is None


def test_too_many_at_a_standby_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "HELD_LIMIT", 1)
    bank = running("s1", "s2")
    bank.withdraw("s2", "a:1", 1)
    bank.told()
    bank.withdraw("s2", "b:1", 1)
    assert bank.told() == ["s2 answers b:1: busy"]


def test_recorded_outcomes_are_read_a_few_at_a_time() -> None:
    """Nobody knows what a question costs before it is read: a group stops when it was much."""
    room = 3 * REQUEST_BYTES
    operations = 2 * room // (3 * OPERATION_BYTES)
    bank = running("s1", "s2", group_bytes=room)
    bank.request("s1", "a:1", *[Withdraw(1, 1)] * operations)
    bank.deliver_all()
    bank.withdraw("s1", "b:1", 1)
    for _ in range(3):
        bank.outcome("s1", "a:1")
    bank.told()
    leader = bank.replicas["s1"].primary
    assert leader is not None
    read_at_once: list[int] = []
    recorded = bank.journals["s1"].recorded

    def counted(session: str, sequence: int) -> object:
        read_at_once[-1] += 1
        return recorded(session, sequence)

    bank.journals["s1"].recorded = counted  # type: ignore[assignment,method-assign]
    form = leader._form_group

    def one_group(time_us: int, step: Step) -> None:
        read_at_once.append(0)
        form(time_us, step)

    leader._form_group = one_group  # type: ignore[method-assign]
    bank.deliver_all()
    assert len([line for line in bank.told() if line.startswith("s1 answers outcome of a:1: done")]) == 3
    assert read_at_once == [2, 1]


def test_a_group_ends_when_what_nobody_knew_before_has_used_up_its_room() -> None:
    """What a call of somebody's class takes is known when it is done; the rest waits for the next group."""
    costs = iter([100, 100, 10_000, 100, 5_100, 100, 100, 100])
    bank = running("s1", "s2", group_bytes=8 * REQUEST_BYTES, cost_of_newest=lambda: next(costs))
    bank.withdraw("s1", "first:1", 1)
    bank.told()
    leader = bank.replicas["s1"].primary
    assert leader is not None
    together: list[int] = []
    form = leader._form_group

    def one_group(time_us: int, step: Step) -> None:
        before = bank.journals["s1"].tip.action_id
        form(time_us, step)
        together.append(bank.journals["s1"].tip.action_id - before)

    leader._form_group = one_group  # type: ignore[method-assign]
    for number in range(7):
        bank.withdraw("s1", f"c{number}:1", 1)
    bank.deliver_all()
    answers = [line for line in bank.told() if line.startswith("s1 answers c")]
    assert answers == [f"s1 answers c{number}:1: done {98 - number} at {number + 2}" for number in range(7)]
    assert together == [2, 2, 3]
