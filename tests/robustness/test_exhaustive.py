"""The exhaustive search: it ends, it finds what is planted, and it tells how that came about."""

from __future__ import annotations

import pytest

from bankrmi.cli import exhaustive as command
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.robustness.exhaustive import bounds
from bankrmi.robustness.exhaustive.bounds import Bounds
from bankrmi.robustness.exhaustive.search import Explored, explore
from tests.robustness import exhaustive_plants as planted
from tests.robustness.exhaustive_plants import Plant

CALM = Bounds(crashes=0, losses=0, retries=0)
CRASH = Bounds(losses=0, retries=0)
LOSS = Bounds(crashes=0, retries=0)
BOTH = Bounds(retries=0)
JOINING = Bounds(crashes=0, retries=0, haste=1, joining=True)
HASTE = Bounds(crashes=0, losses=0, retries=0, haste=2)


TRACE = (
    "s1 gets the withdrawal c:1",
    "s1 forms a group, or confirms a read",
)


def test_a_calm_bank_has_few_states_and_no_violation() -> None:
    """Time passes for ever, and the bank comes back to the same states."""
    explored = explore(CALM)
    assert explored.complete
    assert explored.violation is None
    assert (explored.states, explored.haste) == (226, 0)


def test_the_same_search_finds_the_same_states() -> None:
    retry = Bounds(crashes=0, losses=0)
    first, second = explore(retry), explore(retry)
    assert first.complete
    assert (first.states, first.transitions, first.depth) == (second.states, second.transitions, second.depth)


def test_leases_and_clocks_that_go_together_end_too() -> None:
    explored = explore(Bounds(crashes=0, losses=0, retries=0, leases=True))
    assert explored.complete
    assert explored.violation is None


def test_a_search_without_time_says_that_it_is_not_complete() -> None:
    seen: list[Explored] = []
    explored = explore(Bounds(), 0.0, seen.append)
    assert (explored.complete, explored.haste, explored.violation) == (False, None, None)
    assert seen


@pytest.mark.parametrize(
    ("plant", "within", "states", "sentence"),
    [
        (planted.acknowledge_before_the_standby, CRASH, 100, "is missing from its disk"),
        (planted.lead_again_without_a_fresh_epoch, CRASH, 2_000, "which another process won"),
        (planted.take_over_without_winning, CRASH, 300, "which it has not won"),
        (planted.go_on_alone_before_the_view_says_so, CRASH, 1_000, "is missing from its disk"),
        (planted.guess_that_a_lost_proposal_won, BOTH, 1_000, "which it has not won"),
        (planted.guess_that_a_lost_proposal_failed, JOINING, 120_000, "is missing from its disk"),
        (planted.forget_request_ids, CRASH, 6_000, "is in the journal twice"),
        (planted.roll_back_because_a_late_message_ends_earlier, LOSS, 6_000, "is missing from its disk"),
        (planted.acknowledge_epochs_that_are_over, HASTE, 25_000, "is missing from its disk"),
        (planted.read_without_a_lease, HASTE, 15_000, "was acknowledged before it was asked"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, within: Bounds, states: int, sentence: str
) -> None:
    """Within about three times as many states as it took when this was written."""
    plant(monkeypatch)
    explored = explore(within)
    assert explored.violation is not None
    assert sentence in explored.violation.sentence
    assert explored.states < states


def test_the_trace_tells_how_it_came_to_that(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.acknowledge_before_the_standby(monkeypatch)
    violation = explore(CRASH).violation
    assert violation is not None
    assert violation.trace == TRACE


def test_a_broken_promise_ends_the_command_with_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted.acknowledge_before_the_standby(monkeypatch)
    assert command.run(1) is ExitCode.ERROR
    out = capsys.readouterr().out
    assert "a promise is broken; " in out
    assert f"   1  {TRACE[0]}" in out


def test_a_command_whose_time_is_over_says_what_was_not_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounds, "LADDER", (CALM, CALM))
    assert command.run(1) is ExitCode.DONE
    assert capsys.readouterr().out.count("complete, no violation; 226 states, 481 transitions") == 2
    assert command.run(0) is ExitCode.DONE
    assert capsys.readouterr().out.count("not begun, the time is over") == 2
