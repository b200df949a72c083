"""Disks that are lost: rules V3 and V8; each message delivered by hand."""

from __future__ import annotations

import pytest

from bankrmi.replication.events import LinkChanged
from bankrmi.replication.peer import Standing
from tests.replication.histories import (
    alone,
    comes_back,
    dies,
    settle_among,
    settle_without_witness,
    until_proposed,
)
from tests.replication.scenario import Bank, running


def test_a_server_that_lost_its_disk_is_a_new_member_and_joins_from_a_copy() -> None:
    """V8."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    bank.crash("s2", wipe=True)
    bank.drop()
    bank.take("s1", LinkChanged(server="s2", up=False))
    bank.start("s2")
    bank.link("s1", "s2")
    bank.told()
    bank.settle(lambda: bank.view is not None and bank.view.incarnations.get("s2", "s2-disk1") != "s2-disk1")
    told = bank.told()
    assert "s2 -> s1: let me in, I have []" in told
    assert told.index("s2 fetches a copy of s1") < told.index("s2 puts the copy in place")
    assert "s2 -> s1: let me in, I have [1, 0]" in told
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_a_joiner_does_not_wait_for_the_copy_of_a_primary_that_leads_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """V8: s1 stands still while it makes the copy, and nothing ever ends it; meanwhile s2 leads."""
    bank = running("s1", "s2", "s3")
    monkeypatch.setattr(
        bank, "fetch", lambda name, primary: None if primary == "s1" else Bank.fetch(bank, name, primary)
    )
    bank.crash("s3", wipe=True)
    for other in ("s1", "s2"):
        bank.take(other, LinkChanged(server="s3", up=False))
    bank.start("s3")
    for other in ("s1", "s2"):
        bank.link(other, "s3")
    bank.settle(lambda: "s3 fetches a copy of s1" in bank.trace)
    dies(bank, "s1")
    bank.settle(lambda: bank.view is not None and bank.view.primary == "s2" and len(bank.view.in_sync) == 2)
    assert "s3 fetches a copy of s2" in bank.trace


def test_a_primary_that_lost_its_disk_may_not_lead() -> None:
    """V8: alone it waits for ever; the member takes over."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    bank.crash("s1", wipe=True)
    bank.start("s1")
    bank.told()
    for _ in range(50):
        bank.wait(100)
        bank.tick("s1")
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line or "commits" in line]
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.primary == "s2" and len(bank.view.in_sync) == 2)
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_a_disk_that_is_lost_for_good_is_taken_out_as_soon_as_another_copy_is_in() -> None:
    """V2, V8: with `copies_min` it had to be waited for; with a third copy nobody need wait for it."""
    bank = running("s1", "s2", "s3", copies_min=2)
    primary = bank.replicas["s1"].primary
    assert primary is not None
    dies(bank, "s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    on_another_disk(bank, "s2")
    lost = primary.copies.peers["s2"]
    while not (lost.lost_disk and lost.standing is Standing.CATCHING_UP):
        if bank.mail:
            bank.mail.pop(0).arrive()
        else:
            bank.wait(25)
            bank.tick()
    dies(bank, "s2")
    bank.start("s3")
    bank.link("s1", "s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s3"})
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert "s1 answers c:1: done 90 at 1" in bank.told()


def test_a_mandatory_joiner_that_loses_its_disk_is_mandatory_all_the_same() -> None:
    """V3, seed 70010142: s1 never hears that it let s2 in; s2 leads, lets s3 in, and loses its disk.

    Empty, s2 believed s1 that it leads, came in from its copy, and passed for the joiner that it had let in:
    s1 read, and acknowledged, in an epoch that had long been superseded.
    """
    bank = letting_in()
    bank.deliver("s1 proposes")
    bank.drop("witness -> s1")
    assert bank.view is not None
    assert bank.view.in_sync == {"s1", "s2"}
    between = {"s2", "s3", "witness"}
    bank.cut("s1", "s2")
    settle_among(bank, between, lambda: bank.replicas["s2"].primary is not None)
    bank.link("s2", "s3")
    settle_among(bank, between, lambda: bank.view is not None and bank.view.in_sync == {"s2", "s3"})
    bank.withdraw("s2", "c:1", 10)
    settle_among(bank, between, lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
    bank.crash("s2", wipe=True)
    bank.start("s2")
    bank.link("s1", "s2")
    bank.told()
    bank.read("s1")
    bank.withdraw("s1", "c:2", 20)
    settle_among(bank, {"s1", "s2"}, lambda: False, rounds=200)
    assert not [line for line in bank.told() if line.startswith("s1 answers")]


def test_another_disk_of_a_mandatory_joiner_waits_until_the_let_in_is_settled() -> None:
    """V3: the disk before may still run elsewhere; once it is in the view, it may take over.

    Then the view names a disk that is another one, and it is replaced (V8).
    """
    bank = letting_in()
    bank.crash("s2", wipe=True)
    bank.start("s2")
    bank.tick("s2")
    bank.deliver("s2 reads the view", "witness -> s2")
    bank.link("s1", "s2")
    settle_among(bank, {"s1", "s2"}, lambda: "s1 -> s2: join: wait" in bank.trace)
    bank.told()
    bank.withdraw("s1", "c:1", 10)
    settle_among(bank, {"s1", "s2"}, lambda: False, rounds=100)
    assert not [line for line in bank.told() if line.startswith("s1 answers")]
    bank.settle(lambda: bank.view is not None and bank.view.names("s2", bank.journals["s2"].incarnation))
    bank.settle(lambda: "s1 answers c:1: done 90 at 1" in bank.trace)


def test_a_disk_that_was_only_away_counts_again() -> None:
    """V8, `copies_min`: s2 ran once while its disk was not mounted, and said that it was lost."""
    bank = running("s1", "s2", copies_min=2)
    own = bank.journals["s2"]
    on_another_disk(bank, "s2")
    bank.settle(lambda: "s1 -> s2: join: copy" in bank.trace)
    dies(bank, "s2")
    bank.journals["s2"] = own
    bank.drop()
    bank.start("s2")
    bank.link("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.settle(lambda: "s1 answers c:1: done 90 at 1" in bank.trace)
    assert bank.view is not None
    assert (bank.view.epoch, bank.view.incarnations["s2"]) == (2, own.incarnation)


def test_a_disk_that_was_away_is_waited_for_again_when_what_took_its_place_is_gone() -> None:
    """V8, `copies_min`: the witness is away for all, so no view can help; and both copies are well."""
    bank = running("s1", "s2", copies_min=2)
    own = bank.journals["s2"]
    on_another_disk(bank, "s2")
    primary = bank.replicas["s1"].primary
    assert primary is not None
    settle_without_witness(bank, "s1", lambda: primary.copies.peers["s2"].standing is Standing.CATCHING_UP)
    dies(bank, "s2")
    bank.journals["s2"] = own
    bank.drop()
    settle_without_witness(bank, "s1", lambda: False, rounds=100)
    bank.start("s2")
    bank.link("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1 s2", lambda: "s1 answers c:1: done 90 at 1" in bank.trace)


def test_a_late_word_of_a_disk_before_does_not_stop_the_one_that_counts() -> None:
    """V8, `copies_min`: who leads anew does not know how old a wish to be let in is."""
    bank = running("s1", "s2", copies_min=2)
    on_another_disk(bank, "s2")
    while not any(letter.text == "s2 -> s1: let me in, I have []" for letter in bank.mail):
        bank.wait(25)
        bank.tick("s2")
        for letter in [one for one in bank.mail if "witness" in one.text or "reads" in one.text]:
            bank.mail.remove(letter)
            letter.arrive()
    late = bank.find("s2 -> s1: let me in, I have []")
    bank.mail.remove(late)
    bank.settle(lambda: bank.view is not None and bank.view.names("s2", bank.journals["s2"].incarnation))
    for name, other in (("s1", "s2"), ("s2", "s1")):
        bank.settle(lambda name=name: bank.replicas[name].primary is not None)  # type: ignore[misc]
        bank.switch_over(name, other)
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    late.arrive()
    bank.withdraw("s1", "c:1", 10)
    bank.settle(lambda: "s1 answers c:1: done 90 at 1" in bank.trace)


def test_what_the_disk_before_confirmed_before_it_was_lost_does_not_bring_it_back() -> None:
    """V8: a late acknowledgement says nothing of now."""
    bank = running("s1", "s2", copies_min=2)
    bank.wait(100)
    bank.tick("s1")
    bank.deliver("s1 -> s2: heartbeat")
    late = bank.find("s2 -> s1: acknowledged")
    bank.mail.remove(late)
    on_another_disk(bank, "s2")
    bank.settle(lambda: "s1 -> s2: join: copy" in bank.trace)
    late.arrive()
    primary = bank.replicas["s1"].primary
    assert primary is not None
    assert primary.copies.peers["s2"].lost_disk


def on_another_disk(bank: Bank, name: str) -> None:
    """A server is gone, and there is a process with an empty disk in its place."""
    dies(bank, name, wipe=True)
    bank.deliver_all()
    comes_back(bank, name)


def letting_in() -> Bank:
    """s1 was alone, and asks the witness to let s2 in."""
    bank = running("s1", "s2", "s3")
    for one, other in (("s1", "s2"), ("s1", "s3"), ("s2", "s3")):
        bank.cut(one, other)
    bank.drop()
    alone(bank, "s1")
    bank.link("s1", "s2")
    until_proposed(bank, "s1")
    return bank
