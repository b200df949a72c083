"""How fast callers may make the journals grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.server import rates
from bankrmi.server.rates import Buckets, EntryRates, Rate

BATCH = 8192


def wait_ms(buckets: Buckets, name: str, entries: int, now_ms: float) -> float:
    left, _ = buckets.filled(name, now_ms)
    return buckets.wait_ms(left, entries)


def take(buckets: Buckets, name: str, entries: int, now_ms: float) -> None:
    buckets.filled(name, now_ms)[0] -= entries


def test_two_full_batches_fit_at_once_and_a_third_one_has_to_wait_for_them() -> None:
    buckets = Buckets(10_000, 2 * BATCH)
    for _ in range(2):
        assert wait_ms(buckets, "a", BATCH, 0) == 0
        take(buckets, "a", BATCH, 0)
    assert wait_ms(buckets, "a", BATCH, 0) == BATCH / 10
    assert wait_ms(buckets, "a", BATCH, BATCH / 10) == 0
    assert wait_ms(buckets, "another", BATCH, 0) == 0


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, BATCH)), min_size=1, max_size=60),
    st.integers(1, 100_000),
)
def test_nobody_ever_adds_more_than_the_burst_and_the_rate_allow(
    asked: list[tuple[int, int]], per_second: int
) -> None:
    buckets, now_ms, added = Buckets(per_second, 2 * BATCH), 0.0, 0
    for pause_ms, entries in asked:
        now_ms += pause_ms
        if wait_ms(buckets, "a", entries, now_ms) == 0:
            take(buckets, "a", entries, now_ms)
            added += entries
        assert added <= 2 * BATCH + per_second * now_ms / 1000 + 1e-6


@given(st.integers(1, 2 * BATCH), st.integers(1, 100_000))
def test_who_waits_as_long_as_told_gets_in(entries: int, per_second: int) -> None:
    buckets = Buckets(per_second, 2 * BATCH)
    take(buckets, "a", 2 * BATCH, 0)
    told_ms = wait_ms(buckets, "a", entries, 0)
    assert wait_ms(buckets, "a", entries, told_ms) < 1e-3


def test_callers_of_one_address_share_what_it_may_add() -> None:
    few = Rate(per_caller=10_000, per_address=20_000)
    entry_rates = EntryRates(Rate(per_caller=0, per_address=0), few, full_batch=BATCH)
    assert entry_rates.wait_ms("10.0.0.1:1", BATCH, 0, ours=False) == 0
    assert entry_rates.wait_ms("10.0.0.1:2", BATCH, 0, ours=False) == 0
    assert entry_rates.wait_ms("10.0.0.1:3", BATCH, 0, ours=False) == BATCH / 20
    assert entry_rates.wait_ms("10.0.0.2:3", BATCH, 0, ours=False) == 0
    assert entry_rates.wait_ms("[::1]:3", BATCH, 0, ours=False) == 0


def test_who_is_refused_has_used_up_nothing() -> None:
    """Neither of its own, nor of what its address shares."""
    few = Rate(per_caller=10_000, per_address=20_000)
    entry_rates = EntryRates(few, few, full_batch=BATCH)
    for _ in range(2):
        entry_rates.wait_ms("h:1", BATCH, 0, ours=False)
    for _ in range(50):
        assert entry_rates.wait_ms("h:2", BATCH, 0, ours=False) == BATCH / 20
    assert entry_rates.wait_ms("h:2", BATCH, BATCH / 20, ours=False) == 0


def test_zero_is_without_limit() -> None:
    none = Rate(per_caller=0, per_address=0)
    entry_rates = EntryRates(none, none, full_batch=BATCH)
    assert all(entry_rates.wait_ms("h:1", BATCH, 0, ours=True) == 0 for _ in range(1000))


def test_however_many_addresses_come_and_go_buckets_are_few() -> None:
    buckets = Buckets(10, 2 * BATCH)
    for number in range(3 * rates.BUCKETS_AT_MOST):
        take(buckets, f"host{number}", 1, number)
    assert len(buckets) == rates.BUCKETS_AT_MOST


def test_many_of_our_own_clients_may_begin_together() -> None:
    """64 with a full batch each: less than two seconds of what they may add anyway."""
    ours = Rate(per_caller=200_000, per_address=500_000)
    entry_rates = EntryRates(ours, ours, full_batch=BATCH)
    assert all(entry_rates.wait_ms(f"h:{port}", BATCH, 0, ours=True) == 0 for port in range(64))
    assert entry_rates.wait_ms("h:1", BATCH, 0, ours=False) == 0
    assert sum(entry_rates.wait_ms(f"h:{port}", BATCH, 0, ours=False) == 0 for port in range(64)) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("[2001:db8::1]:1", "[2001:db8::2]:1", True),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", False),
        ("[::ffff:10.0.0.1]:1", "10.0.0.1:2", True),
        ("10.0.0.1:1", "10.0.0.2:1", False),
    ],
)
def test_of_ipv6_a_machine_has_a_whole_network_of_addresses(one: str, other: str, same: bool) -> None:
    none = Rate(per_caller=0, per_address=0)
    rates = EntryRates(none, Rate(per_caller=0, per_address=1000), full_batch=BATCH)
    assert rates.wait_ms(one, 2 * BATCH, 0, ours=False) == 0
    assert (rates.wait_ms(other, BATCH, 0, ours=False) > 0) is same
