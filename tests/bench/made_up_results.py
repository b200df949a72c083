from __future__ import annotations

from collections.abc import Sequence

from bankrmi.bench.figures import OURS, Finding, Results, Sample


def sample(number: int, rate: float, *, cpu_us: float = 10.0, peak_kb: int = 2048) -> Sample:
    """A measurement of a second."""
    return Sample(
        round=number,
        operations=round(rate * 10),
        seconds=10.0,
        median_us=1e6 / rate,
        p99_us=2e6 / rate,
        cpu_us={"primary": cpu_us, "load": 1.0},
        peak_kb={"primary": peak_kb},
    )


def samples(rates: Sequence[float]) -> list[Sample]:
    """One for each round."""
    return [sample(number, rate) for number, rate in enumerate(rates, 1)]


def made_up_results() -> Results:
    """A run of three rounds, in which we win one row and lose another."""
    results = Results()
    rates = {
        ("32x1", OURS): (200, 300, 250),
        ("32x1", "redis"): (100, 100, 100),
        ("1x1", OURS): (50, 60, 70),
        ("1x1", "redis"): (100, 100, 100),
    }
    for (row, system), found in rates.items():
        for one in samples(found):
            results.add(row, system, one)
    results.findings.append(
        Finding(row="failover", what="kill -9 to the next answer", unit="ms", values=(5, 7, 90))
    )
    results.notes["redis"] = "the replica has it in memory"
    results.skipped["etcd"] = "etcd not found: apt install etcd-server"
    return results
