from __future__ import annotations

import pytest

from bankrmi.cli import run
from bankrmi.robustness.simulator import simulation


def result_of(seed: int, *, servers: int = 2) -> simulation.Result:
    failure = simulation.Failure("safety", "an entry is gone") if seed == 6 else None
    return simulation.Result(
        seed=seed,
        events=10,
        acknowledged=servers,
        simulated_ms=1.0,
        failure=failure,
        trace=[f"event {number}" for number in range(100)],
    )


def test_a_failing_seed_prints_itself_the_rule_and_the_last_events(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "simulate", result_of)
    assert run(["simulate", "--seeds", "3", "--seed", "5", "--servers", "3"]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "seed 6 failed: an entry is gone"
    assert lines[1:-2] == [f"  event {number}" for number in range(60, 100)]
    assert lines[-2] == "again: bankrmi simulate --seeds 1 --seed 6 --servers 3"
    assert lines[-1] == "3 seeds, 1 failed; 30 events, 9 acknowledged entries"
    assert err == "failed: 6\n"


def test_seeds_that_hold_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "simulate", result_of)
    assert run(["simulate", "--seeds", "2"]) == 0
    assert capsys.readouterr().out == "2 seeds, 0 failed; 20 events, 4 acknowledged entries\n"
