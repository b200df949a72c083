"""A joiner catches up and wins: messages in a pipeline, room left for it, a copy where that is faster."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.bank.operations import Deposit
from bankrmi.replication import checkpoints
from bankrmi.replication.events import CopyEnded
from bankrmi.replication.leading import Leader
from bankrmi.replication.peer import Standing
from tests.replication.histories import alone, comes_back, dies
from tests.replication.scenario import Bank, running


def left_behind(entries: int, **settings: Any) -> Bank:
    """s2 died, and since then s1 has gone on alone with `entries` entries."""
    bank = running("s1", "s2", **settings)
    dies(bank, "s2")
    alone(bank, "s1")
    bank.deliver_all()
    for number in range(1, entries + 1):
        bank.request("s1", f"c:{number}", Deposit(1, 1))
    bank.told()
    return bank


def leader(bank: Bank) -> Leader:
    primary = bank.replicas["s1"].primary
    assert primary is not None
    return primary


def letters(bank: Bank, start: str = "s1 -> s2: checkpoint") -> list[str]:
    return [letter.text for letter in bank.mail if letter.text.startswith(start)]


def joining(bank: Bank) -> None:
    """s2 comes back, is let in, and is sent the first entries."""
    comes_back(bank, "s2")
    until_on_its_way(bank, "s1 -> s2: checkpoint")


def until_on_its_way(bank: Bank, start: str) -> None:
    """Deliver one letter after the other, until there is one that begins so."""
    for _ in range(200):
        if letters(bank, start):
            return
        if bank.mail:
            bank.mail.pop(0).arrive()
        else:
            bank.wait(25)
            bank.tick()
    raise AssertionError(bank.told())


def test_one_message_goes_until_it_is_known_how_far_the_journals_match_then_several() -> None:
    bank = left_behind(60, catch_up_operations=5)
    joining(bank)
    assert len(letters(bank)) == 1
    bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
    assert len(letters(bank)) == checkpoints.SENT_AT_ONCE, "no more than a few are read for one answer"
    bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
    assert len(letters(bank)) == 2 * checkpoints.SENT_AT_ONCE - 1, "but the pipe fills"


def test_what_is_on_the_way_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CATCH_UP_WINDOW_BYTES", 3 * 5 * 70)
    bank = left_behind(100, catch_up_operations=5)
    joining(bank)
    for _ in range(12):
        bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
        assert len(letters(bank)) <= 3


def test_messages_are_sized_in_bytes_and_end_with_a_request() -> None:
    """A4: a request is never split, however small the messages are to be."""
    bank = running("s1", "s2", catch_up_bytes=3 * 80)  # What three of these take.
    dies(bank, "s2")
    alone(bank, "s1")
    bank.deliver_all()
    for number in range(1, 9):
        bank.request("s1", f"c:{number}", *[Deposit(1, 1)] * (100 if number == 3 else 1))
    joining(bank)
    bank.deliver_all()
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    sent = [line for line in bank.told() if line.startswith("s1 -> s2: checkpoint")]
    ranges = [tuple(map(int, line.rpartition(" ")[2].split("-"))) for line in sent]
    assert ranges == [(1, 102), (103, 105), (106, 107)]
    assert bank.tips()["s2"] == (107, 3)


def test_a_message_lost_on_the_way_is_asked_for_once_and_nothing_is_missing() -> None:
    """A3: all those behind it do not match either; they are not answered one by one with more and more."""
    bank = left_behind(60, catch_up_operations=5)
    joining(bank)
    for _ in range(3):
        bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
    lost = bank.find("s1 -> s2: checkpoint")
    bank.mail.remove(lost)
    behind = len(letters(bank))
    assert behind >= 3
    bank.told()
    for _ in range(behind):
        bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: mismatch")
    assert len([line for line in bank.told() if line.startswith("s1 -> s2: checkpoint")]) == 1
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.tips()["s2"] == bank.tips()["s1"] == (60, 3)


def test_a_joiner_that_got_its_messages_in_another_order_and_twice_has_every_entry_once() -> None:
    bank = left_behind(60, catch_up_operations=5)
    joining(bank)
    for _ in range(4):
        bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
    bank.mail.reverse()
    bank.mail += list(bank.mail)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.tips()["s2"] == bank.tips()["s1"] == (60, 3)
    assert bank.balances() == {"s1": 160, "s2": 160}


def test_nothing_is_acknowledged_without_a_joiner_that_has_been_sent_everything() -> None:
    """V3: though its last messages are still on the way."""
    bank = left_behind(60, catch_up_operations=5)
    joining(bank)
    while leader(bank).copies.peers["s2"].standing is Standing.CATCHING_UP:
        bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
    assert letters(bank), "some are on the way"
    bank.told()
    bank.request("s1", "d:1", Deposit(1, 1))
    assert "s1 answers d:1: done 161 at 61" not in bank.told()
    bank.deliver_all()
    assert "s1 answers d:1: done 161 at 61" in bank.told()


def test_groups_leave_room_while_a_joiner_lags_and_it_wins() -> None:
    """Whoever decides as fast as it can: the joiner gains twice what is added, or the usual is halved."""
    bank = left_behind(400, catch_up_operations=20, lag_noticed=40)
    joining(bank)
    number = gained = 0
    peer = leader(bank).copies.peers["s2"]
    begun = bank.journals["s1"].tip.action_id
    bank.tick("s1")
    while peer.lag(bank.journals["s1"].tip.action_id) > 40:
        for _ in range(30):  # Always more waits than a group takes.
            number += 1
            bank.request("s1", f"d:{number}", Deposit(1, 1))
        bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged")
        gained = peer.matched
        bank.wait(0.01)
        assert number < 10_000, "it never catches up"
    added = bank.journals["s1"].tip.action_id - begun
    assert added < gained


def test_a_joiner_far_behind_is_told_once_to_fetch_a_copy() -> None:
    """If it has nothing that would be lost; and if that fails, entries are another way."""
    bank = left_behind(60, copy_from_operations=50, catch_up_operations=500)
    comes_back(bank, "s2")
    until_on_its_way(bank, "s2 fetches a copy of s1")
    disk = bank.journals["s2"].incarnation
    assert "s1 -> s2: join: copy" in bank.told()
    bank.drop("s2 fetches")
    bank.take("s2", CopyEnded(fetched=False))
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    told = bank.told()
    assert "s1 -> s2: join: copy" not in told
    assert "s1 -> s2: join: checkpoints" in told
    assert bank.journals["s2"].incarnation == disk


def test_a_copy_brings_a_joiner_in_as_another_disk() -> None:
    bank = left_behind(60, copy_from_operations=50)
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert "s2 puts the copy in place" in bank.told()
    assert bank.tips()["s2"] == bank.tips()["s1"]


def test_who_would_lose_something_by_a_copy_gets_entries() -> None:
    """What it alone has is rolled back, and recorded for whoever has to explain it (A3)."""
    bank = running("s1", "s2", copy_from_operations=50)
    bank.request("s1", "lost:1", Deposit(1, 1))
    bank.drop("s1 ->")
    dies(bank, "s1")
    bank.deliver_all()
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    for number in range(1, 61):
        bank.request("s2", f"c:{number}", Deposit(1, 1))
    bank.told()
    comes_back(bank, "s1")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    told = bank.told()
    assert "s2 -> s1: join: copy" not in told
    assert bank.tips()["s1"] == bank.tips()["s2"]
