"""What one server is, and how that changes.  Rules F3, R3, V9."""

from __future__ import annotations

import pytest

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.effects import Report
from bankrmi.replication.leading import Leader
from bankrmi.replication.office import Office
from bankrmi.replication.roles import Following, Leading, Role, Won
from bankrmi.replication.step import Step
from tests.replication.steps import a_step, view_of
from tests.storage.journals import journal_on


def told(step: Step) -> list[str]:
    """Return what people were told in this step."""
    return [effect.event for effect in step.effects if isinstance(effect, Report)]


def joining(step: Step) -> Office:
    """An office of s1, whose disk the view does not name."""
    office = Office(0.0)
    office.follow(view_of("s1", "s2"), step)
    return office


def test_a_joiner_never_leads_at_once() -> None:
    """F3: it is said from what to what."""
    step = a_step()
    office = joining(step)
    with pytest.raises(BrokenInvariant, match="s1 cannot go from joining to primary"):
        office._become(Leading(Leader(view_of("s1"), step)), step)
    assert office.state.role is Role.JOINING


def test_who_has_won_is_told_of_when_it_leads() -> None:
    """R3: until then it is, for people, what it was before."""
    step = a_step()
    office = Office(0.0)
    office.win(view_of("s1"), step)
    assert (told(step), office.state.role) == ([], Role.STARTING)
    office.adopt(view_of("s1"), step)
    assert (told(step), office.state.role) == ([], Role.STARTING)
    office.lead(view_of("s1"), step)
    assert (told(step), office.state.role) == (["primary"], Role.PRIMARY)


def test_a_joiner_that_has_won_counts_as_a_standby() -> None:
    step = a_step()
    office = joining(step)
    office.win(view_of("s1"), step)
    assert isinstance(office.state, Won)
    assert told(step)[-1] == "standby"


@pytest.mark.parametrize("joined", [False, True])
def test_what_was_won_can_be_given_up(joined: bool) -> None:
    step = a_step()
    office = joining(step) if joined else Office(0.0)
    office.win(view_of("s1"), step)
    office.claim_nothing(step)
    assert isinstance(office.state, Following) == joined
    assert office.state.role is (Role.STANDBY if joined else Role.STARTING)


def test_an_empty_copy_that_is_named_beside_others_never_leads() -> None:
    """F3: they hold what it does not."""
    step = a_step(journal_on(None))
    office = Office(0.0)
    office.win(view_of("s1", "s2"), step)
    with pytest.raises(BrokenInvariant, match="an empty copy was named"):
        office.adopt(view_of("s1", "s2"), step)


def test_nobody_is_answered_until_there_is_a_view_again() -> None:
    """V9."""
    step = a_step()
    office = Office(0.0)
    office.know_nothing(step, fenced=True)
    assert office.is_fenced
    office.follow(view_of("s2", "s1"), step)
    assert not office.is_fenced
