"""`bankrmi up --engine postgresql`: a real database is made, fails over, is kept; nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.client import connect
from tests import warm
from tests.patroni.installed import entered_folder, needs_patroni
from tests.system.cluster import LEDGER, Cluster
from tests.system.commands import bankrmi
from tests.system.supervised import Up

__all__ = ["entered_folder"]

DEADLINE_S = 240.0
ENGINE = ("--engine", "postgresql")


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.05)


def running(up: Up) -> None:
    until(lambda: "The bank is running" in up.said or up.process.poll() is not None, "it runs")
    assert "The bank is running" in up.said


def those_of(folder: Path) -> list[str]:
    """Return all processes that have something of this folder on their command line, or are there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, place = (process / "cmdline").read_bytes(), (process / "cwd").readlink()
        except OSError:
            continue
        if os.fsencode(folder / "data") in words or place.is_relative_to(folder / "data"):
            found.append(words.replace(b"\0", b" ").decode())
    return found


@pytest.mark.long
@needs_patroni
@pytest.mark.timeout(900)
def test_a_database_is_made_fails_over_is_kept_and_goes_with_up(entered_folder: Path) -> None:
    with Cluster(entered_folder, client={"timeout_ms": 60_000}) as cluster:
        with Up(cluster, *ENGINE) as up:
            running(up)
            with connect(cluster.configuration, timeout=60) as bank:
                assert bank.withdraw(2, 10).balance == LEDGER[2] - 10
                _looked_at(cluster, up)
                [leads] = re.findall(r"^database (\w+)  \S+  leads$", up.said, re.MULTILINE)
                os.kill(up.pids[f"database {leads}"], signal.SIGKILL)
                assert bank.deposit(2, 1).balance == LEDGER[2] - 9
            until(lambda: up.said.count(f"database {leads} is ready") == 2, "it is started again")
            up.process.kill()
            up.process.wait()
            until(lambda: not those_of(entered_folder), "nothing is left")
        with Up(cluster, *ENGINE) as up:
            running(up)
            with connect(cluster.configuration, timeout=60) as bank:
                assert bank.balance(2).balance == LEDGER[2] - 9
            command = ["--config", str(cluster.config), "up", "--no-menu", *ENGINE]
            second = warm.run(command, timeout=DEADLINE_S)
            assert second.returncode == 1
            assert "does this bank run already?" in second.stderr
            up.process.send_signal(signal.SIGTERM)
            assert up.process.wait(DEADLINE_S) == 0
            assert not those_of(entered_folder)
            log = (entered_folder / "data" / "log" / f"{leads}.log").read_text(errors="replace")
            assert "database system is shut down" in log


def _looked_at(cluster: Cluster, up: Up) -> None:
    """What `up` says of how to look at it is true, and has no password in it."""
    [(name, url)] = re.findall(r"export (\w+)='(.+)'", up.said)
    assert set(
        json.loads((cluster.directory / "data/postgresql/passwords.json").read_text()).values()
    ).isdisjoint(re.split(r"\W", up.said))
    os.environ[name] = url
    try:
        shown = bankrmi(cluster, "status")
    finally:
        del os.environ[name]
    assert shown.stdout.startswith("service account: 2 of 2 servers answer; the accounts are in bank at ")
    assert shown.returncode == 0


def test_what_is_missing_or_does_not_fit_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with Cluster(tmp_path, engine="postgresql://anna@127.0.0.1/bank") as cluster:
        ended = bankrmi(cluster, "up", "--no-menu", *ENGINE)
        assert ended.returncode == 2
        assert "names an engine already: leave --engine out" in ended.stderr
    with Cluster(tmp_path / "other") as cluster:
        for option in ("--fresh", "--relays"):
            ended = bankrmi(cluster, "up", "--no-menu", *ENGINE, option)
            assert ended.returncode == 2
            assert f"leave {option} out" in ended.stderr
        path = os.environ["PATH"]
        os.environ["PATH"] = str(tmp_path)  # Debian's clusters are found all the same, and Patroni is not.
        try:
            ended = bankrmi(cluster, "up", "--no-menu", *ENGINE)
        finally:
            os.environ["PATH"] = path
        assert ended.returncode == 2
        assert "not installed here: apt-get install etcd-server patroni" in ended.stderr
        assert not (tmp_path / "other" / "data").exists()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("patroni") is None, reason="root alone cannot run it itself"
)
@needs_patroni
def test_where_the_users_of_the_database_cannot_get_is_said_to_root(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with Cluster(closed) as cluster:
        ended = bankrmi(cluster, "up", "--no-menu", *ENGINE)
        assert ended.returncode == 2
        assert "PostgreSQL does not run as root" in ended.stderr
