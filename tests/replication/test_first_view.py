"""The first view, and the loss of the witness's memory: rule V9; each message delivered by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.replication.events import ViewRead
from bankrmi.replication.first_view import WAIVED_AFTER_MS
from tests.replication.histories import comes_back, dies
from tests.replication.scenario import Bank, follows, running


def test_the_first_view_is_made_only_when_all_are_empty() -> None:
    """V9."""
    bank = Bank("s1", "s2")
    bank.start("s1")
    for _ in range(30):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None)
    told = bank.told()
    assert told.index("s2 -> s1: empty") < told.index("s1 proposes epoch 1 is s1's {s1}")
    assert not [line for line in told if line.startswith("s2 proposes")]


def test_no_first_view_is_made_where_somebody_holds_accounts() -> None:
    """V9: the witness lost its memory while everybody was down, and one server its disk."""
    bank = running("s1", "s2")
    bank.crash("s1", wipe=True)
    bank.crash("s2")
    bank.drop()
    bank.view = None
    bank.start("s1")
    comes_back(bank, "s2")
    for _ in range(30):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]


def test_who_was_empty_once_is_asked_again_before_a_first_view_is_made() -> None:
    """s2 made a bank meanwhile, of which the witness has lost its memory, and s1 hears nothing of it."""
    bank = Bank("s1", "s2", "s3")
    bank.start("s1")
    comes_back(bank, "s2")
    for _ in range(20):
        bank.wait(25)
        bank.tick()
        bank.deliver_all()
    assert "s2 -> s1: empty" in bank.told()
    dies(bank, "s2")
    bank.settings["s2"] = replace(bank.settings["s2"], first=True)
    bank.start("s2")
    bank.drop()
    while bank.replicas["s2"].primary is None:
        assert bank.now_ms < 3 * WAIVED_AFTER_MS
        bank.wait(100)
        bank.tick("s2")
        bank.deliver_all()
    bank.view = None
    bank.start("s3")
    bank.link("s1", "s3")
    bank.told()
    for _ in range(40):
        bank.drop("s1 fetches")
        bank.wait(25)
        bank.tick()
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]


def test_an_operator_may_make_the_first_view_without_the_others() -> None:
    bank = Bank("s1", "s2", first=True)
    bank.start("s1")
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    assert bank.now_ms >= WAIVED_AFTER_MS
    assert bank.told()[-2:] == ["witness: epoch 1 is s1's {s1}", "s1 commits lead"]


def test_the_word_of_an_operator_stands_for_nobody_who_can_still_be_asked() -> None:
    """V9: s2 is slow to connect, and is asked first; it is empty, so that nobody has to be waited for."""
    bank = Bank("s1", "s2")
    bank.settings["s1"] = replace(bank.settings["s1"], first=True)
    bank.start("s1")
    for _ in range(int(WAIVED_AFTER_MS / 100) - 2):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert bank.view is None
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None)
    assert "s2 -> s1: empty" in bank.told()


@pytest.mark.parametrize("still_there", [True, False])
def test_no_word_of_an_operator_makes_a_second_bank_of_one_whose_accounts_are_there(
    still_there: bool,
) -> None:
    """V9: the witness lost its memory, s1 its disk; s2 says that it holds accounts, and perhaps dies."""
    bank = running("s1", "s2")
    bank.crash("s1", wipe=True)
    bank.drop()
    bank.view = None
    bank.settings["s1"] = replace(bank.settings["s1"], first=True)
    comes_back(bank, "s1")
    bank.told()
    for turn in range(100):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
        if turn == 10 and not still_there:
            dies(bank, "s2")
    told = bank.told()
    assert any(line.startswith("s2 -> s1: I hold") for line in told)
    assert not [line for line in told if "s1 proposes" in line]


def test_all_are_fenced_when_the_witness_lost_its_memory() -> None:
    """V9: also the primary, as soon as it sees it."""
    bank = running("s1", "s2")
    bank.view = None
    bank.cut("s1", "s2")
    bank.wait(600)
    bank.withdraw("s1", "c:1", 10)
    bank.tick()
    bank.told()
    bank.deliver_all()
    told = bank.told()
    assert "s1 answers c:1: ask somebody else, it may have happened" in told
    assert bank.holdings("s1").fenced
    for _ in range(30):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert bank.holdings("s2").fenced
    assert bank.view is None
    assert not [line for line in bank.told() if line.startswith("witness:") or "done" in line]


def test_a_view_older_than_the_adopted_epoch_is_lost_memory_too() -> None:
    bank = running("s1", "s2")
    old = bank.view
    bank.switch_over("s1", "s2")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    bank.deliver_all()
    bank.view = old
    bank.crash("s1")
    bank.crash("s2")
    bank.start("s2")
    bank.tick("s2")
    bank.deliver_all()
    assert bank.holdings("s2").fenced


def test_a_primary_that_held_still_leads_again_only_after_a_fresh_epoch() -> None:
    """V4: else an acknowledgement of what it said before would confirm a read that arrived since (R2)."""
    bank = running("s1", "s2", lease_ms=0)
    view = bank.view
    bank.wait(100)
    bank.tick("s1")
    bank.deliver("s1 -> s2")
    late = bank.find("s2 -> s1")
    bank.drop()
    bank.take("s1", ViewRead(None, 2))
    assert bank.holdings("s1").fenced
    bank.drop()
    bank.wait(500)
    bank.tick("s1")
    bank.take("s1", ViewRead(view, 2))
    assert bank.told()[-1] == "s1 proposes epoch 3 is s1's {s1, s2}"
    bank.deliver("s1 proposes", "witness -> s1")
    bank.read("s1")
    bank.told()
    late.arrive()
    assert bank.told() == []


@pytest.mark.parametrize("saw_the_loss", [True, False])
def test_an_empty_server_follows_a_restored_view_of_the_same_epoch_as_one_that_nobody_adopted(
    saw_the_loss: bool,
) -> None:
    """V9: epochs are compared within one history; what an empty server has heard binds it to none."""
    bank = running("s1", "s2")
    bank.crash("s2", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.crash("s1")
    bank.start("s1")
    bank.tick("s1")
    bank.deliver("s1 reads", "witness -> s1", "s1 proposes")
    unheard = bank.view
    bank.crash("s1")
    bank.start("s2")
    bank.take("s2", ViewRead(unheard, 0))
    bank.view = None
    bank.drop()
    bank.start("s1")
    bank.tick("s1", *(["s2"] if saw_the_loss else []))
    bank.deliver_all()
    assert bank.holdings("s1").fenced
    assert unheard is not None
    start_id = bank.replicas["s1"].start_id
    bank.view = replace(unheard, history="restored", start_id=start_id, forced=True)
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"} and follows(bank))
    assert {bank.holdings(name).history for name in ("s1", "s2")} == {"restored"}
