"""What a checkpoint means for the epoch that its receiver acts in.  Rules A2, R3."""

from __future__ import annotations

from dataclasses import replace

from bankrmi.replication.dispatch import Adopt, GoOn, ReceiverFacts, TurnedAway, weigh
from bankrmi.replication.effects import Refusal
from bankrmi.replication.lease import Grants
from bankrmi.replication.messages import Checkpoint, Superseded
from bankrmi.replication.step import Step
from tests.replication.steps import a_step, view_of
from tests.storage.journals import adopted, journal_on, opened

FACTS = ReceiverFacts(view=None, won=None, leads=False, believed=True, granted_ms=1020, grants=Grants())


def follows(epoch: int, *, granted_ms: int = 1020) -> Step:
    """A step of s1, which has adopted this epoch of s2's."""
    journal = opened()
    journal.adopt(replace(adopted(epoch, primary="s2"), granted_ms=granted_ms))
    return a_step(journal)


def heartbeat(step: Step, epoch: int, *, history: str = "h", start_id: str = "s2#1") -> Checkpoint:
    return Checkpoint(
        history=history,
        epoch=epoch,
        primary="s2",
        start_id=start_id,
        number=7,
        previous=step.journal.tip,
        base=step.journal.tip,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
    )


def newer(history: str, epoch: int) -> Superseded:
    return Superseded(server="s1", history=history, epoch=epoch, number=7)


def test_the_epoch_that_is_followed_goes_on() -> None:
    step = follows(3)
    assert weigh(heartbeat(step, 3), FACTS, step) == GoOn()


def test_an_older_epoch_is_told_of_the_newer_one() -> None:
    step = follows(3)
    assert weigh(heartbeat(step, 2), FACTS, step) == TurnedAway(newer("h", 3))


def test_an_epoch_that_was_won_counts_as_adopted() -> None:
    step = follows(3)
    won = FACTS._replace(won=view_of("s1", epoch=5))
    assert weigh(heartbeat(step, 4), won, step) == TurnedAway(newer("h", 5))


def test_a_newer_epoch_is_adopted_with_the_lease_that_it_brings() -> None:
    step = follows(3)
    expected = Adopt(replace(adopted(4, primary="s2"), granted_ms=1020))
    assert weigh(heartbeat(step, 4), FACTS, step) == expected


def test_a_newer_epoch_is_adopted_with_the_longest_lease_that_still_runs() -> None:
    """R3."""
    step, grants = follows(3), Grants()
    grants.acknowledged("s3", "s3", "s3#1", 0.0, 5000)
    expected = Adopt(replace(adopted(4, primary="s2"), granted_ms=5000))
    assert weigh(heartbeat(step, 4), FACTS._replace(grants=grants), step) == expected


def test_a_longer_lease_is_noted_before_it_is_granted() -> None:
    """R3: for the process after this one."""
    step = follows(3, granted_ms=500)
    longer = replace(adopted(3, primary="s2"), granted_ms=1020)
    assert weigh(heartbeat(step, 3), FACTS, step) == GoOn(longer)


def test_an_epoch_that_is_not_believed_is_looked_up() -> None:
    step = follows(3)
    doubted = FACTS._replace(believed=False)
    assert weigh(heartbeat(step, 4), doubted, step) == TurnedAway(look=True)


def test_of_two_histories_the_view_tells_which_counts() -> None:
    step = follows(3)
    restored = replace(view_of("s1", "s2", epoch=4), history="restored")
    message = heartbeat(step, 4, history="restored")
    assert weigh(message, FACTS, step) == TurnedAway(newer("h", 3), look=True)
    assert isinstance(weigh(message, FACTS._replace(view=restored), step), Adopt)


def test_two_processes_that_lead_one_epoch_are_a_contradiction() -> None:
    step = follows(3)
    message = heartbeat(step, 3, start_id="s2#2")
    why = Refusal("two processes lead epoch 3: one is s2")
    assert weigh(message, FACTS, step) == TurnedAway(why, look=True)


def test_an_empty_copy_takes_nothing() -> None:
    step = a_step(journal_on(None))
    message = heartbeat(follows(3), 3)
    assert weigh(message, FACTS, step) == TurnedAway()
