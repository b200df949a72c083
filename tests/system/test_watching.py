"""What real processes show of themselves: figures and health follow what happens to the bank."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bankrmi import Deposit, Withdraw
from bankrmi.diagnosis.usage import cpu_seconds
from bankrmi.errors import BankError, InsufficientFunds, InvalidRequest
from bankrmi.metrics.measure import Measure
from bankrmi.metrics.port import SEATS, SHARE
from bankrmi.nameserver import measures as of_nameserver
from bankrmi.server import measures as of_server
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi
from tests.system.ports import own_addresses
from tests.system.supervised import Up
from tests.system.watched import Watch, watched_bank

PATHS = ("/health", "/ready", "/primary", "/standby")


def checks(watch: Watch, name: str) -> str:
    """Return which checks of a server are well, as their first letters."""
    return "".join(path[1] for path in PATHS if watch.ask(name, path).well)


def test_figures_are_those_of_what_was_done(tmp_path: Path) -> None:
    with watched_bank(tmp_path) as (cluster, watch):
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()
        before = watch.figures(primary)
        bank = cluster.client()
        for _ in range(3):
            bank.withdraw(1, 10)
        bank.submit([Deposit(2, 1), Withdraw(2, 1), Deposit(99, 1)])
        bank.balance(1)
        with pytest.raises(InsufficientFunds):
            bank.withdraw(1, 10_000)
        with pytest.raises(InvalidRequest):
            cluster.ask(primary, "withdraw", 1, -1)
        with pytest.raises(BankError):
            cluster.ask(standby, "balance", 1)
        after = watch.figures(primary)

        def grown(name: str, **labels: str) -> float:
            series = name, frozenset(labels.items())
            return after[series] - before[series]

        requests = "bankrmi_requests_total"
        assert grown(requests, kind="withdraw", outcome="done") == 3
        assert grown(requests, kind="withdraw", outcome="insufficient_funds") == 1
        assert grown(requests, kind="withdraw", outcome="invalid_request") == 1
        assert grown(requests, kind="submit", outcome="done") == 1
        assert grown(requests, kind="balance", outcome="done") == 1
        assert grown("bankrmi_request_seconds_count", kind="withdraw") == 4
        assert 0 < grown("bankrmi_request_seconds_sum", kind="withdraw") < 40
        assert grown("bankrmi_group_requests_sum") == 5
        assert grown("bankrmi_group_operations_sum") == 7
        assert grown("bankrmi_group_requests_count") == 5
        assert grown("bankrmi_commit_seconds_count") >= 5
        assert grown("bankrmi_sync_seconds_count") >= 5
        assert grown("bankrmi_tip_action_id") == 7
        assert grown("bankrmi_acknowledged_action_id") == 7
        assert grown("bankrmi_durable_action_id") == 7
        assert after["bankrmi_lag_operations", frozenset({("server", standby)})] == 0
        assert after["bankrmi_connections", frozenset({("kind", "clients")})] >= 1
        assert after["bankrmi_connections", frozenset({("kind", "servers")})] >= 1
        assert (watch.figure(primary, "bankrmi_read_lease_seconds") or 0) > 0
        assert watch.figure(standby, requests, kind="balance", outcome="not_primary") == 1
        assert watch.figure(standby, "bankrmi_tip_action_id") == 7
        assert watch.figure(standby, "bankrmi_acknowledges") is None


def test_every_process_shows_what_it_is_said_to_show_and_nothing_else(tmp_path: Path) -> None:
    """A primary, its standby and the name server together; each series is of the closed sets."""
    with watched_bank(tmp_path) as (cluster, watch):
        cluster.start_all()
        cluster.client().withdraw(1, 1)
        servers = cluster.servers
        shown: set[str] = set()
        for name in servers:
            measures = of_server.measures_of(name, servers, "account")
            shown |= _check_shown(watch, name, measures)
        of_one, of_names = (
            of_server.measures_of("s1", servers, "account"),
            of_nameserver.measures_of(servers, "account"),
        )
        without = {"bankrmi_certificate_left_seconds"}  # Nobody has any here.
        assert shown == {measure.name for measure in of_one} - without
        assert _check_shown(watch, NAMESERVER, of_names) == {measure.name for measure in of_names} - without


def _check_shown(watch: Watch, name: str, measures: Iterable[Measure[Any]]) -> set[str]:
    """Return which measures a process shows; fail for a series that there should not be."""
    foreseen = {
        (measure.name, frozenset(zip(measure.labels, values, strict=True))): measure.name
        for measure in measures
        for values in measure.series()
    }
    shown = set()
    for figure, labels in watch.figures(name):
        if figure.startswith("bankrmi_"):
            plain = re.sub("_(bucket|count|sum)$", "", figure)
            unbucketed = frozenset(label for label in labels if label[0] != "le")
            shown.add(foreseen[plain if (plain, unbucketed) in foreseen else figure, unbucketed])
    return shown


def test_health_follows_a_takeover_and_the_way_back(tmp_path: Path) -> None:
    with watched_bank(tmp_path) as (cluster, watch):
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()
        assert checks(watch, primary) == "hrp"
        assert checks(watch, standby) == "hrs"
        assert watch.ask(NAMESERVER, "/ready").well
        assert watch.ask(NAMESERVER, "/primary").status == 404
        cluster.kill(primary)
        cluster.until(lambda: watch.says(standby, "/primary"), "the standby is a primary for load balancers")
        assert checks(watch, standby) == "hrp"
        assert not watch.says(primary, "/health")
        assert watch.figure(standby, "bankrmi_copies") == 1
        assert watch.figure(NAMESERVER, "bankrmi_leads", server=standby) == 1
        changes = "bankrmi_view_changes_total"
        assert watch.figure(NAMESERVER, changes, cause="crash") == 1
        assert watch.figure(standby, changes, cause="crash") == 1
        cluster.start(primary)
        cluster.until(lambda: watch.says(primary, "/standby"), "it is a standby for load balancers")
        assert watch.figure(NAMESERVER, changes, cause="joined") == 2, "and once at the start of the bank"
        cluster.switch_over()
        cluster.until(lambda: watch.says(primary, "/primary"), "it leads again")
        assert watch.figure(NAMESERVER, changes, cause="switchover") == 1
        assert watch.figure(NAMESERVER, "bankrmi_proposals_total", outcome="won") == 5


def test_a_standby_that_hears_nothing_does_not_say_that_it_is_in_sync(tmp_path: Path) -> None:
    """It may have been left behind, and does not know it."""
    with watched_bank(tmp_path, lease_ms=20_000, refused_means_gone=False) as (cluster, watch):
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()
        assert checks(watch, standby) == "hrs"
        cluster.pause(primary)
        cluster.until(lambda: checks(watch, standby) == "h", "it hears nothing")
        assert "nothing was heard of the primary for" in watch.ask(standby, "/standby").said
        cluster.resume(primary)
        cluster.until(lambda: checks(watch, standby) == "hrs", "it hears of it again")


@pytest.mark.long
def test_a_primary_that_can_acknowledge_nothing_is_none_for_load_balancers(tmp_path: Path) -> None:
    with watched_bank(tmp_path, copies_min=2) as (cluster, watch):
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()
        cluster.kill(standby)
        cluster.until(lambda: not watch.ask(primary, "/primary").well, "it says that it acknowledges nothing")
        assert checks(watch, primary) == "h"
        assert "nothing is acknowledged" in watch.ask(primary, "/ready").said
        assert watch.figure(primary, "bankrmi_acknowledges") == 0
        assert watch.figure(primary, "bankrmi_connected", server=standby) == 0
        assert (watch.figure(primary, "bankrmi_lag_operations", server=standby) or 0) == 0
        cluster.start(standby)
        cluster.until(lambda: watch.ask(primary, "/primary").well, "it acknowledges again")


@pytest.mark.long
def test_a_server_says_why_it_is_not_ready(tmp_path: Path) -> None:
    with watched_bank(tmp_path) as (cluster, watch):
        cluster.start("s1", wait=False)
        cluster.until(lambda: watch.says("s1", "/health"), "s1 shows its health, though it has no role")
        cluster.until(lambda: "waiting for the witness" in watch.ask("s1", "/ready").said, "it says why")
        assert checks(watch, "s1") == "h"
        assert watch.figure("s1", "bankrmi_role", role="starting") == 1
        assert watch.figure("s1", "bankrmi_view_epoch") is None
        silent = "bankrmi_witness_silent_seconds"
        cluster.until(lambda: (watch.figure("s1", silent) or 0) > 0, "the witness is silent")


@pytest.mark.long
def test_what_stands_still_answers_no_check(tmp_path: Path) -> None:
    with watched_bank(tmp_path) as (cluster, watch):
        cluster.start_all()
        standby = cluster.standby()
        cluster.pause(standby)
        host, _, port = watch.addresses[standby].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=0.5) as asking:
            asking.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            with pytest.raises(TimeoutError):
                asking.recv(1)
        cluster.resume(standby)
        assert watch.ask(standby, "/health").well


@pytest.mark.long
def test_strangers_at_the_port_delay_nobody(tmp_path: Path) -> None:
    """A thousand silent connections: calls go on, and whoever watches is answered, too."""
    with watched_bank(tmp_path) as (cluster, watch), ExitStack() as crowd:
        cluster.start_all()
        primary = cluster.primary()
        bank = cluster.client(timeout=20)
        host, _, port = watch.addresses[primary].rpartition(":")
        for _ in range(1000):
            silent = crowd.enter_context(socket.socket())
            silent.setblocking(False)
            silent.connect_ex((host, int(port)))
        for number in range(50):
            assert bank.deposit(6, 1).balance == number + 1
        assert watch.figure(primary, "bankrmi_tip_action_id") == 50


@pytest.mark.long
def test_a_flood_at_the_port_takes_its_share_and_no_more(tmp_path: Path) -> None:
    with watched_bank(tmp_path) as (cluster, watch), ExitStack() as flood:
        cluster.start_all()
        primary = cluster.primary()
        pid = cluster.process(primary).pid
        idle_s = _cpu_of(cluster, pid)
        for _ in range(4):
            flooding = flood.enter_context(subprocess.Popen(_flooding(watch.addresses[primary])))
            flood.callback(flooding.kill)
        flooded_s = _cpu_of(cluster, pid)
        assert cluster.client(timeout=20).deposit(6, 1).balance == 1
        assert watch.ask(primary, "/primary").well
        assert flooded_s - idle_s < 3 * SHARE * MEASURED_S, "with what the kernel does for it"
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 40 + SEATS


MEASURED_S = 4.0


def _cpu_of(cluster: Cluster, pid: int) -> float:
    """Return what CPU time a process takes in `MEASURED_S`, by the clock that the budget goes by."""
    before_s, began_s = cpu_seconds(pid), time.monotonic()
    cluster.until(lambda: time.monotonic() - began_s >= MEASURED_S, "it was measured for long enough")
    return (cpu_seconds(pid) - before_s) * MEASURED_S / (time.monotonic() - began_s)


FLOOD = """
import socket, sys
where = sys.argv[1], int(sys.argv[2])
while True:
    with socket.socket() as one:
        one.settimeout(0.5)
        try:
            one.connect(where)
            one.sendall(b"GET /metrics HTTP/1.1\\r\\n\\r\\n")
            while one.recv(65536):
                pass
        except OSError:
            pass
"""


def _flooding(address: str) -> list[str]:
    host, _, port = address.rpartition(":")
    return [sys.executable, "-c", FLOOD, host, port]


# -- how it is asked for -----------------------------------------------------------------------------


@pytest.mark.long
def test_up_gives_each_process_its_port(tmp_path: Path) -> None:
    with own_addresses(1) as [first], Cluster(tmp_path) as cluster:
        port = int(first.rpartition(":")[2])
        with Up(cluster, "--metrics", first) as up:
            up.wait_until_running()
            names = (NAMESERVER, *cluster.servers)
            watch = Watch({name: f"127.0.0.1:{port + place}" for place, name in enumerate(names)})
            for name in names:
                assert watch.figure(name, "bankrmi_view_epoch") == 2
                assert watch.ask(name, "/ready").well


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ("10.0.0.1:9191", "can be read by others"),
        ("nonsense", "'nonsense' is not an address: write host:port"),
        ("127.0.0.1:0", "has a port that is not between 1 and 65535"),
        ("0.0.0.0:9191", "can be read by others"),
        ("{s1}", "metrics of s1 have the address of server s1"),
        ("{nameserver}", "metrics of s1 have the address of the name server"),
    ],
)
def test_a_wrong_address_is_refused_in_a_sentence(tmp_path: Path, metrics: str, says: str) -> None:
    with Cluster(tmp_path) as cluster:
        told = cluster.configuration
        address = metrics.format(s1=told.servers["s1"], nameserver=told.nameserver)
        ended = bankrmi(cluster, "server", "s1", "--metrics", address)
        assert says in ended.stderr
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Traceback" not in ended.stderr
        assert not told.data_dir.exists(), "nothing was changed"


def test_a_port_that_is_taken_is_said_before_anybody_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Cluster(tmp_path) as cluster:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in (["server", "s1"], ["nameserver"]):
            ended = bankrmi(cluster, *command, "--metrics", address)
            assert f"cannot listen on {address}: another process has taken this port" in ended.stderr
            assert ended.returncode == 1
