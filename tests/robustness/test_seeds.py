"""Some careers of a bank; each one that ever failed is a history of its own in tests/replication."""

from __future__ import annotations

from collections import Counter

import pytest

from bankrmi.replication.cause import CauseKind
from bankrmi.robustness.simulator.simulation import Simulation, simulate

WITH_CHANGES = (0, 22)
CHUNKS = [
    (2, range(2), False),
    (3, range(1), False),
    *((2, range(first, first + 10), False) for first in range(2, 42, 10)),
    (3, range(1, 15), False),
    (2, range(15), True),
]


@pytest.mark.but_first_long(2)
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("servers", "seeds", "clocks_apart"), CHUNKS, ids=str)
def test_every_seed_keeps_every_promise(servers: int, seeds: range, clocks_apart: bool) -> None:
    acknowledged = 0
    for seed in seeds:
        result = simulate(seed, servers=servers, clocks_apart=clocks_apart)
        acknowledged += result.acknowledged
        apart = " --clocks-apart" if clocks_apart else ""
        again = f"bankrmi simulate --seeds 1 --seed {seed} --servers {servers}{apart}"
        assert result.failure is None, f"{result.failure}; again: {again}"
    assert acknowledged > 100 * len(seeds), "hardly anything happened"


@pytest.mark.but_first_long(1)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seeds", [range(1), range(1, 6)], ids=str)
def test_under_load_no_view_changes_and_no_call_ends_in_doubt(seeds: range) -> None:
    for seed in seeds:
        result = simulate(seed, under_load=True)
        assert result.failure is None, (
            f"{result.failure}; again: bankrmi simulate --load --seeds 1 --seed {seed}"
        )
        assert result.calls > 100, "hardly anything happened"


def test_servers_come_go_and_move_in_some_worlds() -> None:
    """V12: each kind of change was heard to be done, more than once, and every promise kept."""
    done = Counter[CauseKind]()
    for seed in WITH_CHANGES:
        simulation = Simulation(seed, servers=3)
        simulation.run()
        done.update(simulation.steward.done)
    assert min(done[kind] for kind in (CauseKind.ADDED, CauseKind.REMOVED, CauseKind.MOVED)) > 1, done
