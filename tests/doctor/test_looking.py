"""What is looked at: clocks, answers that are not what they should be, and an idle machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.cli.occupied import who_has_the_ports
from bankrmi.config import Configuration
from bankrmi.doctor import examination
from bankrmi.doctor.examination import _clock, _one_reading, _Reading, _reading, _within
from bankrmi.doctor.facts import OwnMachine, ProcessFacts, SyncTimes, read_facts
from bankrmi.doctor.own_machine import look_at_own_machine
from bankrmi.errors import OperationFailed
from tests.doctor.known import configured
from tests.system.ports import own_addresses


@given(
    rate=st.floats(-0.1, 0.1),
    ahead_s=st.floats(-1e6, 1e6),
    ways=st.lists(st.floats(0, 0.05), min_size=4, max_size=4),
)
def test_a_clock_is_within_what_is_said_of_it(rate: float, ahead_s: float, ways: list[float]) -> None:
    """However an answer's way is split into there and back."""
    readings = []
    for begun_s, there_s, back_s in ((100.0, *ways[:2]), (101.0, *ways[2:])):
        within_s = (there_s + back_s) / 2
        shown_s = (begun_s + there_s) * (1 + rate)
        wall_ahead_s = ahead_s + there_s - within_s
        readings.append(_Reading(begun_s + within_s, within_s, shown_s, wall_ahead_s))
    found = _clock(*readings)
    assert abs(found.rate - rate) <= found.rate_within * (1 + abs(rate)) + 1e-9
    assert abs(found.wall_ahead_s - ahead_s) <= found.wall_within_s + 1e-9


@pytest.mark.parametrize("answer", [None, [1.0], [1, 2], [1.0, float("nan")], ["1", "2"], {"a": 1}])
def test_what_is_no_clock_is_not_taken_for_one(answer: Any) -> None:
    with pytest.raises(OperationFailed, match="no clock"):
        _one_reading(lambda _: answer)


def test_who_answers_slowly_is_not_waited_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        examination, "time", SimpleNamespace(monotonic=lambda: 0.06 * len(asked), time=time.time)
    )

    def slow(method: str, args: Sequence[object], *, seconds: float) -> list[float]:
        asked.append(seconds)
        return [1.0, 1.0]

    with pytest.raises(OperationFailed, match=r"so slowly that 0\.1 s were not enough"):
        _reading(_within(0.1, slow))
    assert len(asked) == 2
    assert asked[0] > asked[1]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"process": "x" * 2000},
        {"process": "s1", "free_bytes": -1},
        {"process": "s1", "free_bytes": 1 << 80},
        {"process": "s1", "syncs": {"bounds_s": [], "counts": []}},
        {"process": "s1", "syncs": {"bounds_s": [float("inf")], "counts": [1]}},
        {"process": "s1", "round_trips_ms": {str(number): 1.0 for number in range(200)}},
        {"process": "s1", "certificate": {"days_left": "soon"}},
    ],
)
def test_what_cannot_be_read_is_a_sentence(answer: Any) -> None:
    told = read_facts(answer)
    assert isinstance(told, str)
    assert told.startswith("it answered what cannot be read (")
    assert len(told) < 400


def test_what_a_newer_version_tells_is_left_out() -> None:
    assert isinstance(read_facts({"process": "s1", "colour": "blue"}), ProcessFacts)


def test_a_share_of_all_syncs() -> None:
    times = SyncTimes(bounds_s=[0.001, 0.01], counts=[50, 40, 10])
    assert (times.at_share(0.5), times.at_share(0.9), times.at_share(1.0)) == (0.001, 0.01, float("inf"))
    assert SyncTimes(bounds_s=[1.0], counts=[0, 0]).at_share(0.5) is None


# -- this machine ------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Configuration]:
    with own_addresses(2) as addresses:
        text = "nameserver: {}\nservers: {{s1: {}}}\n".format(*addresses)
        (tmp_path / "ledger.csv").write_text("1,100\n")
        yield configured(tmp_path, text)


def looked_at(configuration: Configuration, *, is_running: bool = False) -> OwnMachine:
    return look_at_own_machine(configuration, who_has_the_ports, is_running=is_running)


def test_an_idle_machine_is_tried_and_left_as_it_was(own: Configuration) -> None:
    folder = own.path.parent
    before = sorted(folder.rglob("*"))
    found = looked_at(own)
    assert (found.is_idle, found.folder) == (True, str(folder))
    assert (found.ports, found.writing, found.files, found.unresolved) == ((), "", (), ())
    assert found.free_bytes
    assert len(found.sync_s) > 1
    assert sorted(folder.rglob("*")) == before


def until_it_is_called_so(pid: int) -> None:
    """A process that was started a moment ago has no command line yet."""
    deadline = time.monotonic() + 20
    while b"bankrmi" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline


def test_where_the_bank_runs_nothing_is_tried(own: Configuration) -> None:
    assert not looked_at(own, is_running=True).is_idle
    lock = own.data_dir / "s1" / "lock"
    lock.parent.mkdir(parents=True)
    command = [sys.executable, "-c", "input()", "-m", "bankrmi", "server", "s1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        lock.write_text(f"{server.pid}\n")
        until_it_is_called_so(server.pid)
        assert not looked_at(own).is_idle
        server.kill()
    for stale in ("", "nonsense", f"{server.pid}\n", f"{os.getppid()}\n", "99999999", str(1 << 70)):
        lock.write_text(stale)
        assert looked_at(own).is_idle, stale


def test_a_port_that_somebody_has(own: Configuration) -> None:
    host, _, port = own.servers["s1"].rpartition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        [sentence] = looked_at(own).ports
    assert sentence.startswith(f"{own.servers['s1']}: taken by process {os.getpid()}")


def test_files_that_a_start_needs(tmp_path: Path, own: Configuration) -> None:
    (tmp_path / "ledger.csv").write_text("1,many\n")
    [sentence] = looked_at(own).files
    assert "ledger.csv line 1" in sentence
    text = own.path.read_text() + "certificates: {folder: certificates}\n"
    secured = configured(tmp_path, text)
    (tmp_path / "ledger.csv").write_text("1,100\n")
    nameserver, s1 = looked_at(secured).files
    assert "certificates" in nameserver
    assert "certificates" in s1


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    text = "nameserver: no-such-host.invalid:1\nservers: {s1: localhost:2}\n"
    assert looked_at(configured(tmp_path, text)).unresolved == ("no-such-host.invalid",)


def test_a_folder_that_cannot_be_written(own: Configuration) -> None:
    text = own.path.read_text() + "data_dir: /proc/nowhere\n"
    assert looked_at(configured(own.path.parent, text)).writing.startswith(
        "nothing can be written in /proc: "
    )
