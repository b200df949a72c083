"""`backup` from a bank that runs: under load, from either server, killed, interrupted, without room."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from bankrmi.client.asking import ask_once
from bankrmi.errors import BankError
from tests import warm
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.commands import BANKRMI, bankrmi
from tests.system.load import Load
from tests.system.test_mistakes import mounted, needs_root

MANY = 30_000
"""Accounts: several pages of them."""
SLOWLY = ("--rate", "0.01")
"""A page of accounts takes seconds: whatever is to happen in the middle does."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "bank", ledger=dict.fromkeys(range(1, MANY + 1), 1000)) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def backups_in(cluster: Cluster) -> Path:
    folder = cluster.directory.parent / "backups"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def slow_backup(cluster: Cluster, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Begin one, which will not end by itself; return when it has begun to write."""
    folder = backups_in(cluster)
    command = [*BANKRMI, "--config", str(cluster.config), "backup", str(folder / "slow"), *SLOWLY, *arguments]
    process = warm.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        cluster.until(lambda: list(folder.glob(".*.tmp")), "a backup has begun")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_backups_under_load_from_either_server_are_what_the_disks_hold(cluster: Cluster) -> None:
    folder, before = backups_in(cluster), cluster.view()
    with Load(cluster) as load:
        load.wait_for(50)
        told = max(answered.action_id for answered in load.answered)
        for name, where in (("primary", []), ("s1", ["--server", "s1"]), ("s2", ["--server", "s2"])):
            ended = bankrmi(cluster, "backup", str(folder / name), "--json", *where)
            assert ended.returncode == 0, ended.stderr
            said = json.loads(ended.stdout)
            assert f"up to action id {said['action_id']}, history {said['history']}" in ended.stderr
            assert said["bytes"] == (folder / name).stat().st_size
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
            if name != "s2":
                assert said["action_id"] >= told, "what was acknowledged before is missing"
        load.wait_for(50)
        since = ["--since", str(folder / "primary"), "--server", "s2"]
        assert bankrmi(cluster, "backup", str(folder / "increment"), *since).returncode == 0
    assert cluster.view() == before, "a backup changed the view"
    for copy in load.check_disks():
        names = ["primary", "s1", "s2", "increment"]
        places = [str(cluster.data(copy.server)), *(str(folder / name) for name in names)]
        verified = bankrmi(cluster, "verify", *places)
        assert verified.returncode == 0, verified.stdout
        assert verified.stdout.count("hold the same up to action id") == len(names)


def begin(cluster: Cluster, name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [*BANKRMI, "--config", str(cluster.config), "backup", str(backups_in(cluster) / name)]
    return warm.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_many_at_once_change_no_view_and_each_is_whole(cluster: Cluster) -> None:
    """As fast as they can, while clients work."""
    before = cluster.view()
    with Load(cluster) as load:
        load.wait_for(20)
        processes = [begin(cluster, f"backup-{number}", "--rate", "10000") for number in range(6)]
        for process in processes:
            _, said = process.communicate(timeout=2 * DEADLINE_S)
            assert process.returncode == 0, said
        load.wait_for(20)
    assert cluster.view() == before
    places = sorted(str(file) for file in backups_in(cluster).iterdir())
    assert len(places) == 6
    assert bankrmi(cluster, "verify", *places).returncode == 0


@pytest.mark.long
def test_a_change_of_the_view_in_the_middle_is_no_matter(cluster: Cluster) -> None:
    """The standby that is backed up takes over; then it is backed up while it hands over."""
    with Load(cluster) as load:
        load.wait_for(20)
        for name, change in (
            ("takeover", lambda: cluster.kill("s1")),
            ("switchover", lambda: cluster.switch_over(to="s1")),
        ):
            process = begin(cluster, name, "--server", "s2", "--rate", "0.4")
            cluster.until(lambda: list(backups_in(cluster).glob(".*.tmp")), "a backup has begun")
            change()
            _, said = process.communicate(timeout=2 * DEADLINE_S)
            assert process.returncode == 0, said
            if not cluster.is_running("s1"):
                cluster.start("s1")
            cluster.wait_until_in_sync()
        load.wait_for(20)
    load.check_disks()
    places = [str(cluster.data("s1")), *map(str, backups_in(cluster).iterdir())]
    assert bankrmi(cluster, "verify", *places).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("server", ["s1", "s2"])
def test_a_server_that_dies_in_the_middle_leaves_no_half_of_a_backup(cluster: Cluster, server: str) -> None:
    with slow_backup(cluster, "--server", server) as process:
        cluster.kill(server)
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 1
        assert "did not answer backup_" in said
        assert len(said.splitlines()) == 1
    assert list(backups_in(cluster).iterdir()) == []


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_backup_leaves_nothing_behind(cluster: Cluster, number: signal.Signals) -> None:
    with slow_backup(cluster) as process:
        process.send_signal(number)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 128 + number
    assert list(backups_in(cluster).iterdir()) == []


@pytest.mark.long
def test_a_person_sees_how_far_it_is(cluster: Cluster) -> None:
    command = ["--config", str(cluster.config), "backup", str(backups_in(cluster) / "whole"), "--rate", "1"]
    with Load(cluster) as load:
        load.wait_for(20)
        person = warm.terminal(command, timeout=DEADLINE_S)
        person.expect(r"\d+ accounts")
        person.expect(r"up to action id \d+, history [0-9a-f]{16}, taken of s1")
        person.expect(pexpect.EOF)
        person.close()
    assert person.exitstatus == 0


@pytest.mark.long
def test_one_that_was_killed_stands_in_nobodys_way(cluster: Cluster) -> None:
    """What it leaves is hidden, and for its owner only."""
    with slow_backup(cluster) as process:
        process.kill()
    [left] = backups_in(cluster).iterdir()
    assert left.name.startswith(".")
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert bankrmi(cluster, "backup", str(backups_in(cluster) / "slow")).returncode == 0


@pytest.mark.long
@needs_root
def test_where_there_is_no_room_nothing_is_written(cluster: Cluster, tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "size=1m"):
        ended = bankrmi(cluster, "backup", str(tmp_path / "full" / "whole"))
        assert ended.returncode == 1
        assert "no room for a copy of" in ended.stderr
        assert list((tmp_path / "full").iterdir()) == []
    cluster.wait_until_in_sync()


@pytest.mark.long
def test_what_is_wrong_with_the_command_is_one_sentence(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    for arguments, code, sentence in (
        (["there"], 2, "is there already, and is left as it is: name another, or say --overwrite"),
        (["new", "--server", "s9"], 2, "has no server s9: there are s1, s2"),
        (["new", "--since", "9"], 2, "knows what is acknowledged up to action id 0, and nothing since 9"),
        (["new", "--since", "there"], 2, "is no backup"),
        (["new", "--rate", "0"], 2, "--rate"),
        (["nowhere/new"], 2, "is not a directory"),
    ):
        ended = bankrmi(cluster, "backup", str(tmp_path / arguments[0]), *_in(tmp_path, arguments[1:]))
        assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
        assert sentence in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    assert (tmp_path / "there").read_text() == "precious"
    assert not (tmp_path / "new").exists()


def _in(folder: Path, arguments: list[str]) -> list[str]:
    return [str(folder / one) if one == "there" else one for one in arguments]


def test_only_an_operator_may_ask(cluster: Cluster) -> None:
    address = cluster.configuration.servers["s1"]
    for role in ("client", "server"):
        with pytest.raises(BankError, match="operator"):
            ask_once(address, "bankrmi.operator.s1", "backup_state", [None], seconds=5, role=role)


@pytest.mark.long
def test_a_backup_in_the_place_of_a_database_is_not_served(cluster: Cluster) -> None:
    """Somebody copies it there by hand: a living bank would take an old copy for its newest."""
    whole = backups_in(cluster) / "whole"
    for arguments in ([], ["--since", "0", "--overwrite"]):
        assert bankrmi(cluster, "backup", str(whole), *arguments).returncode == 0
        cluster.kill_the_standby("s2")
        for file in cluster.data("s2").glob("bank.db*"):
            file.unlink()
        os.link(whole, cluster.data("s2") / "bank.db")
        ended = bankrmi(cluster, "server", "s2")
        assert ended.returncode == 2
        assert "is a backup: a bank that lives would lose by it what was acknowledged since" in ended.stderr
        (cluster.data("s2") / "bank.db").unlink()
        cluster.start("s2")
        cluster.wait_until_in_sync()
