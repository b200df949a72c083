"""A primary that cannot go on unless the view changes, and whom the witness does not answer: rule V2."""

from __future__ import annotations

import pytest

from tests.replication.histories import comes_back, dies, settle_without_witness, until_proposed
from tests.replication.scenario import Bank, running


def test_a_primary_that_cannot_give_the_lead_away_lets_it_be_taken() -> None:
    """V5: it answers nobody meanwhile, though the target is well, and hears the witness."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s1 answers c:1: ask s2" in bank.trace)
    bank.withdraw("s2", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
    settle_without_witness(bank, "s1", lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})


def test_a_switchover_that_has_won_unheard_is_heard_of_by_its_target() -> None:
    """V5, V6: the target has no other reason to read the view than that it hears nobody."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    bank.deliver("s1 proposes")
    bank.drop("witness -> s1")
    bank.witness_silent("s1", proposal=True)
    settle_without_witness(bank, "s1", lambda: bank.replicas["s2"].primary is not None)
    assert bank.view is not None
    assert bank.view.epoch == 3


@pytest.mark.parametrize("sent", [True, False])
def test_a_primary_that_cannot_go_on_without_a_dead_member_lets_another_lead(*, sent: bool) -> None:
    """V2: the dead one counts until the view says otherwise, and only the other one can ask for that."""
    bank = running("s1", "s2", "s3")
    dies(bank, "s3")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: bank.replicas["s2"].primary is not None, sent=sent)
    bank.withdraw("s2", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace, sent=sent)
    settle_without_witness(
        bank, "s1", lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"}, sent=sent
    )


@pytest.mark.parametrize("asked", [True, False])
def test_a_primary_that_was_deaf_before_a_member_died_lets_another_lead(*, asked: bool) -> None:
    """V2: it does not even propose (a deaf server leaves nobody behind), and nobody need ask it anything."""
    bank = running("s1", "s2", "s3")
    settle_without_witness(bank, "s1", lambda: False, rounds=100)
    dies(bank, "s3")
    if asked:
        bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: bank.replicas["s2"].primary is not None)
    bank.withdraw("s2", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
    assert bank.view is not None
    assert (bank.view.primary, "s3" in bank.view.in_sync) == ("s2", False)


def test_a_primary_that_is_stuck_speaks_to_whom_it_is_stuck_for() -> None:
    """With the witness away for all, the bank goes on as soon as the dead member is back."""
    bank = running("s1", "s2", "s3")
    dies(bank, "s3")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1 s2 s3", lambda: False, rounds=200)
    comes_back(bank, "s3")
    settle_without_witness(bank, "s1 s2 s3", lambda: "s1 answers c:1: done 90 at 1" in bank.trace)


def test_a_primary_that_goes_on_without_the_witness_sends_its_heartbeats() -> None:
    """Nobody needs another view: nothing is stuck, and nobody need look for one."""
    bank = running("s1", "s2")
    settle_without_witness(bank, "s1", lambda: False, rounds=400)
    assert bank.view is not None
    assert (bank.view.primary, bank.view.epoch) == ("s1", 2)
    assert sum(line.startswith("s2 reads") for line in bank.told()) <= 5, "it looks for news, and no more"


def test_a_primary_that_waits_for_a_dead_joiner_lets_another_lead() -> None:
    """V3, seed 1046: the let-in of s3 has won unheard, and s3 is dead."""
    bank = let_in_unheard()
    dies(bank, "s3")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s1 answers c:1: ask s2, it may have happened" in bank.trace)
    bank.withdraw("s2", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace)


def test_a_primary_that_is_stuck_hears_that_another_one_leads() -> None:
    """V2: it cannot hear the witness, nor the new primary; whoever follows that one tells it."""
    bank = running("s1", "s2", "s3")
    settle_without_witness(bank, "s1", lambda: False, rounds=100)
    bank.cut("s1", "s3")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(
        bank, "s1", lambda: "s1 answers c:1: ask somebody else, it may have happened" in bank.trace
    )
    assert bank.view is not None
    assert bank.view.primary == "s3"


def test_a_primary_with_too_few_copies_lets_another_let_one_in() -> None:
    """V3, `copies_min`: a server is back that would be enough, and the witness would have to be told."""
    bank = running("s3", "s1", "s2", copies_min=3)
    dies(bank, "s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"} and leads(bank))
    assert bank.view is not None
    deaf = bank.view.primary
    comes_back(bank, "s3")
    settle_without_witness(
        bank, deaf, lambda: bank.view is not None and bank.view.primary != deaf and leads(bank)
    )
    assert bank.view is not None
    other = bank.view.primary
    bank.withdraw(other, "c:1", 10)
    settle_without_witness(bank, deaf, lambda: f"{other} answers c:1: done 90 at 1" in bank.trace)


def test_a_primary_that_let_one_in_unheard_and_lost_the_other_lets_that_one_lead() -> None:
    """V3, `copies_min`: by the view that it knows there is nobody whom it could do without."""
    bank = let_in_unheard(copies_min=2)
    dies(bank, "s2")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: bank.replicas["s3"].primary is not None)
    bank.withdraw("s3", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s3 answers c:1: done 90 at 1" in bank.trace)


def let_in_unheard(**settings: int) -> Bank:
    """s3 died, came back, and was let in; s1, which leads, did not hear that it was."""
    bank = running("s1", "s2", "s3", **settings)
    dies(bank, "s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"} and leads(bank))
    comes_back(bank, "s3")
    until_proposed(bank, "s1")
    bank.deliver("s1 proposes")
    bank.drop("witness -> s1")
    bank.witness_silent("s1", proposal=True)
    return bank


def leads(bank: Bank) -> bool:
    """Whether the view's primary leads it."""
    view = bank.view
    primary = bank.replicas[view.primary].primary if view is not None else None
    return primary is not None and primary.view == view


def test_a_primary_that_is_alone_waits_for_no_joiner_whom_it_could_not_even_propose() -> None:
    """V3, V6: the witness's process is gone, so no let-in can have won; and the joiner is gone again."""
    bank = running("s1", "s2")
    dies(bank, "s2")
    bank.deliver_all()
    comes_back(bank, "s2")
    settle_without_witness(bank, "s1", lambda: False, rounds=40, sent=False)
    dies(bank, "s2")
    bank.withdraw("s1", "c:1", 10)
    settle_without_witness(bank, "s1", lambda: "s1 answers c:1: done 90 at 1" in bank.trace, sent=False)


def test_a_standby_that_does_not_reach_the_witness_notices_before_that_is_needed() -> None:
    bank = running("s1", "s2")
    standby = bank.replicas["s2"]
    settle_without_witness(bank, "s2", lambda: standby.condition().witness_silent_ms > 0, rounds=200)
    shown = standby.condition()
    assert shown.witness_silent_ms > 0
    assert shown.witness_asked_ms_ago < 5_000
    assert (shown.fenced, shown.role.value) == (False, "standby")
