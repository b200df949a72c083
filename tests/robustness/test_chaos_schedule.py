"""What the nemesis is going to do: a function of the seed."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from bankrmi.config import load
from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.chaos.rolling_out import RollingOut, releases_in_words
from bankrmi.robustness.chaos.schedule import Aim, storms, timing
from bankrmi.robustness.chaos.storms import Planned
from bankrmi.robustness.chaos.workload import SessionWorkload

LINKS = (FaultKind.CUT, FaultKind.SLOW)


def planned(seed: int, count: int) -> list[Planned[Aim]]:
    plan = storms(seed, removals=True, releases=True)
    return [fault for storm in islice(plan, count) for fault in storm.faults]


def test_the_same_seed_does_the_same_and_another_one_does_not() -> None:
    """A failing run is done again by its seed."""
    assert list(islice(storms(5), 50)) == list(islice(storms(5), 50))
    assert list(islice(storms(5), 50)) != list(islice(storms(6), 50))


@pytest.mark.parametrize("seed", range(20))
def test_thirty_storms_have_every_kind_of_fault(seed: int) -> None:
    """Kinds are dealt like cards: a minute and a half is long enough for each of them."""
    assert {fault.kind for fault in planned(seed, 30)} == set(FaultKind)


def test_no_server_is_removed_unless_that_is_asked_for_nor_gets_other_code_if_there_is_none() -> None:
    kinds = {fault.kind for storm in islice(storms(1), 200) for fault in storm.faults}
    assert kinds == set(FaultKind) - {FaultKind.REMOVE, FaultKind.RELEASE}


@pytest.mark.parametrize("seed", range(5))
def test_a_release_is_on_every_server_before_the_next_one_comes(seed: int) -> None:
    """But for one server that gets the one before, by mistake."""
    releases = [{"stock": f"stock_{number}:Stock"} for number in range(4)]
    rolling, backwards = RollingOut(("s1", "s2", "s3"), releases, seed=seed), 0
    for _ in range(100):
        before = dict(rolling.installed)
        release, names = rolling.next()
        rolling.installed.update(dict.fromkeys(names, release))
        if release < max(before.values()):
            backwards += 1
            assert len(names) == 1
        else:
            assert release <= min(before.values()) + 1
            assert {*rolling.installed.values()} <= {release, rolling.last}
    assert {*rolling.installed.values()} == {rolling.last}
    assert rolling.next() == (rolling.last, [])
    assert rolling.in_words(1) == "release 2 of 4: stock_1:Stock"
    assert backwards or seed


def test_what_a_release_brings_is_said_and_what_stays_is_not() -> None:
    begins = {"stock": "stock_1:Stock", "orders": "orders_1:Orders"}
    releases = [
        begins,
        {**begins, "stock": "stock:Stock"},
        {"stock": "stock:Stock", "orders": "orders:Orders"},
    ]
    assert list(releases_in_words(releases)) == [
        "stock_1:Stock, orders_1:Orders",
        "stock:Stock",
        "orders:Orders",
    ]


def test_a_long_run_has_many_kills_pauses_and_cuts() -> None:
    """Each is needed so often that none may be rare."""
    counts = Counter(fault.kind for fault in planned(1, 420))
    assert min(counts[kind] for kind in (FaultKind.KILL, FaultKind.PAUSE, FaultKind.CUT)) > 150


def test_only_links_have_two_ends() -> None:
    """A cut is between two, and never between one and itself; anything else hits one."""
    for fault in planned(3, 300):
        assert (fault.second is not None) == (fault.kind in LINKS)
        assert fault.aim is not fault.second


@pytest.mark.parametrize("seed", range(50))
def test_every_timing_that_is_drawn_is_one_that_bankrmi_takes(tmp_path: Path, seed: int) -> None:
    """No seed makes a configuration that is refused."""
    drawn = timing(seed)
    lines = ["nameserver: 127.0.0.1:9090", "servers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}"]
    lines += [
        f"{key}: {getattr(drawn, key)}" for key in ("lease_ms", "heartbeat_ms", "checkpoint_timeout_ms")
    ]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    load(tmp_path / "config.yaml")


def test_each_session_has_calls_of_its_own_and_the_same_ones_again() -> None:
    """What is asked for comes from the seed, too."""
    names = ("1/client1.1", "1/client1.1", "1/client1.2")
    first, again, other = (SessionWorkload(name, pause_ms=10) for name in names)
    wanted = [first.wanted() for _ in range(200)]
    assert wanted == [again.wanted() for _ in range(200)]
    assert wanted != [other.wanted() for _ in range(200)]
    assert {len(one.operations) for one in wanted} == {0, 1, 2, 4, 8, 16, 32}
