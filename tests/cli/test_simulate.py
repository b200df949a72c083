from __future__ import annotations

import json
import os
import re
import signal

import pytest

from bankrmi.cli import run
from bankrmi.robustness.simulator import simulation
from bankrmi.robustness.simulator.failure import SimulationFailure

KINDS = {6: "safety", 8: "liveness", 9: "crash"}


def result_of(
    seed: int, *, servers: int = 2, clocks_apart: bool = False, under_load: bool = False, **_: object
) -> simulation.SimulationResult:
    if seed >= 1000:
        os.kill(os.getpid(), signal.SIGKILL)
    failure = SimulationFailure(KINDS[seed], "an entry is gone") if seed in KINDS else None
    return simulation.SimulationResult(
        seed=seed,
        servers=servers,
        clocks_apart=clocks_apart,
        under_load=under_load,
        events=10,
        acknowledged=servers,
        calls=7,
        simulated_ms=30_000,
        failure=failure,
        chart=["the parties", *(f"event {number}" for number in range(100))],
    )


@pytest.fixture(autouse=True)
def _prepared_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "simulate", result_of)


def test_a_failing_seed_prints_itself_the_rule_and_what_happened_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["simulate", "--seeds", "3", "--seed", "5", "--servers", "3", "--clocks-apart"]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "seed 6 failed (safety): an entry is gone"
    assert lines[1:-2] == ["  the parties", *(f"  event {number}" for number in range(60, 100))]
    assert lines[-2] == "again: bankrmi simulate --seeds 1 --seed 6 --servers 3 --clocks-apart"
    assert re.match(
        r"3 seeds, 1 failed in 9 acknowledged operations \(21 calls, 2 simulated minutes\); 30 events in ",
        lines[-1],
    )
    assert err == "failed: 6\n"


@pytest.mark.parametrize(("first", "seeds", "code"), [(1, 3, 0), (6, 4, 1), (8, 2, 2), (9, 1, 3)])
def test_the_exit_code_says_what_kind_of_rule_was_broken(
    capsys: pytest.CaptureFixture[str], first: int, seeds: int, code: int
) -> None:
    assert run(["simulate", "--seeds", str(seeds), "--seed", str(first)]) == code
    capsys.readouterr()


def test_seeds_that_hold_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 seeds, no violation in 4 acknowledged operations (14 calls, ")


def test_minutes_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--minutes", "0.0001", "--seed", "100"]) == 0
    assert ", no violation in " in capsys.readouterr().out
    assert run(["simulate", "--minutes", "0"]) == 2
    capsys.readouterr()


def test_a_world_under_load_is_told_how_to_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--load", "--seeds", "1", "--seed", "8"]) == 2
    assert "again: bankrmi simulate --seeds 1 --seed 8 --servers 2 --load\n" in capsys.readouterr().out


def test_a_planted_bug_is_shown_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--break", "take-over-without-winning", "--seed", "5", "--servers", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("planted: take-over-without-winning, rule V1")
    assert lines[1] == "seed 6 failed (safety): an entry is gone"
    assert lines[-2] == (
        "again: bankrmi simulate --seeds 1 --seed 6 --servers 2 --break take-over-without-winning"
    )


def test_of_a_planted_bug_only_what_it_does_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """That a bank with a bug comes to rest late is looked past."""
    assert run(["simulate", "--break", "read-without-lease", "--seed", "8", "--seeds", "1"]) == 0
    assert "1 seed, no violation in " in capsys.readouterr().out


def test_a_process_that_is_killed_is_no_violation(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3: the seeds say nothing then."""
    assert run(["simulate", "--seeds", "20", "--seed", "1000", "--jobs", "2"]) == 3
    assert "A process that ran seeds was killed" in capsys.readouterr().err


def test_the_planted_bugs_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--break", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 2 * 20
    assert run(["simulate", "--break", "list", "--json"]) == 0
    bugs = {bug["name"]: bug for bug in json.loads(capsys.readouterr().out)}
    assert bugs["take-over-without-winning"]["rule"] == "V1"
    assert all(bug["goes_wrong"] for bug in bugs.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--break", "nothing"], "there is no planted bug named 'nothing'; `bankrmi simulate --break list`"),
        (["--break", ""], "there is no planted bug named ''"),
        (["--break", "read-without-lease", "--jobs", "2"], "--break stops at the first seed"),
        (["--exhaustive", "--seeds", "3"], "--exhaustive has no seeds"),
        (["--exhaustive", "--seed", "3"], "--exhaustive has no seeds"),
        (["--exhaustive", "--jobs", "2"], "--exhaustive has no seeds"),
        (["--load", "--clocks-apart"], "--load is a world without faults"),
        (["--exhaustive", "--load"], "--exhaustive has no seeds"),
        (["--json"], "--json is of --break"),
        (["--break", "nothing", "--json"], "there is no planted bug named 'nothing'"),
        (["--seeds", "0"], "--seeds"),
        (["--servers", "4"], "--servers"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(["simulate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1
