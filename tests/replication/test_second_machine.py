from __future__ import annotations

import pytest

from bankrmi.robustness.simulator.simulation import simulate
from tests.replication.second_machine import SetsWorkload


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize(("servers", "seeds"), [(3, range(1)), (3, range(1, 5)), (2, range(5))])
def test_what_is_no_bank_is_replicated_by_the_same_rules(servers: int, seeds: range) -> None:
    """Equal digests and equal sets on all servers at the end of each seed, whatever happened."""
    acknowledged = 0
    for seed in seeds:
        result = simulate(seed, servers=servers, workload=SetsWorkload())
        assert result.failure is None, f"seed {seed}: {result.failure}"
        acknowledged += result.acknowledged
    assert acknowledged > 100 * len(seeds)  # Where servers come and go, less is done.
