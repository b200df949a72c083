"""A thousand careers of a bank; each one that ever failed is a history of its own in tests/replication."""

from __future__ import annotations

import pytest

from bankrmi.robustness.simulator.simulation import simulate

CHUNK = 50
CHUNKS = [(2, first) for first in range(0, 600, CHUNK)] + [(3, first) for first in range(0, 400, CHUNK)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("servers", "first"), CHUNKS)
def test_every_seed_keeps_every_promise(servers: int, first: int) -> None:
    acknowledged = 0
    for seed in range(first, first + CHUNK):
        result = simulate(seed, servers=servers)
        acknowledged += result.acknowledged
        again = f"bankrmi simulate --seeds 1 --seed {seed} --servers {servers}"
        assert result.failure is None, f"{result.failure}; again: {again}"
    assert acknowledged > 50 * CHUNK, "hardly anything happened"
