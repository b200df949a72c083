"""How entries are acknowledged: rules A1 to A5; each message delivered by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.replication.events import AnswerArrived, MessageArrived
from bankrmi.replication.messages import Acknowledged, Checkpoint
from bankrmi.replication.step import Step
from tests.replication.histories import taken_over
from tests.replication.scenario import running


def test_an_answer_waits_until_the_standby_has_it() -> None:
    """A1; and the standby is told before the primary commits, so that both disks work at a time."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    assert bank.told() == ["s1 -> s2: checkpoint in 2 of 1-1", "s1 commits group"]
    bank.deliver("s1 -> s2")
    assert bank.told() == ["s2 commits checkpoint", "s2 -> s1: acknowledged in 2 up to 1"]
    bank.deliver("s2 -> s1")
    assert bank.told() == ["s1 answers c:1: done 90 at 1"]


def test_what_was_declined_waits_for_the_standby_too() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 1000)
    bank.withdraw("s1", "d:1", 1, account=99)
    bank.deliver("s1 -> s2", "s2 -> s1", "s1 -> s2", "s2 -> s1")
    assert bank.told() == [
        "s1 -> s2: checkpoint in 2 of 1-1",
        "s1 commits group",
        "s2 commits checkpoint",
        "s2 -> s1: acknowledged in 2 up to 1",
        "s1 answers c:1: insufficient 100 at 1",
        "s1 -> s2: checkpoint in 2 of 2-2",
        "s1 commits group",
        "s2 commits checkpoint",
        "s2 -> s1: acknowledged in 2 up to 2",
        "s1 answers d:1: no_account None at 2",
    ]


def test_all_that_arrives_while_a_group_is_on_its_way_forms_the_next_one() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "a:1", 1)
    bank.withdraw("s1", "b:1", 1)
    bank.request("s1", "c:1", Withdraw(1, 1), Deposit(2, 1))
    bank.told()
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[2:] == [
        "s1 answers a:1: done 99 at 1",
        "s1 -> s2: checkpoint in 2 of 2-4",
        "s1 commits group",
    ]


def test_a_late_checkpoint_that_ends_earlier_removes_nothing() -> None:
    """A3."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2: checkpoint in 2 of 1-1", keep=True)
    bank.deliver("s2 -> s1")
    bank.withdraw("s1", "c:2", 10)
    bank.deliver("s1 -> s2: checkpoint in 2 of 2-2", "s2 -> s1")
    bank.told()
    bank.deliver("s1 -> s2: checkpoint in 2 of 1-1")
    assert bank.told() == ["s2 -> s1: acknowledged in 2 up to 1"]
    assert bank.tips() == {"s1": (2, 2), "s2": (2, 2)}


def test_the_same_checkpoint_twice_is_applied_once() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", keep=True)
    bank.deliver("s1 -> s2")
    assert bank.told()[2:] == [
        "s2 commits checkpoint",
        "s2 -> s1: acknowledged in 2 up to 1",
        "s2 -> s1: acknowledged in 2 up to 1",
    ]
    bank.deliver("s2 -> s1", "s2 -> s1")
    assert bank.told() == ["s1 answers c:1: done 90 at 1"]
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_entries_that_overtake_others_are_asked_for_from_further_back() -> None:
    """A3: what precedes must be there; the answer says how far this journal goes."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.drop("s1 -> s2")
    bank.wait(100)
    bank.tick("s1")
    bank.told()
    bank.deliver("s1 -> s2: heartbeat in 2 after 1")
    assert bank.told() == ["s2 -> s1: mismatch in 2, my tip is 0"]
    bank.deliver("s2 -> s1", "s1 -> s2", "s2 -> s1")
    assert bank.told() == [
        "s1 -> s2: checkpoint in 2 of 1-1",
        "s2 commits checkpoint",
        "s2 -> s1: acknowledged in 2 up to 1",
        "s1 answers c:1: done 90 at 1",
    ]


def test_entries_above_base_of_an_older_epoch_are_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A3 (a): what the dead primary never shared is removed by the new one's first word; its id is told."""
    reported: dict[str, Any] = {}
    monkeypatch.setattr(Step, "report", lambda _, event, **details: reported.update({event: details}))
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.crash("s1")
    bank.drop()
    taken_over(bank, "s2", "s1")
    assert bank.tips() == {"s1": (1, 2), "s2": (0, 0)}
    bank.start("s1")
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    told = bank.told()
    assert "s1 -> s2: let me in, I have [1, 0]" in told
    assert bank.tips() == {"s1": (0, 0), "s2": (0, 0)}
    assert bank.balances() == {"s1": 100, "s2": 100}
    assert reported["rolled back"]["request_ids"] == ["c:1"]
    bank.drop()
    bank.withdraw("s2", "c:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s2 answers c:1: done 90 at 1"


def test_two_different_entries_of_one_epoch_are_refused_and_nothing_changes() -> None:
    bank, other = running("s1", "s2"), running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    other.withdraw("s1", "c:1", 20)
    [forged] = other.journals["s1"].records(0, 10)
    view, base = bank.view, bank.journals["s2"].position(0)
    assert view is not None
    assert base is not None
    message = Checkpoint(
        history=view.history,
        epoch=view.epoch,
        primary="s1",
        start_id="s1#1",
        number=99,
        previous=base,
        base=base,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
        records=[forged],
    )
    bank.told()
    bank.take("s2", MessageArrived("forger", message))
    assert bank.told() == [
        "s2 reads the view",
        "s2 answers forger: refused, two different requests of epoch 2 at action id 1: ours, and one from s1",
    ]
    bank.deliver_all()
    bank.withdraw("s1", "c:2", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers c:2: done 80 at 2"


def test_a_second_process_that_leads_an_epoch_is_refused_and_nothing_changes() -> None:
    bank = running("s1", "s2", "s3")
    view, tip = bank.view, bank.journals["s2"].tip
    assert view is not None
    message = Checkpoint(
        history=view.history,
        epoch=view.epoch,
        primary="s3",
        start_id="s3#1",
        number=1,
        previous=tip,
        base=tip,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
    )
    bank.told()
    bank.take("s2", MessageArrived("forger", message))
    assert bank.told() == [
        "s2 reads the view",
        "s2 answers forger: refused, two processes lead epoch 3: one is s3",
    ]
    bank.deliver_all()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"


@pytest.mark.parametrize("wrong", [{"epoch": 1}, {"epoch": 3}, {"incarnation": "lost"}, {"history": "old"}])
def test_an_acknowledgement_of_another_epoch_or_disk_does_not_count(wrong: dict[str, object]) -> None:
    """A5."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    tip, primary = bank.journals["s1"].tip, bank.replicas["s1"].primary
    assert primary is not None
    fields: dict[str, object] = {
        "server": "s2",
        "history": "history",
        "epoch": 2,
        "incarnation": "s2-disk1",
        "start_id": "s2#1",
        "number": primary._checkpoints.number,
        "matched": 1,
        "digest": tip.digest,
    }
    bank.told()
    bank.take("s1", AnswerArrived(Acknowledged(**{**fields, **wrong}), "s2"))  # type: ignore[arg-type]
    assert bank.told() == []
    bank.take("s1", AnswerArrived(Acknowledged(**fields), "s2"))  # type: ignore[arg-type]
    assert bank.told() == ["s1 answers c:1: done 90 at 1"]


@pytest.mark.parametrize("wrong", [{"digest": b"another"}, {"matched": 2}, {"number": 99}])
def test_an_acknowledgement_that_cannot_be_counts_for_nothing_and_stops_nobody(
    wrong: dict[str, object],
) -> None:
    """A5: who says such a thing is left behind as if it had said nothing."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    tip, primary = bank.journals["s1"].tip, bank.replicas["s1"].primary
    assert primary is not None
    fields: dict[str, object] = {
        "server": "s2",
        "history": "history",
        "epoch": 2,
        "incarnation": "s2-disk1",
        "start_id": "s2#1",
        "number": primary._checkpoints.number,
        "matched": 1,
        "digest": tip.digest,
    }
    bank.told()
    bank.drop()
    for _ in range(3):
        bank.take("s1", AnswerArrived(Acknowledged(**{**fields, **wrong}), "s2"))  # type: ignore[arg-type]
    assert bank.told() == []
    assert len([why for server, why in bank.contradictions if server == "s2"]) == 1
    bank.settle(lambda: (bank.view is not None and bank.view.in_sync == {"s1"}) or not bank.mail)
    bank.take("s1", AnswerArrived(Acknowledged(**fields), "s2"))  # type: ignore[arg-type]
    assert "s1 answers c:1: done 90 at 1" in bank.told()


def test_a_stale_primary_is_told_stops_answering_and_reads_the_view() -> None:
    """A2."""
    bank = running("s1", "s2")
    bank.wait(1000)
    bank.tick("s2")
    bank.deliver("s2 proposes", "witness -> s2")
    bank.drop()
    bank.wait(20)
    bank.tick("s2")
    bank.drop()
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.deliver("s1 -> s2")
    assert bank.told() == ["s2 -> s1: superseded, I know 3"]
    bank.deliver("s2 -> s1")
    assert bank.told()[:2] == ["s1 answers c:1: ask somebody else, it may have happened", "s1 reads the view"]
    bank.deliver_all()
    assert bank.replicas["s1"].primary is None
    assert bank.view is not None
    assert bank.view.primary == "s2"
    bank.told()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert "s1 answers c:1: done 90 at 1" not in bank.told()
