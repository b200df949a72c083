"""Rules R2 and R3 where servers were told different leases: the one that is counted is the one that binds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.replication.events import Probed
from tests.replication.scenario import Bank, running

LONG, SHORT = {"lease_ms": 5000}, {"lease_ms": 1000}


def cut_off(bank: Bank) -> None:
    """Lose all that s1 and s2 say to each other from now on; s1 notices nothing."""
    bank.drop("s1 -> s2")
    bank.drop("s2 -> s1")


def takes_over_after(bank: Bank) -> float:
    """Let s2 hear nothing of s1 any more; return after how long it leads, in steps of 20 ms."""
    began_ms = bank.now_ms
    while bank.replicas["s2"].primary is None:
        assert bank.now_ms - began_ms < 20_000, "s2 never leads"
        cut_off(bank)
        for letter in [letter for letter in bank.mail if not letter.text.startswith("s2 looks at")]:
            bank.mail.remove(letter)
            letter.arrive()
        looks = [letter for letter in bank.mail if letter.text.startswith("s2 looks at")]
        bank.drop("s2 looks at")
        for _ in looks:
            bank.take("s2", Probed(server="s1", begun_ms=bank.now_ms, epoch=_epoch(bank)))
        bank.wait(20)
        bank.tick("s2")
    return bank.now_ms - began_ms


def _epoch(bank: Bank) -> int:
    view = bank.replicas["s2"].view
    assert view is not None
    return view.epoch


def reads(bank: Bank) -> bool:
    """Whether s1 answers a read at once."""
    bank.told()
    bank.read("s1")
    return any(sentence.startswith("s1 answers reader") for sentence in bank.told())


def test_a_primary_with_the_longer_lease_reads_nothing_stale() -> None:
    """`lease_ms: 5000` in one file and 1000 in the other: a cut-off primary answered a stale read."""
    bank = running("s1", "s2", own={"s1": LONG, "s2": SHORT})
    assert reads(bank)
    after_ms = takes_over_after(bank)
    assert not reads(bank)
    assert 5000 <= after_ms <= 5000 + 20 + 250


def test_a_standby_with_the_longer_lease_takes_over_after_the_primarys() -> None:
    """What was granted is over then; a primary that is silent for its own lease is replaced."""
    bank = running("s1", "s2", own={"s1": SHORT, "s2": LONG})
    after_ms = takes_over_after(bank)
    assert not reads(bank)
    assert 1000 <= after_ms <= 1000 + 20 + 250


def test_a_primary_without_a_lease_is_taken_over_by_a_standby_that_has_one() -> None:
    bank = running("s1", "s2", own={"s1": {"lease_ms": 0}, "s2": LONG})
    assert not reads(bank)
    assert 1000 <= takes_over_after(bank) <= 1250  # Two checkpoint timeouts.


def test_a_standby_without_a_lease_waits_for_its_primarys() -> None:
    bank = running("s1", "s2", own={"s1": SHORT, "s2": {"lease_ms": 0}})
    assert reads(bank)
    after_ms = takes_over_after(bank)
    assert not reads(bank)
    assert after_ms >= 1000


@pytest.mark.parametrize("next_lease_ms", [1000, 0])
def test_a_new_process_waits_for_what_the_one_before_it_granted(next_lease_ms: int) -> None:
    """R3: its own setting was changed meanwhile; the lease that was granted was not."""
    bank = running("s1", "s2", own={"s1": LONG, "s2": LONG})
    assert bank.journals["s2"].adopted is not None
    assert bank.journals["s2"].adopted.granted_ms == 5020
    bank.crash("s2")
    bank.settings["s2"] = replace(bank.settings["s2"], lease_ms=next_lease_ms)
    bank.drop()
    bank.start("s2")
    assert takes_over_after(bank) >= 5020
    assert not reads(bank)


def test_what_was_granted_in_an_older_epoch_is_noted_with_the_newer_one() -> None:
    """Three servers: s1's long lease may run on when s3 has adopted an epoch of s2, whose lease is short."""
    bank = running("s1", "s2", "s3", own={"s1": LONG, "s2": SHORT, "s3": SHORT})
    bank.crash("s1")
    bank.drop()
    bank.tick("s2", "s3")
    bank.wait(300)
    bank.settle(lambda: bank.view is not None and bank.view.primary != "s1")
    assert bank.view is not None
    follower = "s3" if bank.view.primary == "s2" else "s2"
    bank.settle(lambda: (adopted := bank.journals[follower].adopted) is not None and adopted.primary != "s1")
    adopted = bank.journals[follower].adopted
    assert adopted is not None
    assert adopted.granted_ms is not None
    assert adopted.granted_ms >= 1020


def test_a_disk_of_an_older_version_is_taken_to_have_granted_the_own_lease() -> None:
    bank = running("s1", "s2", own={"s1": SHORT, "s2": LONG})
    adopted = bank.journals["s2"].adopted
    assert adopted is not None
    bank.crash("s2")
    bank.journals["s2"].adopt(replace(adopted, granted_ms=None))
    bank.journals["s2"].commit()
    bank.drop()
    bank.start("s2")
    assert bank.replicas["s2"].grants.longest_ms(bank.now_ms) == 5020


def test_the_grant_is_on_disk_before_the_acknowledgement_leaves() -> None:
    """An epoch adopted without having heard its primary, as with a copy: the lease is noted when granted."""
    bank = running("s1", "s2", own={"s1": LONG, "s2": SHORT})
    journal = bank.journals["s2"]
    assert journal.adopted is not None
    journal.adopt(replace(journal.adopted, granted_ms=0))
    journal.commit()
    bank.told()
    bank.wait(100)
    bank.tick("s1")
    bank.deliver("s1 -> s2: beacon")
    assert bank.told()[1:] == ["s2 commits checkpoint", "s2 -> s1: acknowledged in 2 up to 0"]
    assert journal.adopted.granted_ms == 5020
