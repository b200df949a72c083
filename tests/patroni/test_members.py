"""A real database under Patroni: one member dies with all its processes, and the other takes over."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bankrmi.database_url import checked_database_url
from bankrmi.held_port import HeldPort
from bankrmi.patroni.asking import database_situation
from bankrmi.patroni.members import DatabaseMembers, DatabasePlace, DatabaseTiming, EtcdPlace
from bankrmi.patroni.passwords import Passwords
from tests.patroni.installed import entered_folder, needs_patroni

__all__ = ["entered_folder"]

DEADLINE_S = 120.0


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.1)


@contextmanager
def members_in(folder: Path) -> Iterator[DatabaseMembers]:
    """Give two databases, and an etcd of one member: what is looked at here does not need three."""
    held = [HeldPort() for _ in range(6)]
    ports = [one.port for one in held]
    members = DatabaseMembers.in_folder(
        folder / "database",
        databases={
            "db1": DatabasePlace(host="127.0.0.1", port=ports[0], rest_port=ports[1]),
            "db2": DatabasePlace(host="127.0.0.1", port=ports[2], rest_port=ports[3]),
        },
        etcd={"m1": EtcdPlace(client=f"127.0.0.1:{ports[4]}", peer=f"127.0.0.1:{ports[5]}")},
        timing=DatabaseTiming(ttl_s=5, loop_s=1, retry_s=2),
    )
    members.write()
    try:
        yield members
    finally:
        for one in held:
            one.close()


def test_a_folder_whose_name_means_something_to_a_url_or_a_shell_is_found(tmp_path: Path) -> None:
    members = DatabaseMembers(
        folder=tmp_path / "50% of a&b=c #1",
        databases={"db1": DatabasePlace(host="127.0.0.1", port=5432, rest_port=8008)},
        etcd={},
        user=None,
        passwords=Passwords(superuser="s", replication="r", bank="b", rest="o"),
    )
    said = psycopg.conninfo.conninfo_to_dict(checked_database_url(members.url()))
    assert said["passfile"] == str(members.folder / "pgpass")
    [made_by] = shlex.split(members._of_patroni("db1")["bootstrap"]["post_bootstrap"])
    assert made_by == str(members.folder / "make-bank.sh")


@contextmanager
def running(members: DatabaseMembers) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Give the front of each."""
    ours, logs = str(os.getpid()), members.folder.parent
    commands = {"m1": members.etcd_command("m1", parent_pid=ours)}
    commands |= {name: members.database_command(name, parent_pid=ours) for name in members.databases}
    fronts = {}
    try:
        for name, command in commands.items():
            with (logs / f"{name}.log").open("ab") as log:
                fronts[name] = subprocess.Popen(command, stdout=log, stderr=log)
        yield fronts
    finally:
        for front in fronts.values():
            front.send_signal(signal.SIGQUIT)
        for front in fronts.values():
            front.wait(DEADLINE_S)


@needs_patroni
@pytest.mark.timeout(300)
def test_the_standby_leads_when_the_primary_is_gone_and_has_all_that_was_committed(
    entered_folder: Path,
) -> None:
    with members_in(entered_folder) as members, running(members) as fronts:
        until(lambda: database_situation(members).in_sync, "there are two copies")
        led = database_situation(members).primary
        assert led is not None
        url = f"{members.url()}&target_session_attrs=read-write"  # As a server asks for it.
        with psycopg.connect(url, autocommit=True) as bank:
            bank.execute("CREATE TABLE told (what text)")
            bank.execute("INSERT INTO told VALUES ('this')")
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(members.url().replace("passfile", "sslmode=prefer&application_name"))
        fronts[led].send_signal(signal.SIGQUIT)
        assert fronts[led].wait(DEADLINE_S) == 0
        until(lambda: database_situation(members).primary not in (None, led), "the other one leads")
        with psycopg.connect(url, autocommit=True) as bank:
            assert bank.execute("SELECT what FROM told").fetchall() == [("this",)]
            # It has nobody beside it, so what it is told to change waits.
            assert bank.execute("SHOW synchronous_standby_names").fetchall() == [("*",)]
