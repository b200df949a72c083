"""`bankrmi chaos --engine postgresql`: real PostgreSQL under Patroni, real faults, and a verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.engine.schedule import EngineAim, engine_storms, engine_timing
from tests.patroni.installed import entered_folder, needs_patroni
from tests.system.commands import bankrmi

__all__ = ["entered_folder"]

DEADLINE_S = 600.0


@pytest.mark.long
@needs_patroni
@pytest.mark.timeout(700)
@pytest.mark.parametrize(("seed", "more"), [(2, ()), (3, ("--relays",))])
def test_a_bank_on_a_database_keeps_its_promises(
    entered_folder: Path, seed: int, more: tuple[str, ...]
) -> None:
    directory = entered_folder / "run"
    words = ["chaos", "--engine", "postgresql", "--minutes", "0.5", "--seed", str(seed), *more]
    run = subprocess.run(
        [sys.executable, "-m", "bankrmi", *words, "--directory", str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("no violation in ")
    assert "linearizable, transfers atomic" in run.stdout
    faults = [json.loads(line) for line in (directory / "faults.jsonl").read_text().splitlines()]
    assert {"db1", "db2"} & {fault["target"] for fault in faults}
    assert not _of(directory)


def _of(directory: Path) -> list[Path]:
    """Return all processes that have this directory on their command line."""
    return [process for process in Path("/proc").glob("[0-9]*") if str(directory).encode() in _words(process)]


def _until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S / 3
    while not true():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.05)


def _words(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.long
@needs_patroni
@pytest.mark.timeout(300)
def test_a_chaos_that_is_killed_leaves_no_database_behind(entered_folder: Path) -> None:
    directory = entered_folder / "run"
    words = [
        "chaos",
        "--engine",
        "postgresql",
        "--minutes",
        "5",
        "--seed",
        "8",
        "--directory",
        str(directory),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "bankrmi", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            faults = directory / "faults.jsonl"
            _until(lambda: faults.exists() and faults.read_text(), "somebody is hit")
            assert _of(directory)
        finally:
            running.kill()
    _until(lambda: not _of(directory), "nobody is left")


def test_a_long_run_hits_everything_there_is() -> None:
    """Whatever the seed: each part of a database, in each way, and operators hand over."""
    for seed in range(5):
        faults = [fault for storm in islice(engine_storms(seed), 400) for fault in storm.faults]
        for kind in (FaultKind.KILL, FaultKind.PAUSE):
            hit = {fault.aim for fault in faults if fault.kind is kind}
            assert {EngineAim.POSTGRESQL, EngineAim.PATRONI, EngineAim.PRIMARY, EngineAim.SERVER} <= hit
        cut = {(fault.aim, fault.second) for fault in faults if fault.kind is FaultKind.CUT}
        assert {(EngineAim.PRIMARY, EngineAim.MEMBERS), (EngineAim.SERVERS, EngineAim.PRIMARY)} <= cut
        assert {FaultKind.SWITCHOVER, FaultKind.STOP, FaultKind.SLOW, FaultKind.RUSH} <= {
            fault.kind for fault in faults
        }


def test_the_same_seed_draws_the_same() -> None:
    assert [*islice(engine_storms(7), 50)] == [*islice(engine_storms(7), 50)]
    assert engine_timing(7) == engine_timing(7)
    assert len({engine_timing(seed).database.start_s for seed in range(20)}) == 2


@pytest.mark.parametrize("option", ["--etcd", "--certificates", "--removals"])
def test_what_is_of_servers_that_keep_accounts_is_refused_beside_it(tmp_path: Path, option: str) -> None:
    ended = bankrmi(tmp_path / "no.yaml", "chaos", "--engine", "postgresql", "--minutes", "1", option)
    assert ended.returncode == 2
    assert f"{option} is of servers that keep the accounts: leave it out, or --engine" in ended.stderr
