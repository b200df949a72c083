"""The exhaustive search: it ends, it finds what is planted, and it tells how that came about."""

from __future__ import annotations

import pytest

from bankrmi.cli import exhaustive as command
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.robustness.exhaustive import bounds
from bankrmi.robustness.exhaustive.bounds import SearchBounds
from bankrmi.robustness.exhaustive.search import Explored, explore
from bankrmi.robustness.mutants import planted
from tests.robustness.request_ids import forgets_request_ids

CALM = SearchBounds(crashes=0, losses=0, retries=0)
CRASH = SearchBounds(losses=0, retries=0)
LOSS = SearchBounds(crashes=0, retries=0)
RETRY = SearchBounds(crashes=0, losses=0)
JOINING = SearchBounds(crashes=0, retries=0, haste=1, joining=True)
HASTE = SearchBounds(crashes=0, losses=0, retries=0, haste=2)


TRACE = (
    "s1 gets the withdrawal c:1",
    "s1 forms a group, or confirms a read",
)


def test_a_calm_bank_has_few_states_and_no_violation() -> None:
    """Time passes for ever, and the bank comes back to the same states."""
    explored = explore(CALM)
    assert explored.complete
    assert explored.violation is None
    assert (explored.states, explored.haste) == (332, 0)


def test_the_same_search_finds_the_same_states() -> None:
    first, second = explore(RETRY), explore(RETRY)
    assert first.complete
    assert (first.states, first.transitions, first.depth) == (second.states, second.transitions, second.depth)


def test_leases_and_clocks_that_go_together_end_too() -> None:
    explored = explore(SearchBounds(crashes=0, losses=0, retries=0, leases=True))
    assert explored.complete
    assert explored.violation is None


def test_a_search_without_time_says_that_it_is_not_complete() -> None:
    seen: list[Explored] = []
    explored = explore(SearchBounds(), 0.0, seen.append)
    assert (explored.complete, explored.haste, explored.violation) == (False, None, None)
    assert seen


@pytest.mark.but_first_long(2)
@pytest.mark.parametrize(
    ("bug", "within", "states", "sentence"),
    [
        ("acknowledge-before-standby", LOSS, 50, "is missing from its disk"),
        ("commit-after-answering", CRASH, 500, "is missing from its disk"),
        ("give-recorded-outcome-before-acknowledged", RETRY, 300, "is missing from its disk"),
        ("take-over-without-winning", CRASH, 500, "which it has not won"),
        ("go-on-alone-before-the-view", CRASH, 1_000, "is missing from its disk"),
        ("lead-again-without-fresh-epoch", JOINING, 100, "which another process won"),
        ("settle-lost-proposal-by-guessing", JOINING, 120_000, "is missing from its disk"),
        ("roll-back-on-late-message", LOSS, 7_500, "is missing from its disk"),
        ("read-without-lease", HASTE, 15_000, "was acknowledged before it was asked"),
    ],
)
def test_a_planted_bug_is_found(bug: str, within: SearchBounds, states: int, sentence: str) -> None:
    """Within about three times as many states as it took when this was written."""
    with planted(bug):
        explored = explore(within)
    assert explored.violation is not None
    assert sentence in explored.violation.sentence
    assert explored.states < states


def test_a_bank_that_forgets_request_ids_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """O1 off, and the index does not mind either; the catalogue's bug keeps a memory of its own."""
    forgets_request_ids(monkeypatch)
    violation = explore(CRASH).violation
    assert violation is not None
    assert "c:1" in violation.sentence


def test_the_trace_tells_how_it_came_to_that() -> None:
    with planted("acknowledge-before-standby"):
        violation = explore(CRASH).violation
    assert violation is not None
    assert violation.trace == TRACE


def test_a_promise_that_is_broken_while_the_search_begins_is_told_too() -> None:
    with planted("lead-again-without-fresh-epoch"):
        violation = explore(CALM).violation
    assert violation is not None
    assert "two processes lead epoch 1" in violation.sentence
    assert violation.trace[0] == "while it begins:"


def test_a_broken_promise_ends_the_command_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with planted("acknowledge-before-standby"):
        assert command.run(1) is ExitCode.ERROR
    out = capsys.readouterr().out
    assert "a promise is broken; " in out
    assert f"   1  {TRACE[0]}" in out


def test_a_command_whose_time_is_over_says_what_was_not_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounds, "LADDER", (CALM, CALM))
    assert command.run(1) is ExitCode.DONE
    assert capsys.readouterr().out.count("complete, no violation; 332 states, 752 transitions") == 2
    assert command.run(0) is ExitCode.DONE
    assert capsys.readouterr().out.count("not begun, the time is over") == 2
