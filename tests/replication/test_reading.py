"""Who may read: rules R1 to R5; each message delivered by hand."""

from __future__ import annotations

from bankrmi.replication.peer import Standing
from tests.replication.histories import alone, dies, taken_over, until_proposed
from tests.replication.scenario import running


def test_a_primary_alone_reads_from_its_own_copy_for_ever() -> None:
    """R1."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    alone(bank, "s1")
    bank.wait(100_000)
    bank.told()
    bank.read("s1")
    assert bank.told() == ["s1 answers reader: 100 at 0"]


def test_a_primary_alone_reads_nothing_while_a_proposal_of_its_own_is_unsettled() -> None:
    """R1: it may have let somebody in, who may have been promoted since."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    alone(bank, "s1")
    bank.link("s1", "s2")
    until_proposed(bank, "s1")
    bank.witness_silent("s1", proposal=True)
    bank.wait(5000)
    bank.told()
    bank.read("s1")
    assert not [line for line in bank.told() if "answers" in line]


def test_a_read_lease_counts_from_the_sending() -> None:
    """R2: however long the acknowledgement was on its way."""
    bank = running("s1", "s2")
    bank.wait(100)
    bank.tick("s1")
    bank.deliver("s1 -> s2")
    bank.wait(400)
    bank.deliver("s2 -> s1")
    bank.wait(579)
    bank.told()
    bank.read("s1")
    assert bank.told() == ["s1 answers reader: 100 at 0"]
    bank.wait(1)
    bank.read("s1")
    assert bank.told() == ["s1 -> s2: heartbeat in 2 after 0"]
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[-1] == "s1 answers reader: 100 at 0"


def test_without_leases_every_read_is_confirmed_by_a_round_trip_begun_after_it() -> None:
    """R2, `lease_ms: 0`: the round trip under way when a read arrives does not confirm it."""
    bank = running("s1", "s2", lease_ms=0)
    bank.read("s1")
    assert bank.told() == ["s1 -> s2: heartbeat in 2 after 0"]
    bank.read("s1", account=2)
    assert bank.told() == []
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[1:] == ["s1 answers reader: 100 at 0", "s1 -> s2: heartbeat in 2 after 0"]
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[1:] == ["s1 answers reader: 300 at 0"]


def test_a_read_that_saw_what_is_not_acknowledged_waits_for_it() -> None:
    """R4."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.read("s1")
    bank.told()
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[2:] == ["s1 answers c:1: done 90 at 1", "s1 answers reader: 90 at 1"]


def test_a_read_waits_for_nothing_that_did_not_change_what_it_saw() -> None:
    """R4; the answer says of when it is: of what is acknowledged, and not of what is only decided."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.read("s1", account=2)
    assert bank.told() == ["s1 answers reader: 300 at 0"]
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.withdraw("s1", "c:2", 10)
    bank.told()
    bank.read("s1", account=2)
    assert bank.told() == ["s1 answers reader: 300 at 1"]
    bank.read("s1", account=1)
    assert bank.told() == []


def test_a_read_that_is_confirmed_late_is_of_when_it_was_taken() -> None:
    """R4: what was acknowledged meanwhile may have changed what it saw."""
    bank = running("s1", "s2", lease_ms=0)
    bank.read("s1", account=1)
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.deliver("s1 -> s2", "s1 -> s2", "s2 -> s1", "s2 -> s1")
    answers = [line for line in bank.told() if line.startswith("s1 answers")]
    assert answers == ["s1 answers reader: 100 at 0", "s1 answers c:1: done 90 at 1"]


def test_a_new_primary_shows_nothing_before_all_that_it_began_with_is_acknowledged() -> None:
    """R4, R5: callers may have been told of it by the primary before, and do not go backward."""
    bank = running("s1", "s2", "s3", catch_up_operations=1)
    for number in (1, 2, 3):
        bank.withdraw("s1", f"c:{number}", 10)
    bank.deliver("s1 -> s2", "s2 -> s1", "s1 -> s3", "s3 -> s1", "s1 -> s2", "s2 -> s1")
    dies(bank, "s1")
    taken_over(bank, "s2", "s1")
    while bank.tips()["s3"][0] < 2:
        bank.deliver("s2 -> s3", "s3 -> s2")
    assert bank.tips() == {"s1": (3, 3), "s2": (3, 3), "s3": (2, 3)}, "it acknowledges, and has not all"
    bank.told()
    bank.read("s2", account=2)
    assert not [line for line in bank.told() if "answers" in line]
    bank.deliver("s2 -> s3", "s3 -> s2")
    assert bank.told()[-1] == "s2 answers reader: 300 at 3"


def test_a_read_is_of_nothing_older_than_its_caller_has_seen_even_if_a_clock_betrays_the_lease() -> None:
    """R5: the entry that the caller has seen may be another one than this server's own of that number."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.read("s1", account=2, seen=("history", 1))
    bank.read("s1", account=2, seen=("another", 1))
    assert bank.told() == ["s1 answers reader: 300 at 0"], "only of another history"
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[-1] == "s1 answers reader: 300 at 1"


def test_an_answer_waits_for_no_more_of_what_the_epoch_began_with_than_it_rests_on() -> None:
    """A1: that a read may not go backward is nothing to a request."""
    bank = running("s1", "s2", "s3", catch_up_operations=1)
    bank.withdraw("s1", "c:1", 10)
    for request in ("d:1", "e:1", "f:1"):
        bank.withdraw("s1", request, 10)
    bank.deliver("s1 -> s2", "s2 -> s1", "s1 -> s3", "s3 -> s1")
    bank.drop("s1 -> ")
    bank.cut("s1", "s2")
    bank.link("s1", "s2")
    dies(bank, "s3")
    bank.drop("s1 -> ")
    bank.deliver("s1 looks at s3", "s1 proposes", "witness -> s1")
    bank.told()
    bank.deliver("s1 -> s2: news", "s1 -> s2: checkpoint", "s2 -> s1: noted", "s2 -> s1: ack")
    assert "s1 answers d:1: done 80 at 2" in bank.told()


def test_a_copy_older_than_what_the_client_has_seen_refuses() -> None:
    """R5; of another history nothing is compared."""
    bank = running("s1", "s2")
    bank.read("s1", seen=("history", 7))
    bank.read("s1", seen=("another", 7))
    assert bank.told() == ["s1 answers reader: I only have 0", "s1 answers reader: 100 at 0"]


def test_a_standby_that_is_asked_looks_whether_the_primary_lives_and_names_it() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s2", "c:1", 10)
    assert bank.told() == ["s2 looks at s1"]
    bank.deliver("s2 looks")
    assert bank.told() == ["s2 answers c:1: ask s1"]


def test_a_standby_that_is_asked_and_finds_the_primary_gone_takes_over_and_answers() -> None:
    bank = running("s1", "s2")
    bank.crash("s1")
    bank.withdraw("s2", "c:1", 10)
    bank.deliver("s2 looks", "s2 proposes", "witness -> s2")
    assert bank.told()[-2:] == ["s2 commits group", "s2 answers c:1: done 90 at 1"]


def test_a_read_does_not_wait_for_a_joiner_that_counts_no_more() -> None:
    """R1, V3: it was asked while the joiner was mandatory and could not be spoken to."""
    bank = running("s1", "s2", lease_ms=0)
    bank.cut("s1", "s2")
    alone(bank, "s1")
    primary = bank.replicas["s1"].primary
    assert primary is not None
    joiner = primary.copies.peers["s2"]
    joiner.standing = Standing.MANDATORY
    bank.told()
    bank.read("s1")
    assert bank.told() == []
    joiner.gone = True
    bank.wait(500)
    bank.tick("s1")
    assert "s1 answers reader: 100 at 0" in bank.told()
