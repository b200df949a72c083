"""How the view changes: rules V1 to V8; each message delivered by hand."""

from __future__ import annotations

import pytest

from bankrmi.replication.events import AnswerArrived, LinkChanged, ViewRead
from bankrmi.replication.messages import JoinAnswer
from bankrmi.replication.settings import Settings
from tests.replication.histories import alone, dies, taken_over, until_proposed
from tests.replication.scenario import follows, running


def test_a_crash_is_taken_over_at_once() -> None:
    """V1, R3: a refused address proves it; no lease is waited for."""
    bank = running("s1", "s2")
    dies(bank, "s1")
    assert bank.told() == ["s2 looks at s1"]
    bank.deliver("s2 looks")
    assert bank.told() == ["s2 proposes epoch 3 is s2's {s2}"]
    bank.deliver("s2 proposes", "witness -> s2")
    assert bank.told() == ["witness: epoch 3 is s2's {s2}", "s2 commits lead"]
    bank.withdraw("s2", "c:1", 10)
    assert bank.told() == ["s2 commits group", "s2 answers c:1: done 90 at 1"]


def test_a_silence_is_taken_over_after_the_lease_and_led_after_the_drift() -> None:
    """V1, R3: believing costs nothing but a proposal; to lead waits for lease and drift."""
    bank = running("s1", "s2")
    bank.wait(999)
    bank.tick("s2")
    assert bank.told() == ["s2 looks at s1", "s2 reads the view"]
    bank.hear("s2")
    bank.drop()
    bank.told()
    bank.wait(1)
    bank.tick("s2")
    assert bank.told() == ["s2 proposes epoch 3 is s2's {s2}"]
    bank.deliver("s2 proposes", "witness -> s2")
    bank.wait(19)
    bank.tick("s2")
    assert bank.told() == ["witness: epoch 3 is s2's {s2}"]
    bank.wait(1)
    bank.tick("s2")
    assert bank.told() == ["s2 commits lead", "s2 -> s1: news: epoch 3 is s2's {s2}"]


def test_a_standby_that_has_won_acknowledges_nothing_older_while_it_waits() -> None:
    """R3."""
    bank = running("s1", "s2")
    bank.wait(1000)
    bank.tick("s2")
    bank.deliver("s2 proposes", "witness -> s2")
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.deliver("s1 -> s2")
    assert bank.told() == ["s2 -> s1: superseded, I know 3"]


def test_a_primary_goes_on_alone_only_after_the_view_says_so() -> None:
    """V2."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.drop()
    bank.wait(499)
    bank.tick("s1")
    assert "s1 proposes epoch 3 is s1's {s1}" not in bank.told()
    bank.wait(1)
    bank.tick("s1")
    assert "s1 proposes epoch 3 is s1's {s1}" in bank.told()
    bank.deliver("s1 proposes")
    assert bank.told() == ["witness: epoch 3 is s1's {s1}"]
    bank.deliver("witness -> s1")
    assert bank.told() == [
        "s1 commits lead",
        "s1 -> s2: news: epoch 3 is s1's {s1}",
        "s1 answers c:1: done 90 at 1",
    ]


def test_a_primary_never_goes_below_copies_min() -> None:
    bank = running("s1", "s2", copies_min=2)
    bank.withdraw("s1", "c:1", 10)
    bank.drop()
    for _ in range(20):
        bank.wait(500)
        bank.tick("s1")
        bank.drop()
    assert not [line for line in bank.told() if "proposes" in line or "answers" in line]


def test_the_larger_copies_min_of_servers_that_have_met_counts_for_both() -> None:
    """While it is changed by restarting one after the other, neither file's promise is broken."""
    bank = running("s1", "s2")
    primary, standby = bank.replicas["s1"], bank.replicas["s2"]

    def meets(copies_min: int) -> int:
        event = LinkChanged(server="s2", up=True, start_id=standby.start_id, copies_min=copies_min)
        bank.take("s1", event)
        return primary.links.copies_min

    assert [meets(1), meets(2), meets(1_000_000), meets(0), meets(2)] == [1, 2, 2, 1, 2]
    bank.drop()
    bank.told()
    dies(bank, "s2")
    bank.deliver("s1 looks")
    bank.tick("s1")
    assert not [line for line in bank.told() if "proposes" in line], "it does not go on alone"
    meets(1)
    bank.take("s1", LinkChanged(server="s2", up=False))
    bank.deliver("s1 looks")
    bank.tick("s1")
    assert "s1 proposes epoch 3 is s1's {s1}" in bank.told(), "nor would it wait without that"


def test_a_server_below_copies_min_takes_over_and_acknowledges_nothing() -> None:
    """V1."""
    bank = running("s1", "s2", copies_min=2)
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    bank.told()
    bank.withdraw("s2", "c:1", 10)
    assert bank.told() == ["s2 commits group"]
    bank.start("s1")
    bank.link("s1", "s2")
    bank.settle(lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
    told = bank.told()
    assert told.index("witness: epoch 4 is s2's {s1, s2}") < told.index("s2 answers c:1: done 90 at 1")


def test_a_joiner_is_let_in_only_when_caught_up_and_is_mandatory_until_that_is_settled() -> None:
    """V3."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    bank.drop()
    alone(bank, "s1")
    bank.withdraw("s1", "c:1", 10)
    bank.link("s1", "s2")
    bank.told()
    until_proposed(bank, "s1")
    assert bank.told()[-1] == "s1 proposes epoch 4 is s1's {s1, s2}"
    # It has everything: from here on nothing is acknowledged without it, though the view does not name it.
    bank.withdraw("s1", "c:2", 10)
    assert bank.told() == ["s1 -> s2: checkpoint in 3 of 2-2", "s1 commits group"]
    bank.deliver("s1 proposes")
    bank.drop("witness -> s1")
    bank.witness_silent("s1", proposal=True)
    assert bank.told() == ["witness: epoch 4 is s1's {s1, s2}"]
    bank.deliver("s1 -> s2: checkpoint", "s2 -> s1: acknowledged in 3 up to 2")
    assert bank.told()[-1] == "s1 answers c:2: done 80 at 2"


def test_a_restarted_primary_leads_only_after_a_fresh_epoch() -> None:
    """V4; and it listens first: what it granted before it started, and to whom, it has forgotten."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.crash("s1")
    bank.drop()
    bank.start("s1")
    bank.tick("s1")
    assert bank.told()[2:] == ["s1 reads the view"]
    bank.deliver("s1 reads", "witness -> s1")
    assert bank.told() == ["s1 proposes epoch 3 is s1's {s1, s2}"]
    bank.withdraw("s1", "c:1", 10)
    assert bank.told() == []
    bank.deliver("s1 proposes", "witness -> s1")
    assert bank.told()[:2] == ["witness: epoch 3 is s1's {s1, s2}", "s1 commits lead"]
    bank.link("s1", "s2")
    bank.deliver_all()
    told = bank.told()
    assert told[-1] == "s1 answers c:1: done 90 at 1"
    assert bank.tips() == {"s1": (1, 2), "s2": (1, 2)}


def test_what_was_inherited_is_acknowledged_anew_before_it_is_answered() -> None:
    """A1, O1: a new primary knows nothing to be acknowledged; the recorded outcome waits for it, too."""
    bank = running("s1", "s2", "s3")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver("s1 -> s2")
    bank.crash("s1")
    bank.drop()
    taken_over(bank, "s2", "s1")
    bank.told()
    bank.withdraw("s2", "c:1", 10)
    assert bank.told() == []
    bank.deliver("s2 -> s3", "s2 -> s3", "s3 -> s2", "s3 -> s2", "s2 -> s3", "s3 -> s2")
    told = bank.told()
    assert told[-1] == "s2 answers c:1: done 90 at 1"
    assert "s3 -> s2: acknowledged in 4 up to 1" in told
    assert bank.balances() == {"s1": 90, "s2": 90, "s3": 90}


def test_in_a_switchover_nothing_is_answered_until_the_epoch_has_moved() -> None:
    """V5."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    assert bank.told() == ["s1 proposes epoch 3 is s2's {s1, s2}"]
    bank.withdraw("s1", "c:1", 10)
    bank.read("s1")
    bank.deliver("s1 proposes")
    assert bank.told() == ["witness: epoch 3 is s2's {s1, s2}"]
    bank.deliver("witness -> s1")
    assert bank.told() == [
        "s1 -> s2: news: epoch 3 is s2's {s1, s2}",
        "s1 answers operator: handed over, epoch 3 is s2's {s1, s2}",
        "s1 answers c:1: ask s2",
        "s1 answers reader: ask s2",
        "s1 reads the view",
    ]
    bank.deliver("s1 -> s2")
    assert bank.told()[1:3] == ["s2 commits lead", "s2 -> s1: news: epoch 3 is s2's {s1, s2}"]


def test_a_switchover_whose_answer_is_lost_is_resumed_only_by_winning() -> None:
    """V5, V6: the target is gone, the proposal may still win; so the lead has to be won again first."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    bank.witness_silent("s1", proposal=True)
    bank.cut("s1", "s2")
    bank.wait(100)
    bank.told()
    bank.tick("s1")
    assert [line for line in bank.told() if "proposes" in line] == ["s1 proposes epoch 3 is s1's {s1, s2}"]
    bank.read("s1")
    assert bank.told() == []
    late = bank.find("s1 proposes epoch 3 is s2's")
    bank.deliver("s1 proposes epoch 3 is s1's", "witness -> s1")
    assert "witness: epoch 3 is s1's {s1, s2}" in bank.told()
    late.arrive()
    assert bank.told() == []


@pytest.mark.parametrize("catches_up", [False, True])
def test_a_switchover_that_was_too_late_says_for_what(catches_up: bool) -> None:
    """V5: for the target, or for who keeps the view; of the proposal nothing has left."""
    bank = running("s1", "s2", switchover_timeout_ms=100)
    if not catches_up:
        bank.withdraw("s1", "c:1", 10)
    bank.switch_over("s1", "s2")
    assert ("s1 proposes epoch 3 is s2's {s1, s2}" in bank.told()) is catches_up
    bank.wait(101)
    if catches_up:
        bank.drop("s1 proposes")
        bank.witness_silent("s1", proposal=True, sent=False)
    bank.tick("s1")
    why = "who keeps the view did not answer in time" if catches_up else "s2 did not catch up in time"
    assert f"s1 answers operator: refused, {why}" in bank.told()


def test_a_switchover_given_up_goes_on_when_the_proposal_before_it_is_settled() -> None:
    """V5, V6, seed 10020996: the let-in has won, but its answer was lost when the switchover was too late."""
    bank = running("s1", "s2", switchover_timeout_ms=100)
    dies(bank, "s2")
    bank.deliver_all()
    bank.start("s2")
    bank.link("s1", "s2")
    until_proposed(bank, "s1")
    bank.deliver("s1 proposes epoch 4 is s1's {s1, s2}")
    bank.drop("witness -> s1")
    bank.take("s1", ViewRead(bank.view, 3))
    bank.switch_over("s1", "s2")
    bank.wait(101)
    bank.tick("s1")
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.witness_silent("s1", proposal=True)
    assert bank.told() == [
        "s1 answers operator: refused, who keeps the view did not answer in time",
        "s1 -> s2: checkpoint in 4 of 1-1",
        "s1 commits group",
    ]


def test_a_lost_proposal_is_settled_by_another_one_and_the_late_one_loses() -> None:
    """V6."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(600)
    bank.tick("s1")
    bank.hear("s1")
    bank.witness_silent("s1", proposal=True)
    bank.told()
    bank.wait(19)
    bank.tick("s1")
    assert "s1 proposes epoch 3 is s1's {s1}" not in bank.told()
    bank.wait(1)
    bank.tick("s1")
    assert "s1 proposes epoch 3 is s1's {s1}" in bank.told()
    bank.deliver("s1 proposes", "witness -> s1")
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"
    bank.deliver("s1 proposes")
    assert bank.told() == []
    assert bank.view is not None
    assert bank.view.epoch == 3


def test_a_takeover_that_won_unheard_is_settled_though_the_old_primary_is_heard_again() -> None:
    """V6 (found by the simulator, seed 92 of three servers): the winner must not forget that it asked."""
    bank = running("s1", "s2")
    bank.wait(1000)
    bank.tick("s2")
    bank.deliver("s2 proposes")
    bank.drop()
    bank.witness_silent("s2", proposal=True)
    bank.witness_silent("s2", proposal=False)
    bank.tick("s1")
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert bank.view is not None
    assert bank.view.primary == "s2"


def test_a_server_outside_in_sync_never_takes_over() -> None:
    """V7."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    alone(bank, "s1")
    bank.drop()
    bank.take("s2", LinkChanged(server="s1", up=True, start_id="s1#1", begun_ms=bank.now_ms))
    bank.tick("s2")
    bank.deliver_all()
    dies(bank, "s1")
    bank.told()
    for _ in range(100):
        bank.wait(100)
        bank.tick("s2")
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]
    assert bank.replicas["s2"].primary is None


def test_a_member_that_the_configuration_does_not_name_counts_until_it_is_taken_out() -> None:
    """A1, V2: it may take over, so nothing is acknowledged without it before the view says so."""
    bank = running("s1", "s2", "s3")
    bank.crash("s1")
    bank.settings["s1"] = Settings(server="s1", servers=("s1", "s2"))
    bank.start("s1")
    bank.link("s1", "s2")
    bank.drop()
    bank.take("s1", ViewRead(bank.view, 3))
    bank.deliver("s1 proposes", "witness -> s1")
    bank.withdraw("s1", "c:1", 10)
    assert "s1 proposes epoch 5 is s1's {s1, s2}" in bank.told()
    bank.deliver("s1 -> s2: news", "s1 -> s2", "s2 -> s1: noted", "s2 -> s1: ack")
    assert not [line for line in bank.told() if "answers" in line]
    bank.deliver("s1 proposes", "witness -> s1")
    bank.deliver_all()
    told = bank.told()
    assert told.index("witness: epoch 5 is s1's {s1, s2}") < told.index("s1 answers c:1: done 90 at 1")


def test_a_primary_that_the_configuration_does_not_name_is_not_looked_at() -> None:
    """Its address is not known; its silence is enough."""
    bank = running("s1", "s2", "s3")
    bank.crash("s3")
    bank.settings["s3"] = Settings(server="s3", servers=("s2", "s3"))
    bank.start("s3")
    bank.take("s3", ViewRead(bank.view, 3))
    bank.wait(1000)
    bank.tick("s3")
    bank.hear("s3")
    told = bank.told()
    assert "s3 looks at s1" not in told
    assert "s3 proposes epoch 4 is s3's {s2, s3}" in told


def test_a_proposal_that_wins_long_after_its_process_died_is_noticed_though_all_seem_well() -> None:
    """V6: else the view names one copy, and the other one could not take over if that one were lost."""
    bank = running("s1", "s2")
    bank.wait(1000)
    bank.tick("s2")
    late = bank.find("s2 proposes")
    bank.mail.remove(late)
    bank.crash("s2")
    bank.start("s2")
    bank.link("s1", "s2")
    bank.settle(lambda: follows(bank))
    late.arrive()
    assert "is s2's {s2}" in bank.told()[-1]
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"} and follows(bank))


def test_a_bank_that_is_well_goes_on_though_the_witness_has_lost_its_memory() -> None:
    """V9: only a server that needs the view is fenced; looking for news is not needing it."""
    bank = running("s1", "s2")
    bank.view = None
    for _ in range(200):
        bank.wait(25)
        bank.tick()
        bank.deliver_all()
    assert "s1 reads the view" in bank.told()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert "s1 answers c:1: done 90 at 1" in bank.told()


def test_a_late_acknowledgement_does_not_hide_that_its_sender_is_gone() -> None:
    """V2: found by the simulator (seed 1009672)."""
    bank = running("s1", "s2")
    bank.wait(100)
    bank.tick("s1")
    bank.deliver("s1 -> s2")
    late = bank.find("s2 -> s1: acknowledged")
    bank.cut("s1", "s2")
    bank.deliver("s1 looks at s2")
    late.arrive()
    bank.crash("s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})


def test_a_joiner_that_was_admitted_in_an_epoch_before_asks_again() -> None:
    """V3, V8: in its next epoch the primary goes by the view, which may name a disk that is lost.

    Found by the simulator (seed 2006654): the joiner knew of the new epoch already, and waited for ever.
    """
    bank = running("s1", "s2")
    bank.crash("s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    assert bank.view is not None
    epoch = bank.view.epoch
    bank.start("s2")
    bank.link("s1", "s2")
    bank.take("s2", ViewRead(bank.view, epoch))
    asked = []
    for number, admitted_in in ((1, epoch - 1), (2, epoch), (3, epoch)):
        bank.wait(95 if number == 1 else 101)
        bank.tick("s2")
        asked.append(bool([line for line in bank.told() if "let me in" in line]))
        answer = JoinAnswer(server="s1", number=number, outcome="checkpoints", epoch=admitted_in)
        bank.take("s2", AnswerArrived(answer, "s1"))
    assert asked == [True, True, False]


def test_a_server_that_is_deaf_leaves_nobody_behind() -> None:
    """V1, V2: its proposal would arrive, and win; and nobody would lead before it hears of that."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(2000)
    bank.tick("s1", "s2")
    assert [line for line in bank.told() if "proposes" in line] == []
    for name in ("s1", "s2"):
        bank.deliver(f"{name} reads the view")
        bank.drop(f"witness -> {name}")
        bank.witness_silent(name, proposal=False)
        bank.wait(2000)
        bank.tick(name)
    assert [line for line in bank.told() if "proposes" in line] == []
    bank.hear("s2")
    assert "s2 proposes epoch 3 is s2's {s2}" in bank.told()


def test_a_witness_that_denies_a_server_at_once_is_not_asked_again_at_once() -> None:
    """V2: each silence would be the next reason to ask: thousands of handshakes a second."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(2000)
    asked = 0
    for _ in range(10):
        bank.tick("s1")
        while any(letter.text == "s1 reads the view" for letter in bank.mail) and asked < 100:
            bank.drop("s1 reads the view")
            bank.witness_silent("s1", proposal=False)
            asked += 1
        bank.wait(50)
    assert 4 <= asked <= 6, "once in a heartbeat, of 100 ms, for half a second"
