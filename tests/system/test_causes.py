"""Why the view changed, of real processes: `history`, `why`, `status` and the logs agree, and are right."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.replication.cause import named
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi, status_json
from tests.system.load import Load


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Cluster]:
    """Two servers in sync, led by s1."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster
        cluster.show_logs()


def changes(bank: Cluster) -> list[dict[str, Any]]:
    ended = bankrmi(bank, "history", "--json", "--limit", "1000")
    assert ended.returncode == 0, ended.stderr
    changes: list[dict[str, Any]] = json.loads(ended.stdout)["changes"]
    return changes


def change(bank: Cluster, kind: str) -> dict[str, Any]:
    """Wait for a change of this kind, the newest one of it; check that everybody says the same of it."""
    found = bank.until(
        lambda: [one for one in changes(bank) if one["cause"]["kind"] == kind], f"the view changes for {kind}"
    )[-1]
    told = f'epoch={found["epoch"]} .*cause="?{re.escape(found["why"])}"? by={found["by"]}$'
    witness = re.compile(f" view service=account {told}", re.MULTILINE)
    assert witness.search(bank.log(NAMESERVER)), "the log of the witness says so"
    server = re.compile(f"(primary was=|view changed ).*{told}", re.MULTILINE)
    bank.until(lambda: server.search(bank.log(found["primary"])), "the log of who leads then says so")
    return found


def newest_is_explained(bank: Cluster) -> None:
    """`why` and `status` say of the newest change what `history` says."""

    def alike() -> bool:
        newest, view = changes(bank)[-1], status_json(bank)["view"]
        ended = bankrmi(bank, "why")
        sentence = f"Its cause: {newest['why']} (proposed by {newest['by']})."
        told = (view["epoch"], view["cause"]) == (newest["epoch"], newest["cause"])
        return told and sentence in ended.stdout and f"made at {newest['when']}: " in ended.stdout

    bank.until(alike, "`why` and `status` say what `history` says")


def test_a_new_bank_has_a_first_view_and_its_standby_joined(bank: Cluster) -> None:
    first, joined = changes(bank)
    assert (first["why"], first["by"], first["primary"]) == ("first view of the bank", "s1", "s1")
    assert (joined["why"], joined["by"], joined["in_sync"]) == ("s2 joined", "s1", ["s1", "s2"])
    assert first["when"] < joined["when"]
    newest_is_explained(bank)


def test_a_killed_primary_has_crashed_and_joins_again(bank: Cluster) -> None:
    with Load(bank, clients=2) as load:
        load.wait_for(20)
        bank.kill("s1")
        load.wait_for(20)
    crash = change(bank, "crash")
    address = bank.configuration.servers["s1"]
    assert (crash["why"], crash["by"]) == (f"crash of s1: refused at {address}", "s2")
    newest_is_explained(bank)
    bank.start("s1")
    bank.wait_until_in_sync()
    assert change(bank, "joined")["why"] == "s1 joined"


def test_a_killed_standby_has_crashed(bank: Cluster) -> None:
    bank.kill_the_standby("s2")
    crash = change(bank, "crash")
    assert (crash["cause"]["of"], crash["by"], crash["in_sync"]) == (["s2"], "s1", ["s1"])
    newest_is_explained(bank)


@pytest.mark.long
def test_a_primary_that_stands_still_is_silent(tmp_path: Path) -> None:
    with Cluster(tmp_path, lease_ms=700) as bank:
        bank.start_all()
        bank.wait_until_in_sync()
        bank.pause("s1")
        silence = change(bank, "silence")
        bank.resume("s1")
        assert (silence["cause"]["of"], silence["by"], silence["primary"]) == (["s1"], "s2", "s2")
        assert silence["cause"]["silent_ms"] >= 700
        assert "address" not in silence["cause"]


@pytest.mark.long
def test_a_standby_that_stands_still_is_left_behind(bank: Cluster) -> None:
    bank.pause("s2")
    bank.client().withdraw(1, 1)
    left = change(bank, "left_behind")
    bank.resume("s2")
    assert (left["cause"]["of"], left["by"], left["in_sync"]) == (["s2"], "s1", ["s1"])
    timeout_ms = bank.configuration.checkpoint_timeout_ms
    assert left["cause"]["silent_ms"] >= timeout_ms
    assert left["why"] == f"s2 left behind: silent for {left['cause']['silent_ms']} ms"


def test_a_switchover_names_the_operator_by_where_he_came_from(bank: Cluster) -> None:
    assert bankrmi(bank, "switchover", "--yes").returncode == 0
    handed = change(bank, "switchover")
    assert (handed["by"], handed["primary"], handed["in_sync"]) == ("s1", "s2", ["s1", "s2"])
    assert re.fullmatch(r"switchover by 127\.\d+\.\d+\.\d+:\d+", handed["why"])
    newest_is_explained(bank)


@pytest.mark.long
@pytest.mark.parametrize("server", ["s1", "s2"], ids=["primary", "standby"])
def test_a_server_that_is_asked_to_stop_has_not_crashed(bank: Cluster, server: str) -> None:
    """Neither when it hands over or leaves, nor when it is found gone a moment later."""
    other = "s2" if server == "s1" else "s1"
    bank.terminate(server)
    bank.until(lambda: changes(bank)[-1]["in_sync"] == [other], f"{other} goes on alone")
    told = [one["why"] for one in changes(bank)[2:]]
    assert set(told) == {f"stop of {server}"}
    change(bank, "stop")
    newest_is_explained(bank)


@pytest.mark.long
def test_a_bank_that_is_started_anew_says_so(bank: Cluster) -> None:
    """All at once: the view is as it was, and its primary is another process."""
    bank.kill("s1", "s2")
    bank.start("s1", "s2")
    bank.wait_until_in_sync()
    told = [one["why"] for one in changes(bank)[2:]]
    assert told
    assert told[0] in ("s1 started again", "crash of s1: another process answers in its place")


@pytest.mark.long
def test_a_witness_that_is_restored_says_who_did_that(bank: Cluster) -> None:
    bank.kill(NAMESERVER)
    (bank.data("witness") / "view.db").unlink()
    bank.start(NAMESERVER)
    bank.until(lambda: bankrmi(bank, "witness", "restore", "--yes").returncode == 0, "it is restored")
    [restored, *_] = changes(bank)
    assert (restored["cause"]["kind"], restored["by"]) == ("restored", "operator")
    assert restored["cause"]["operator"].endswith(f"@{named(socket.gethostname())}")


@pytest.mark.long
def test_without_the_witness_there_is_no_history_and_why_goes_by_the_primary(bank: Cluster) -> None:
    newest = changes(bank)[-1]
    bank.kill(NAMESERVER)
    ended = bankrmi(bank, "history")
    assert (ended.returncode, ended.stdout) == (ExitCode.UNREACHED, "")
    assert ended.stderr.startswith(f"the witness at {bank.configuration.witness} does not answer, and it")
    assert len(ended.stderr.splitlines()) == 1
    told = bankrmi(bank, "why").stdout
    assert f", as s1 says: s1 leads, in sync s1, s2. Its cause: {newest['why']}" in told
    assert "s2 may not: it is in sync, but the witness cannot be reached" in told
    assert f"made at {newest['when']}" in told
