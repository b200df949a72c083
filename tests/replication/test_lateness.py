"""Own lateness is not another's silence: who was busy reads what has arrived before it judges.  V1, V2."""

from __future__ import annotations

from bankrmi.replication.events import Probed
from tests.replication.scenario import Bank, running


def heartbeats(bank: Bank, name: str, rounds: int) -> None:
    """Let a primary send heartbeats that nobody reads yet."""
    for _ in range(rounds):
        bank.wait(100)
        bank.tick(name)


def test_a_standby_that_was_busy_for_more_than_a_lease_reads_before_it_takes_over() -> None:
    """All that time the primary sent heartbeats; they lie in the socket."""
    bank = running("s1", "s2")
    heartbeats(bank, "s1", 15)
    bank.told()
    bank.tick("s2", late_ms=1475)
    assert not [line for line in bank.told() if "proposes" in line]
    for _ in range(15):
        bank.deliver("s1 -> s2: heartbeat")
    bank.tick("s2")
    assert not [line for line in bank.told() if "proposes" in line]


def test_a_standby_that_was_busy_takes_over_all_the_same_if_the_primary_was_silent() -> None:
    """One round of the loop later: what had arrived is read by then, and there was nothing."""
    bank = running("s1", "s2")
    bank.wait(1500)
    bank.tick("s2", late_ms=1475)
    bank.wait(25)
    bank.told()
    bank.tick("s2")
    bank.hear("s2")
    assert "s2 proposes epoch 3 is s2's {s2}" in bank.told()


def test_a_standby_that_is_always_late_still_notices_the_silence_before() -> None:
    """Each tick may come late: how long nothing was heard before it was due counts all the same."""
    bank = running("s1", "s2")
    for _ in range(8):
        bank.wait(200)
        bank.tick("s2", late_ms=175)
    bank.hear("s2")
    assert "s2 proposes epoch 3 is s2's {s2}" in bank.told()


def test_proof_that_the_primary_is_gone_counts_however_late_a_standby_is() -> None:
    bank = running("s1", "s2")
    bank.wait(1500)
    bank.tick("s2", late_ms=1475)
    bank.told()
    bank.take("s2", Probed(server="s1", begun_ms=bank.now_ms, epoch=2, refused=True))
    assert "s2 proposes epoch 3 is s2's {s2}" in bank.told()


def test_a_primary_that_was_busy_does_not_go_on_alone_before_it_has_read_the_answers() -> None:
    """Nor does it send again what was answered long ago."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2")
    bank.wait(2000)
    bank.told()
    bank.tick("s1", late_ms=1975)
    told = bank.told()
    assert not [line for line in told if "proposes" in line]
    assert "s1 -> s2: checkpoint in 2 of 1-1" not in told
    bank.deliver("s2 -> s1: acknowledged")
    bank.tick("s1")
    told = bank.told()
    assert "s1 answers c:1: done 90 at 1" in told
    assert not [line for line in told if "proposes" in line]


def test_an_event_after_a_busy_time_makes_a_primary_conclude_nothing_either() -> None:
    """What else had arrived is taken in some order: the first of it must not condemn whoever comes second."""
    bank = running("s1", "s2", "s3")
    bank.tick("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2: checkpoint", "s1 -> s3: checkpoint")
    bank.wait(2000)
    bank.told()
    bank.deliver("s2 -> s1: acknowledged")
    assert not [line for line in bank.told() if "proposes" in line]
    bank.deliver("s3 -> s1: acknowledged")
    bank.tick("s1", late_ms=1975)
    assert not [line for line in bank.told() if "proposes" in line]


def test_a_primary_that_was_busy_goes_on_alone_all_the_same_if_the_standby_was_silent() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(2000)
    bank.tick("s1", late_ms=1975)
    bank.wait(25)
    bank.told()
    bank.tick("s1")
    bank.hear("s1")
    assert "s1 proposes epoch 3 is s1's {s1}" in bank.told()
