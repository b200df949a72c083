"""What is said waits for the disk, and nothing else does (ADR 22): A1, A2, A5, V2; each commit by hand."""

from __future__ import annotations

from bankrmi.replication.events import LinkChanged, MessageArrived
from bankrmi.replication.messages import Census
from tests.replication.histories import comes_back, dies
from tests.replication.scenario import Bank, running

WITHDRAWN = "s1 answers c:1: done 90 at 1"


def alone(**settings: int) -> Bank:
    """Return a bank that `s1` leads alone; `s2` is gone."""
    bank = running("s1", "s2", **settings)
    bank.cut("s1", "s2")
    bank.crash("s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.told()
    return bank


def taking_over(bank: Bank, name: str, loser: str) -> None:
    """Let `loser` die, and `name` win the next epoch; its disk has not adopted it yet."""
    bank.crash(loser)
    bank.slow_down(name)
    for other in bank.replicas:
        bank.cut_off(other, loser)
    bank.settle_but_for_disks(lambda: bank.view is not None and bank.view.primary == name)
    bank.deliver_all_but_disks()


# -- the primary's own disk ------------------------------------------------------------------------


def test_an_answer_waits_for_the_primarys_own_disk_as_for_the_others() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert WITHDRAWN not in bank.told()
    bank.deliver("disk of s1")
    assert bank.told() == [WITHDRAWN]


def test_a_disk_that_is_faster_than_the_standby_confirms_nothing_alone() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("disk of s1", "s1 -> s2")
    assert WITHDRAWN not in bank.told()
    bank.deliver("s2 -> s1")
    assert bank.told() == [WITHDRAWN]


def test_a_primary_that_dies_alone_before_its_commit_has_told_nobody() -> None:
    """The first history of ADR 22."""
    bank = alone()
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.tick()
    assert WITHDRAWN not in bank.told()
    bank.crash("s1")
    assert bank.tips()["s1"] == (0, 0)


def test_a_primary_that_dies_alone_after_its_commit_was_free_to_tell() -> None:
    bank = alone()
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("disk of s1")
    assert bank.told()[-1] == WITHDRAWN
    bank.crash("s1")
    assert bank.tips()["s1"] == (1, 3)


def test_reads_go_on_while_the_disk_works_but_not_those_that_saw_what_it_writes() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.read("s1", account=2)
    assert bank.told() == ["s1 answers reader: 300 at 0"]
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.read("s1")
    assert "s1 answers reader: 90 at 1" not in bank.told()
    bank.deliver("disk of s1")
    assert bank.told() == [WITHDRAWN, "s1 answers reader: 90 at 1"]


def test_a_recorded_outcome_waits_for_the_disk_too() -> None:
    """O1, A1."""
    bank = alone()
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.withdraw("s1", "c:1", 10)
    assert bank.told() == ["s1 commits group"]
    bank.deliver("disk of s1")
    assert bank.told() == [WITHDRAWN, WITHDRAWN]


def test_one_group_is_on_its_way_at_a_time_and_what_comes_meanwhile_is_the_next() -> None:
    bank = alone()
    bank.slow_down("s1")
    for number in (1, 2, 3):
        bank.withdraw("s1", f"{'abc'[number - 1]}:1", 10)
    assert bank.told() == ["s1 commits group"]
    bank.deliver("disk of s1")
    assert bank.told() == ["s1 answers a:1: done 90 at 1", "s1 commits group"]
    assert bank.tips()["s1"] == (3, 3)


# -- a standby's disk ------------------------------------------------------------------------------


def test_a_standby_acknowledges_when_it_is_durable() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2")
    assert bank.told()[-1] == "s2 commits checkpoint"
    bank.deliver("disk of s2")
    assert bank.told() == ["s2 -> s1: acknowledged in 2 up to 1"]


def test_a_heartbeat_brings_nothing_and_its_answer_waits_for_what_came_before() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(100)
    bank.tick("s1")
    bank.told()
    bank.deliver("s1 -> s2: checkpoint", "s1 -> s2: heartbeat in 2 after 1")
    assert bank.told() == ["s2 commits checkpoint"]
    bank.deliver("disk of s2")
    assert bank.told() == ["s2 -> s1: acknowledged in 2 up to 1"] * 2


def test_each_answer_waits_for_the_commits_that_were_asked_for_before_it_and_for_no_other() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s2")
    for number in (1, 2):
        bank.withdraw("s1", f"c:{number}", 10)
        bank.deliver("s1 -> s2")
        if number == 1:
            bank.deliver("disk of s2", "s2 -> s1")
    bank.told()
    bank.wait(100)
    bank.tick("s1")
    bank.deliver("s1 -> s2: heartbeat in 2 after 2")
    assert "s2 -> s1: acknowledged in 2 up to 2" not in bank.told()
    bank.deliver("disk of s2")
    assert bank.told() == ["s2 -> s1: acknowledged in 2 up to 2"] * 2


def test_the_lease_is_granted_when_the_checkpoint_arrives() -> None:
    """R3: its acknowledgement leaves later; whoever waits from then on waits too long, never too short."""
    bank = running("s1", "s2")
    bank.slow_down("s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(300)
    bank.deliver("s1 -> s2")
    granted = bank.replicas["s2"].grants.over_at_ms()
    bank.wait(50)
    bank.deliver("disk of s2")
    assert bank.replicas["s2"].grants.over_at_ms() == granted == bank.now_ms - 50 + 1020


def test_what_is_held_is_told_when_it_is_durable() -> None:
    """V9: a restore counts with it."""
    bank = running("s1", "s2")
    bank.slow_down("s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2")
    bank.take("s2", MessageArrived("operator", Census(server="operator")))
    bank.told()
    bank.deliver("disk of s2")
    assert bank.told() == ["s2 -> s1: acknowledged in 2 up to 1", "s2 answers operator: I hold 1 in 2"]


# -- adopting --------------------------------------------------------------------------------------


def test_who_wins_does_nothing_in_its_epoch_before_the_adopting_is_durable() -> None:
    bank = running("s1", "s2", "s3")
    taking_over(bank, "s2", loser="s1")
    assert "s2 commits lead" in bank.told()
    bank.withdraw("s2", "c:1", 10)
    bank.read("s2")
    bank.wait(200)
    bank.tick("s2")
    assert bank.told() == []
    bank.deliver("disk of s2")
    told = bank.told()
    assert told[:2] == ["s2 -> s3: news: epoch 4 is s2's {s2, s3}", "s2 -> s3: heartbeat in 4 after 0"]
    assert "s2 -> s3: checkpoint in 4 of 1-1" in told


def test_callers_who_wait_too_long_for_the_adopting_are_turned_away_and_the_gone_forgotten() -> None:
    """W4: a disk that hangs just then leaves nobody in doubt who was not looked at, and keeps nothing."""
    bank = running("s1", "s2", "s3")
    taking_over(bank, "s2", loser="s1")
    for caller in ("late", "gone", "soon"):
        bank.withdraw("s2", f"{caller}:1", 10)
    bank.told()
    bank.turn_away("s2", "late:1")
    assert bank.told() == ["s2 answers late:1: busy"]
    bank.forget("s2", "gone:1")
    bank.deliver("disk of s2")
    bank.deliver_all()
    said = " ".join(bank.told())
    assert "answers soon:1: done" in said
    assert "late:1" not in said
    assert "gone:1" not in said


def test_who_wins_and_dies_before_the_adopting_is_durable_wins_another_epoch() -> None:
    """V4."""
    bank = running("s1", "s2", "s3")
    taking_over(bank, "s2", loser="s1")
    bank.crash("s2")
    bank.start("s2")
    adopted = bank.journals["s2"].adopted
    assert adopted is not None
    assert adopted.epoch == 3
    bank.slow_disks.clear()
    bank.settle(lambda: bank.view is not None and bank.view.epoch > 4)
    bank.settle(lambda: any(replica.primary is not None for replica in bank.replicas.values()))


def test_a_primary_that_adopts_its_own_next_epoch_holds_still() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.crash("s2")
    bank.cut_off("s1", "s2")
    bank.settle_but_for_disks(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.deliver_all_but_disks()
    assert "s1 commits lead" in bank.told()
    bank.read("s1")
    bank.withdraw("s1", "c:1", 10)
    assert bank.told() == []
    bank.deliver("disk of s1")
    assert bank.told() == ["s1 answers reader: 100 at 0", "s1 commits group"]


def test_a_standby_acknowledges_in_an_epoch_when_its_adopting_is_durable() -> None:
    """A heartbeat brings no entry, and yet: the fourth history of ADR 22."""
    bank = running("s1", "s2", "s3")
    bank.slow_down("s3")
    bank.crash("s1")
    for other in ("s2", "s3"):
        bank.cut_off(other, "s1")
    bank.settle_but_for_disks(
        lambda: (
            bank.view is not None and bank.view.primary == "s2" and bank.replicas["s2"].primary is not None
        )
    )
    bank.deliver_all_but_disks()
    told = bank.told()
    assert "s3 commits checkpoint" in told
    assert not any(sentence.startswith("s3 -> s2: acknowledged in 4") for sentence in told)
    bank.deliver("disk of s3")
    assert any(sentence.startswith("s3 -> s2: acknowledged in 4") for sentence in bank.told())


def test_who_steps_down_keeps_what_is_under_way_and_its_answer_never_leaves() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.drop("s1 -> s2")
    bank.switch_over("s1")
    bank.told()
    bank.deliver("disk of s1")
    assert WITHDRAWN not in bank.told()


# -- a disk that hangs -----------------------------------------------------------------------------


def test_a_primary_whose_own_commit_is_overdue_sends_nothing() -> None:
    """V2: so that others can take over."""
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.wait(499)
    bank.tick("s1")
    assert "s1 -> s2: heartbeat in 2 after 1" in bank.told()
    bank.deliver_all_but_disks()
    bank.wait(200)
    bank.tick("s1")
    assert not any(sentence.startswith("s1 -> s2") for sentence in bank.told())
    bank.deliver("disk of s1")
    bank.told()
    bank.tick("s1")
    assert "s1 -> s2: heartbeat in 2 after 1" in bank.told()


def test_a_primary_whose_disk_hangs_is_replaced() -> None:
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.settle_but_for_disks(lambda: bank.view is not None and bank.view.primary == "s2")
    bank.settle_but_for_disks(lambda: bank.replicas["s1"].primary is None)
    assert bank.tips()["s2"][0] == 1


def test_own_lateness_is_no_overdue_commit() -> None:
    """The process stood still; that the disk is done may lie unread in its loop."""
    bank = running("s1", "s2")
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.told()
    bank.wait(900)
    bank.tick("s1", late_ms=800)
    assert "s1 -> s2: heartbeat in 2 after 1" in bank.told()


def test_a_server_whose_disk_hangs_wants_no_view() -> None:
    bank = running("s1", "s2", "s3")
    bank.slow_down("s3")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2", "s1 -> s3")
    bank.crash("s1")
    for other in ("s2", "s3"):
        bank.drop(f"s1 -> {other}")
        bank.cut_off(other, "s1")
    bank.wait(2000)
    bank.told()
    bank.tick("s3")
    assert not any(sentence.startswith("s3 proposes") for sentence in bank.told())


# -- the third history of ADR 22 -------------------------------------------------------------------


def late_checkpoint_of_an_epoch_without_it(bank: Bank) -> None:
    """`s2` has x, `s1` lost it, led epoch 3 without it, and is cut off; its checkpoint is still on its way.

    `s2` has just won epoch 4, which its disk does not know yet.
    """
    bank.slow_down("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2: checkpoint")
    bank.crash("s1")
    bank.slow_disks.clear()
    bank.mail.clear()
    bank.start("s1")
    bank.take("s1", LinkChanged(server="s2", up=True, start_id="s2#1"))  # s2 does not know yet that it died.
    bank.tick("s1")
    bank.deliver("s1 reads the view", "witness -> s1", "s1 proposes", "witness -> s1")
    assert bank.view is not None
    assert (bank.view.primary, bank.view.epoch) == ("s1", 3)
    late = bank.find("s1 -> s2: heartbeat in 3 after 0")
    bank.mail[:] = [late]
    bank.slow_down("s2")
    bank.wait(1100)
    bank.tick("s2")
    bank.hear("s2")  # From the witness alone it knows who won epoch 3.
    bank.wait(1100)
    bank.tick("s2")
    bank.deliver("s2 proposes epoch 4", "witness -> s2")
    bank.withdraw("s2", "c:1", 10)
    bank.told()


def test_an_epoch_that_was_not_adopted_durably_was_not_acted_in() -> None:
    """The late checkpoint removes x; but nobody was told of it."""
    bank = running("s1", "s2")
    late_checkpoint_of_an_epoch_without_it(bank)
    bank.tick("s2")
    bank.crash("s2")
    bank.start("s2")
    assert bank.tips()["s2"] == (1, 2)
    bank.deliver("s1 -> s2: heartbeat in 3 after 0")
    assert bank.tips()["s2"] == (0, 0)
    assert "s2 answers c:1: done 90 at 1" not in bank.told()


def test_an_epoch_that_was_acted_in_is_known_after_a_crash() -> None:
    bank = running("s1", "s2")
    late_checkpoint_of_an_epoch_without_it(bank)
    bank.deliver("disk of s2")
    assert "s2 answers c:1: done 90 at 1" in bank.told()
    bank.crash("s2")
    bank.start("s2")
    bank.deliver("s1 -> s2: heartbeat in 3 after 0")
    assert "s2 -> s1: superseded, I know 4" in bank.told()
    assert bank.tips()["s2"] == (1, 2)


# -- a copy ----------------------------------------------------------------------------------------


def test_what_is_under_way_is_durable_before_a_copy_takes_its_place() -> None:
    """What is answered then names the disk that is gone, and counts for nothing (A5)."""
    bank = running("s1", "s2")
    dies(bank, "s2", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.withdraw("s1", "c:1", 10)
    comes_back(bank, "s2")
    bank.slow_down("s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.tips()["s1"] == bank.tips()["s2"]
    assert bank.contradictions == []
