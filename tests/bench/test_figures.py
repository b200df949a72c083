from __future__ import annotations

import pytest

from bankrmi.bench.figures import OURS, Results, percentile, ratio, summary
from tests.bench.made_up_results import made_up_results, sample, samples


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() -> None:
    compared = ratio(samples([100, 300, 50]), samples([100, 100, 100]))
    assert compared is not None
    assert (compared.median, compared.lowest, compared.highest, compared.rounds) == (1.0, 0.5, 3.0, 3)
    drifting = ratio(samples([100, 200, 400]), samples([50, 100, 200]))
    assert drifting is not None
    assert drifting.lowest == drifting.highest == 2.0


def test_a_round_that_only_one_of_them_has_is_compared_with_nothing() -> None:
    compared = ratio(samples([100, 300]), [sample(2, 100), sample(3, 1)])
    assert compared is not None
    assert (compared.median, compared.rounds) == (3.0, 1)
    assert ratio(samples([100]), []) is None
    assert ratio([], samples([100])) is None


def test_a_peer_that_did_nothing_in_a_round_is_no_divisor() -> None:
    assert ratio(samples([100]), [sample(1, 0.01)]) is None


def test_a_summary_has_the_medians_of_the_rounds_and_of_memory_the_most() -> None:
    told = summary([sample(1, 100, cpu_us=30, peak_kb=10), sample(2, 200, cpu_us=10, peak_kb=30),
                    sample(3, 400, cpu_us=20, peak_kb=20)])  # fmt: skip
    assert (told.rate, told.median_us, told.p99_us) == (200, 5000, 10_000)
    assert told.cpu_us == {"primary": 20, "load": 1.0}
    assert told.peak_kb == {"primary": 30}


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 51), (99, 100), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], percent) == value


def test_of_nothing_every_percentile_is_nothing() -> None:
    assert percentile([], 99) == 0


def test_ours_comes_first_whoever_was_measured_first() -> None:
    results = Results()
    for system in ("redis", OURS, "etcd"):
        results.add("1x1", system, sample(1, 10))
    assert results.systems == [OURS, "redis", "etcd"]
    assert made_up_results().ratio_to("7x7", "redis") is None
