"""Signals: to a command under way, whose request id must be told; and to servers, which outlive SIGHUP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pexpect
import pytest

from bankrmi.client.asking import ask_once
from tests import warm
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import BANKRMI, bankrmi

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
ASKED = re.compile(r"not known whether request (\S+) was carried out; 'bankrmi outcome \1'")


def _is_connected(cluster: Cluster, pid: int) -> bool:
    """Whether the process has a connection to one of the servers, so that its request is on its way."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
        except OSError:
            continue
    ports = {int(address.rpartition(":")[2]) for address in cluster.configuration.servers.values()}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes and int(fields[2].rpartition(":")[2], 16) in ports:
            return True
    return False


@contextmanager
def standing_still(cluster: Cluster) -> Iterator[None]:
    for name in cluster.servers:
        cluster.pause(name)
    try:
        yield
    finally:
        for name in cluster.servers:
            cluster.resume(name)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One bank for all who are interrupted."""
    with Cluster(tmp_path_factory.mktemp("bank")) as cluster:
        cluster.start_all()
        yield cluster
        cluster.show_logs()


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("command", [["withdraw", "2", "10"], ["menu"]], ids=["withdraw", "menu"])
def test_whatever_interrupts_an_operation_its_request_id_is_told(
    cluster: Cluster, number: signal.Signals, command: list[str]
) -> None:
    cluster.wait_until_in_sync()
    before = cluster.client().balance(2).balance
    with standing_still(cluster):
        interrupted = warm.Popen(
            [*BANKRMI, "--config", str(cluster.config), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert interrupted.stdin is not None
        interrupted.stdin.write("2\n2\n10\n")
        interrupted.stdin.flush()
        cluster.until(lambda: _is_connected(cluster, interrupted.pid), "the request is on its way")
        interrupted.send_signal(number)
        _, said = interrupted.communicate(timeout=DEADLINE_S)
    assert interrupted.returncode == CODES[number]
    told = ASKED.search(said)
    assert told, said
    cluster.wait_until_in_sync()
    answer = bankrmi(cluster, "outcome", told[1])
    assert answer.returncode == 0
    after = cluster.client().balance(2).balance
    assert after in (before, before - 10)
    became = "cancelled" if after == before else f"done: account 2, balance {after}"
    assert answer.stdout.startswith(became)


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_the_menu_of_up_tells_the_request_id_too(tmp_path: Path, number: signal.Signals) -> None:
    with Cluster(tmp_path) as cluster:
        up = warm.terminal(["--config", str(cluster.config), "up"], timeout=40)
        up.expect_exact("Your choice: ")
        for pid in re.findall(r"server \w+ is ready: \w+, pid (\d+)", up.before):
            os.kill(int(pid), signal.SIGSTOP)
        for line in ("2", "2", "10"):
            up.sendline(line)
        cluster.until(lambda: _is_connected(cluster, up.pid), "the request is on its way")
        up.kill(number)
        up.expect(ASKED)
        up.expect(pexpect.EOF)
        up.close()
        assert up.exitstatus == 0


def _has_text(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


def _says_that_nothing_changes(cluster: Cluster, name: str) -> bool:
    return "SIGHUP changes nothing" in cluster.log(name)


def test_sighup_ends_no_server_and_opens_its_log_again(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        logs = {name: tmp_path / f"own-{name}.log" for name in (NAMESERVER, *cluster.servers)}
        for name, log in logs.items():
            cluster.start(name, arguments=["--log-file", str(log)], wait=False)
        cluster.wait_until_in_sync()
        pids = {name: cluster.process(name).pid for name in logs}
        for name, log in logs.items():
            log.rename(f"{log}.1")
            os.kill(pids[name], signal.SIGHUP)
            cluster.until(partial(_has_text, log), f"{name} has a log again")
            assert "the log was opened again" in log.read_text()
        assert cluster.client().withdraw(2, 10).balance == 190
        assert all(cluster.is_running(name) for name in logs)
        view = cluster.view()
        assert view is not None
        assert view["epoch"] == 2
        cluster.switch_over()
        cluster.until(lambda: "epoch=3" in logs[NAMESERVER].read_text(), "the new log is written")


def test_a_server_without_a_log_file_survives_sighup_too(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        for name in (NAMESERVER, *cluster.servers):
            os.kill(cluster.process(name).pid, signal.SIGHUP)
        for name in (NAMESERVER, *cluster.servers):
            cluster.until(partial(_says_that_nothing_changes, cluster, name), f"{name} says so")
        cluster.wait_until_in_sync()
        assert ask_once(cluster.configuration.nameserver, "Pyro.NameServer", "ping", seconds=5.0) is None
