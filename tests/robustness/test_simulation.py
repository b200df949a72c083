from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bankrmi.cli import run
from bankrmi.replication.leading import Leader
from bankrmi.replication.step import Step
from bankrmi.robustness.simulator import simulation
from bankrmi.robustness.simulator.many import simulate_many
from bankrmi.robustness.simulator.simulation import SimulationResult, simulate
from bankrmi.robustness.simulator.world import World

ROOT = Path(__file__).parent.parent.parent
SHOW = """
import sys
from bankrmi.robustness.simulator.simulation import simulate
result = simulate(int(sys.argv[1]), servers=int(sys.argv[2]), duration_ms=5_000, whole_chart=True)
print(result.events, result.acknowledged, result.views, result.simulated_ms, *result.chart, sep="\\n")
"""


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("servers", [2, 3])
def test_the_same_seed_is_the_same_history_in_another_process(servers: int) -> None:
    """To the byte, from the first event to the last, whatever order that process gives to what it hashes."""
    shown = []
    for hash_seed in ("1", "2"):
        program = [sys.executable, "-c", SHOW, "7", str(servers)]
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=60)
        assert ended.stderr == ""
        shown.append(ended.stdout)
    assert shown[0] == shown[1]
    assert len(shown[0].splitlines()) > 1000


def test_different_seeds_are_different_histories() -> None:
    assert len({simulate(seed, duration_ms=2000).events for seed in range(5)}) == 5


def figures(result: SimulationResult) -> tuple[int, int, int, float]:
    return result.seed, result.events, result.acknowledged, result.simulated_ms


@pytest.mark.long
def test_what_a_seed_comes_to_does_not_depend_on_how_many_processes_run_the_seeds() -> None:
    alone = [figures(result) for result in simulate_many(3, 7, servers=2)]
    shared = [figures(result) for result in simulate_many(3, 7, servers=2, jobs=2)]
    assert alone == shared
    assert [seed for seed, *_ in alone] == list(range(3, 10))


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("jobs", [2, 1])
def test_when_the_time_is_over_no_seed_is_begun(monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    monkeypatch.setattr(simulation, "simulate", partial(simulate, duration_ms=500))
    allowed = iter([True, False, False, False])
    results = list(simulate_many(0, None, servers=2, jobs=jobs, go_on=lambda: next(allowed)))
    assert [result.seed for result in results] == list(range(1 if jobs == 1 else 5))


def test_what_was_planned_for_a_time_happens_then_in_the_order_of_planning() -> None:
    world, happened = World(1), list[str]()
    world.after(5, lambda: happened.append("second"))
    world.after(5, lambda: happened.append("third"))
    world.after(1, lambda: happened.append("first"))
    world.after(9, lambda: happened.append("too late"))
    world.run_until(8)
    assert happened == ["first", "second", "third"]
    assert world.now_ms == 5


def test_a_cut_stops_one_direction_and_a_lag_delays_one() -> None:
    world, arrived = World(1), list[tuple[str, float]]()
    world.quiet = True
    heal = world.cut({("a", "b")})
    world.lag({("b", "a")}, 100)
    world.send("a", "b", "lost", lambda: arrived.append(("a", world.now_ms)))
    world.send("b", "a", "late", lambda: arrived.append(("b", world.now_ms)))
    world.send("c", "b", "soon", lambda: arrived.append(("c", world.now_ms)))
    world.run_until(1000)
    assert [sender for sender, _ in arrived] == ["c", "b"]
    assert arrived[0][1] < 5
    assert arrived[1][1] >= 100
    heal()
    world.send("a", "b", "heard", lambda: arrived.append(("a", world.now_ms)))
    world.run_until(2000)
    assert arrived[-1][0] == "a"


def test_a_distance_stays_when_everything_is_healed() -> None:
    world, took = World(1), list[float]()
    world.quiet = True
    world.place_far({("a", "b")}, 60)
    world.lag({("a", "b")}, 100)
    world.send("a", "b", "late", lambda: took.append(world.now_ms))
    world.run_until(1000)
    world.heal_all()
    sent_ms = world.now_ms
    world.send("a", "b", "far", lambda: took.append(world.now_ms - sent_ms))
    world.send("b", "a", "near", lambda: took.append(world.now_ms - sent_ms))
    world.run_until(2000)
    late, near, far = took
    assert late >= 160
    assert near < 5
    assert 60 <= far < 65


def test_healing_one_cut_leaves_another_of_the_same_pair() -> None:
    world = World(1)
    heal, heal_other = world.cut({("a", "b")}), world.cut({("a", "b"), ("b", "a")})
    heal()
    heal()
    assert world.is_cut("a", "b")
    heal_other()
    assert not world.is_cut("a", "b")
    heal = world.cut({("a", "b")})
    world.heal_all()
    world.cut({("a", "b")})
    heal()
    assert world.is_cut("a", "b")


def test_a_failing_seed_says_which_rule_it_broke_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_early(self: Leader, step: Step) -> None:
        self.acknowledged = step.tip
        self._release(step)

    monkeypatch.setattr(Leader, "_advance", too_early)
    assert run(["simulate", "--seeds", "3", "--seed", "0", "--servers", "3"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed ")
    assert " failed (safety): " in lines[0]
    assert " acknowledged at action id " in lines[0]
    seed = lines[0].split()[1]
    assert f"again: bankrmi simulate --seeds 1 --seed {seed} --servers 3" in lines
    columns = [name for name in lines[1].split() if not name.startswith("pyro-")]  # Some seeds have them.
    assert columns == ["time", "ms", "c1", "c2", "c3", "c4", "s1", "s2", "s3", "witness", "operator"]
    assert sum(line.startswith("  ") for line in lines) > 20, "what happened last"
    assert lines[-1].startswith("3 seeds, ")


def test_seeds_that_hold_say_so_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--seeds", "2", "--seed", "11"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("2 seeds, no violation in ")
