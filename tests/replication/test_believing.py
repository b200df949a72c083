"""Rules A2 and V6: what others tell of epochs, near and far, true and not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.replication.events import AnswerArrived, MessageArrived
from bankrmi.replication.messages import Checkpoint, Superseded, ViewNews
from tests.replication.scenario import Bank, running

FAR = 1 << 52


def from_s1(bank: Bank, epoch: int) -> Checkpoint:
    """A heartbeat of s1 in such an epoch."""
    tip = bank.journals["s1"].tip
    return Checkpoint(
        history="history",
        epoch=epoch,
        primary="s1",
        start_id="s1#1",
        number=1,
        previous=tip,
        base=tip,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
    )


def adopted(bank: Bank, name: str) -> int:
    one = bank.journals[name].adopted
    assert one is not None
    return one.epoch


@pytest.mark.parametrize("above", [101, 1000, FAR])
def test_an_epoch_that_nobody_can_have_reached_is_looked_up(above: int) -> None:
    """Adopted unseen, it would be on the disk for ever, and the bank could never lead again."""
    bank = running("s1", "s2")
    bank.take("s2", MessageArrived("stranger", from_s1(bank, 2 + above)))
    assert bank.told() == ["s2 reads the view", "s2 answers stranger: noted"]
    bank.deliver_all()
    assert adopted(bank, "s2") == 2
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"


def test_a_primary_does_not_give_way_to_an_epoch_that_nobody_can_have_reached() -> None:
    bank = running("s1", "s2")
    bank.take("s1", MessageArrived("stranger", from_s1(bank, FAR)))
    bank.take("s1", MessageArrived("stranger", replace(from_s1(bank, FAR), primary="s2", start_id="s2#1")))
    bank.take("s1", AnswerArrived(Superseded(server="s2", history="history", epoch=FAR, number=1), "s2"))
    bank.deliver_all()
    bank.told()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"
    assert adopted(bank, "s1") == 2


def test_once_the_witness_has_it_a_far_epoch_is_followed() -> None:
    """A server that was away for long, or a bank whose view was restored: the epoch is real."""
    bank = running("s1", "s2")
    assert bank.view is not None
    bank.crash("s1")
    bank.drop()
    bank.view = replace(bank.view, epoch=5000)
    bank.take("s2", MessageArrived("s1", from_s1(bank, 5000)))
    bank.deliver("s2 reads", "witness -> s2")
    assert adopted(bank, "s2") == 2
    bank.take("s2", MessageArrived("s1", from_s1(bank, 5000)))
    assert adopted(bank, "s2") == 5000


def test_with_the_witness_away_a_near_epoch_is_followed_unseen() -> None:
    """F2: the primary went on in a new epoch, and the witness died before anybody else could read it."""
    bank = running("s1", "s2")
    bank.take("s2", MessageArrived("s1", from_s1(bank, 3)))
    assert adopted(bank, "s2") == 3


def test_news_of_a_far_view_is_looked_up() -> None:
    bank = running("s1", "s2")
    view = bank.view
    assert view is not None
    for name in ("s1", "s2"):
        told = replace(view, epoch=FAR, primary="s2", start_id="s2#1")
        bank.take(name, MessageArrived("stranger", ViewNews(view=told)))
    bank.deliver_all()
    assert all(replica.view == view for replica in bank.replicas.values())


def test_a_liar_makes_a_primary_give_way_once() -> None:
    """Each time it gave way, it won, was told of one more epoch, and gave way again, for ever."""
    bank = running("s1", "s2")
    given_way = 0
    for _ in range(20):
        primary = bank.replicas["s1"].primary
        if primary is not None:
            epoch = primary.view.epoch + 1
            bank.take(
                "s1", AnswerArrived(Superseded(server="s2", history="history", epoch=epoch, number=1), "s2")
            )
            given_way += bank.replicas["s1"].primary is None
        for _ in range(6):
            bank.wait(25)
            bank.tick()
            bank.deliver_all()
    assert given_way in (1, 2)
    assert [server for server, _ in bank.contradictions] == ["s2"]
    bank.told()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"
