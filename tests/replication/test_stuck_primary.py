"""A primary that cannot go on unless the view changes, and whom the witness does not answer: rule V2."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.replication.events import LinkChanged
from tests.replication.histories import until_proposed
from tests.replication.scenario import Bank, running


def settle(bank: Bank, deaf: str, done: Callable[[], bool], rounds: int = 0) -> None:
    """Let time pass and everything arrive, but for what these servers ask the witness."""
    for _ in range(rounds or 400):
        bank.tick()
        for letter in list(bank.mail):
            if letter in bank.mail:
                bank.mail.remove(letter)
                sender, _, what = letter.text.partition(" ")
                if sender in deaf.split() and what.startswith(("proposes", "reads the view")):
                    bank.witness_silent(sender, proposal=what.startswith("proposes"))
                else:
                    letter.arrive()
        if done():
            return
        bank.wait(25)
    assert rounds, "it never came to that: " + "; ".join(bank.trace[-12:])


def test_a_primary_that_cannot_give_the_lead_away_lets_it_be_taken() -> None:
    """V5: it answers nobody meanwhile, though the target is well, and hears the witness."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    settle(bank, "s1", lambda: "s1 answers c:1: ask s2" in bank.trace)
    bank.withdraw("s2", "c:1", 10)
    settle(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
    settle(bank, "s1", lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})


def test_a_switchover_that_has_won_unheard_is_heard_of_by_its_target() -> None:
    """V5, V6: the target has no other reason to read the view than that it hears nobody."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    bank.deliver("s1 proposes")
    bank.drop("witness -> s1")
    bank.witness_silent("s1", proposal=True)
    settle(bank, "s1", lambda: bank.replicas["s2"].primary is not None)
    assert bank.view is not None
    assert bank.view.epoch == 3


def test_a_primary_that_cannot_go_on_without_a_dead_member_lets_another_lead() -> None:
    """V2: the dead one counts until the view says otherwise, and only the other one can ask for that."""
    bank = running("s1", "s2", "s3")
    bank.crash("s3")
    for name in ("s1", "s2"):
        bank.take(name, LinkChanged(server="s3", up=False))
    bank.withdraw("s1", "c:1", 10)
    settle(bank, "s1", lambda: bank.replicas["s2"].primary is not None)
    bank.withdraw("s2", "c:1", 10)
    settle(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
    settle(bank, "s1", lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})


def test_a_primary_that_is_stuck_speaks_to_whom_it_is_stuck_for() -> None:
    """With the witness away for all, the bank goes on as soon as the dead member is back."""
    bank = running("s1", "s2", "s3")
    bank.crash("s3")
    for name in ("s1", "s2"):
        bank.take(name, LinkChanged(server="s3", up=False))
    bank.withdraw("s1", "c:1", 10)
    settle(bank, "s1 s2 s3", lambda: False, rounds=200)
    bank.start("s3")
    bank.link("s1", "s3")
    bank.link("s2", "s3")
    settle(bank, "s1 s2 s3", lambda: "s1 answers c:1: done 90 at 1" in bank.trace)


def test_a_primary_that_goes_on_without_the_witness_sends_its_beacons() -> None:
    """Nobody needs another view: nothing is stuck, and nobody need look for one."""
    bank = running("s1", "s2")
    settle(bank, "s1", lambda: False, rounds=400)
    assert bank.view is not None
    assert (bank.view.primary, bank.view.epoch) == ("s1", 2)
    assert not [line for line in bank.told() if line.startswith("s2 reads")]


def test_a_primary_that_waits_for_a_dead_joiner_lets_another_lead() -> None:
    """V3, seed 1046: the let-in of s3 has won unheard, and s3 is dead."""
    bank = running("s1", "s2", "s3")
    bank.crash("s3")
    for name in ("s1", "s2"):
        bank.take(name, LinkChanged(server="s3", up=False))
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    bank.start("s3")
    bank.link("s1", "s3")
    bank.link("s2", "s3")
    until_proposed(bank, "s1")
    bank.deliver("s1 proposes")
    bank.drop("witness -> s1")
    bank.witness_silent("s1", proposal=True)
    bank.crash("s3")
    for name in ("s1", "s2"):
        bank.take(name, LinkChanged(server="s3", up=False))
    bank.withdraw("s1", "c:1", 10)
    settle(bank, "s1", lambda: "s1 answers c:1: ask s2" in bank.trace)
    bank.withdraw("s2", "c:1", 10)
    settle(bank, "s1", lambda: "s2 answers c:1: done 90 at 1" in bank.trace)
