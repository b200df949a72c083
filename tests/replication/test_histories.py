"""The famous histories of the design, one test each, each message delivered by hand."""

from __future__ import annotations

import pytest

from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.events import AnswerArrived, LinkChanged, MessageArrived
from bankrmi.replication.messages import Acknowledged, Checkpoint
from tests.replication.scenario import Bank, running


def alone(bank: Bank, name: str) -> None:
    """Let a primary go on without those that are silent."""
    bank.wait(600)
    bank.tick(name)
    bank.drop(f"{name} ->")
    bank.deliver(f"{name} proposes", f"witness -> {name}")


def taken_over(bank: Bank, name: str, gone: str) -> None:
    """Let a standby find the dead primary's address refusing, take over and lead."""
    bank.take(name, LinkChanged(server=gone, up=False))
    bank.deliver(f"{name} looks at {gone}", f"{name} proposes", f"witness -> {name}")


def until_proposed(bank: Bank, name: str) -> None:
    """Deliver one letter after the other, until this server has sent a proposal."""
    for _ in range(100):
        while bank.mail:
            if bank.mail[0].text.startswith(f"{name} proposes"):
                return
            bank.mail.pop(0).arrive()
        bank.wait(25)
        bank.tick()
    raise AssertionError(f"{name} never proposed")


# -- acknowledging -------------------------------------------------------------------------------


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
    bank.deliver("s1 -> s2: beacon in 2 after 1")
    assert bank.told() == ["s2 -> s1: mismatch in 2, my tip is 0"]
    bank.deliver("s2 -> s1", "s1 -> s2", "s2 -> s1")
    assert bank.told() == [
        "s1 -> s2: checkpoint in 2 of 1-1",
        "s2 commits checkpoint",
        "s2 -> s1: acknowledged in 2 up to 1",
        "s1 answers c:1: done 90 at 1",
    ]


def test_entries_above_base_of_an_older_epoch_are_rolled_back() -> None:
    """A3 (a): what the dead primary never shared is removed by the new one's first word."""
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
    bank.drop()
    bank.withdraw("s2", "c:1", 10)
    bank.deliver_all()
    assert bank.told()[-1] == "s2 answers c:1: done 90 at 1"


def test_two_different_entries_of_one_epoch_are_a_broken_invariant() -> None:
    bank, other = running("s1", "s2"), running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    other.withdraw("s1", "c:1", 20)
    [forged] = other.journals["s1"].entries(0, 10)
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
        entries=[forged],
    )
    with pytest.raises(BrokenInvariant, match="two different entries of epoch 2 at action id 1"):
        bank.take("s2", MessageArrived(None, message))


def test_two_processes_that_lead_one_epoch_are_a_broken_invariant() -> None:
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
    )
    with pytest.raises(BrokenInvariant, match="two processes lead epoch 3: one is s3"):
        bank.take("s2", MessageArrived(None, message))


@pytest.mark.parametrize("wrong", [{"epoch": 1}, {"epoch": 3}, {"incarnation": "lost"}, {"history": "old"}])
def test_an_acknowledgement_of_another_epoch_or_disk_does_not_count(wrong: dict[str, object]) -> None:
    """A5."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    tip = bank.journals["s1"].tip
    fields: dict[str, object] = {
        "server": "s2",
        "history": "history",
        "epoch": 2,
        "incarnation": "s2-disk1",
        "start_id": "s2#1",
        "number": 99,
        "matched": 1,
        "digest": tip.digest,
    }
    bank.told()
    bank.take("s1", AnswerArrived(Acknowledged(**{**fields, **wrong}), "s2"))  # type: ignore[arg-type]
    assert bank.told() == []
    bank.take("s1", AnswerArrived(Acknowledged(**fields), "s2"))  # type: ignore[arg-type]
    assert bank.told() == ["s1 answers c:1: done 90 at 1"]


def test_an_acknowledgement_of_another_entry_is_a_broken_invariant() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    answer = Acknowledged(
        server="s2",
        history="history",
        epoch=2,
        incarnation="s2-disk1",
        start_id="s2#1",
        number=99,
        matched=1,
        digest=b"another",
    )
    with pytest.raises(BrokenInvariant, match="s2 holds another entry than ours at action id 1"):
        bank.take("s1", AnswerArrived(answer, "s2"))


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
    assert bank.told()[:2] == ["s1 answers c:1: ask somebody else", "s1 reads the view"]
    bank.deliver_all()
    assert bank.replicas["s1"].primary is None
    assert bank.view is not None
    assert bank.view.primary == "s2"
    bank.told()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert "s1 answers c:1: done 90 at 1" not in bank.told()


# -- changing the view ---------------------------------------------------------------------------


def test_a_crash_is_taken_over_at_once() -> None:
    """V1, R3: a refused address proves it; no lease is waited for."""
    bank = running("s1", "s2")
    bank.crash("s1")
    bank.take("s2", LinkChanged(server="s1", up=False))
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
    bank.drop()
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


def test_a_lost_proposal_is_settled_by_another_one_and_the_late_one_loses() -> None:
    """V6."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.wait(600)
    bank.tick("s1")
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
    bank.crash("s1")
    bank.take("s2", LinkChanged(server="s1", up=False))
    bank.told()
    for _ in range(100):
        bank.wait(100)
        bank.tick("s2")
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]
    assert bank.replicas["s2"].primary is None


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


# -- the first view ------------------------------------------------------------------------------


def test_the_first_view_is_made_only_when_all_are_empty() -> None:
    """V9."""
    bank = Bank("s1", "s2")
    bank.start("s1")
    for _ in range(30):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]
    bank.start("s2")
    bank.link("s1", "s2")
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
    bank.start("s2")
    bank.link("s1", "s2")
    for _ in range(30):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert not [line for line in bank.told() if "proposes" in line]


def test_an_operator_may_make_the_first_view_without_the_others() -> None:
    bank = Bank("s1", "s2", first=True)
    bank.start("s1")
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    assert bank.told()[-2:] == ["witness: epoch 1 is s1's {s1}", "s1 commits lead"]


def test_all_hold_still_when_the_witness_lost_its_memory() -> None:
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
    assert "s1 answers c:1: ask somebody else" in told
    assert bank.holdings("s1").still
    for _ in range(30):
        bank.wait(100)
        bank.tick()
        bank.deliver_all()
    assert bank.holdings("s2").still
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
    assert bank.holdings("s2").still


# -- reading -------------------------------------------------------------------------------------


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
    assert bank.told() == ["s1 -> s2: beacon in 2 after 0"]
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[-1] == "s1 answers reader: 100 at 0"


def test_without_leases_every_read_is_confirmed_by_a_round_trip_begun_after_it() -> None:
    """R2, `lease_ms: 0`: the round trip under way when a read arrives does not confirm it."""
    bank = running("s1", "s2", lease_ms=0)
    bank.read("s1")
    assert bank.told() == ["s1 -> s2: beacon in 2 after 0"]
    bank.read("s1", account=2)
    assert bank.told() == []
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.told()[1:] == ["s1 answers reader: 100 at 0", "s1 -> s2: beacon in 2 after 0"]
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


# -- once only -----------------------------------------------------------------------------------


def test_a_retry_gets_the_recorded_outcome_and_changes_nothing() -> None:
    """O1, a batch too; and after a takeover."""
    bank = running("s1", "s2")
    bank.request("s1", "c:1", Withdraw(1, 10), Withdraw(1, 1000), Deposit(2, 1))
    bank.deliver_all()
    answer = "c:1: done 90 at 1, insufficient 90 at 2, done 301 at 3"
    assert bank.told()[-1] == f"s1 answers {answer}"
    bank.request("s1", "c:1", Withdraw(1, 10), Withdraw(1, 1000), Deposit(2, 1))
    assert bank.told()[-1] == f"s1 answers {answer}"
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    bank.request("s2", "c:1", Withdraw(1, 10), Withdraw(1, 1000), Deposit(2, 1))
    assert bank.told()[-1] == f"s2 answers {answer}"
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_a_retry_before_the_standby_has_it_waits_like_the_first() -> None:
    """O1 and A1."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.withdraw("s1", "c:1", 10)
    assert "s1 answers c:1: done 90 at 1" not in bank.told()
    bank.deliver_all()
    told = bank.told()
    assert told.count("s1 answers c:1: done 90 at 1") == 2
    assert bank.tips() == {"s1": (1, 2), "s2": (1, 2)}


def test_an_id_used_for_another_operation_is_a_mistake() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    bank.told()
    bank.withdraw("s1", "c:1", 11)
    assert bank.told()[-1].startswith("s1 answers c:1: refused, this request id was used before")
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_a_request_older_than_a_newer_one_of_its_session_is_stale() -> None:
    """O2; told only when the newer entry is acknowledged."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:2", 10)
    bank.withdraw("s1", "c:1", 10)
    bank.told()
    bank.deliver_all()
    assert bank.told()[2:] == ["s1 answers c:2: done 90 at 1", "s1 answers c:1: stale, 2 was decided"]
    assert bank.balances() == {"s1": 90, "s2": 90}


def test_an_outcome_of_what_never_arrived_is_final_and_the_late_request_finds_it() -> None:
    """O4, for all operations of a batch."""
    bank = running("s1", "s2")
    bank.outcome("s1", "c:1")
    assert bank.told() == ["s1 -> s2: checkpoint in 2 of 1-1", "s1 commits group"]
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers outcome of c:1: cancelled None at 1"
    bank.request("s1", "c:1", Withdraw(1, 10), Deposit(2, 1))
    assert bank.told()[-1] == "s1 answers c:1: cancelled None at 1"
    bank.outcome("s1", "c:1")
    assert bank.told()[-1] == "s1 answers outcome of c:1: cancelled None at 1"
    assert bank.balances() == {"s1": 100, "s2": 100}


def test_an_outcome_of_what_was_decided_is_what_was_decided() -> None:
    bank = running("s1", "s2")
    bank.request("s1", "c:1", Withdraw(1, 10), Withdraw(1, 1000))
    bank.outcome("s1", "c:1")
    bank.deliver_all()
    assert bank.told()[-1] == "s1 answers outcome of c:1: done 90 at 1, insufficient 90 at 2"


# -- leaving -------------------------------------------------------------------------------------


def test_a_standby_that_stops_is_taken_out_first() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.stop("s2")
    assert bank.told() == ["s2 -> s1: let me go"]
    bank.deliver("s2 -> s1")
    assert bank.told() == ["s1 proposes epoch 3 is s1's {s1}"]
    bank.deliver("s1 proposes", "witness -> s1")
    assert "s1 -> s2: noted" in bank.told()
    bank.deliver("s1 -> s2")
    bank.deliver_all()
    assert "s2" not in bank.replicas
    bank.withdraw("s1", "c:1", 10)
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"


def test_a_primary_that_stops_hands_over_first() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.stop("s1")
    assert bank.told() == ["s1 proposes epoch 3 is s2's {s1, s2}"]
    bank.deliver("s1 proposes", "witness -> s1")
    assert bank.told()[-1] == "s1 stops"
    bank.deliver("s1 -> s2")
    assert "s2 commits lead" in bank.told()


def test_the_last_server_stops_and_leaves_the_view_as_it_was() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    alone(bank, "s1")
    view = bank.view
    bank.told()
    bank.stop("s1")
    assert bank.told() == ["s1 stops"]
    assert bank.view == view
