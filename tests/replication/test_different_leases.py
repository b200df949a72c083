"""Rules R2 and R3 where servers were told different leases: the one that is counted is the one that binds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.replication.events import MessageArrived, Probed
from bankrmi.replication.messages import Checkpoint
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
    """Three servers: s1's long lease may run on when s3 adopts an epoch of s2, whose lease is short."""
    bank = running("s1", "s2", "s3", own={"s1": LONG, "s2": SHORT, "s3": SHORT})
    tip = bank.journals["s2"].tip
    heartbeat = Checkpoint(
        history="history",
        epoch=_epoch(bank) + 1,
        primary="s2",
        start_id="s2#1",
        number=1,
        previous=tip,
        base=tip,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
    )
    bank.take("s3", MessageArrived("s2", heartbeat))
    assert granted_ms(bank, "s3") == 5020
    bank.wait(6000)
    bank.take("s3", MessageArrived("s2", replace(heartbeat, epoch=heartbeat.epoch + 1)))
    assert granted_ms(bank, "s3") == 1020


def granted_ms(bank: Bank, name: str) -> int | None:
    """Return what is noted on the disk for the next process."""
    adopted = bank.journals[name].adopted
    assert adopted is not None
    return adopted.granted_ms


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
    bank.deliver("s1 -> s2: heartbeat")
    assert bank.told()[1:] == ["s2 commits checkpoint", "s2 -> s1: acknowledged in 2 up to 0"]
    assert journal.adopted.granted_ms == 5020
