"""The members of a database under Patroni, and of the etcd that says which of them leads: files and commands.

    FOLDER/{m1,m2,m3}/  of etcd      {db1,db2}.yml  of Patroni      {db1,db2}/  PostgreSQL's own
           passwords.json            pgpass  for whoever uses the bank's database

Rule 1: a change is acknowledged when both members have it on their disks (`synchronous_mode`), and a primary
        alone waits for another (`synchronous_mode_strict`). That it might go on alone is not offered: so set
        up, Patroni 3.0.2 forgets the standby if it is killed and started again beside a primary that goes on;
        nothing is synchronous from then on, and the standby may still be promoted.
Rule 2: whoever was left behind comes back by itself: by rewinding, or by a new copy.
Rule 3: ports and passwords are for this machine; nobody else is let in.
Source: Patroni 3.0, "YAML Configuration Settings" and "Replication modes".
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bankrmi.patroni.kept import kept_command
from bankrmi.patroni.passwords import Passwords, kept_passwords
from bankrmi.patroni.programs import bin_folder, check_reached, program, unprivileged_user
from bankrmi.storage.database import private_opener

__all__ = ["DATABASES", "ETCD_MEMBERS", "DatabaseMembers", "DatabasePlace", "DatabaseTiming", "EtcdPlace"]

DATABASES = ("db1", "db2")
ETCD_MEMBERS = ("m1", "m2", "m3")
_NAME = "bank"
"""Of the database, and of the user whose it is."""
_PARAMETERS = {
    "max_connections": 100,
    "shared_buffers": "32MB",
    "hot_standby": "on",
    "wal_level": "replica",
    "wal_keep_size": "128MB",
    "max_wal_senders": 5,
    "max_replication_slots": 5,
    "unix_socket_directories": "",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabasePlace:
    """Where one PostgreSQL is reached, and Patroni beside it."""

    host: str
    port: int
    rest_port: int

    @property
    def address(self) -> str:
        """Return where PostgreSQL is."""
        return f"{self.host}:{self.port}"

    @property
    def rest(self) -> str:
        """Return where Patroni is."""
        return f"{self.host}:{self.rest_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdPlace:
    """Where one member of etcd is asked, and where the other members find it: `host:port` each."""

    client: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTiming:
    """What of Patroni's settings is chosen; in seconds."""

    ttl_s: int = 10
    """Who has not held its key for so long leads no more."""
    loop_s: int = 2
    retry_s: int = 3
    """So long etcd is asked again; with 1 the standby of a primary that is gone does not take over."""
    start_s: int = 0
    """How long a primary may take that crashed and starts again; 0: if another is ready, that one leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseMembers:
    """All of it, as it is to be."""

    folder: Path
    databases: Mapping[str, DatabasePlace]
    etcd: Mapping[str, EtcdPlace]
    timing: DatabaseTiming = DatabaseTiming()
    etcd_seen_by: Callable[[str], Sequence[str]] | None = None
    """Where a database finds the members of etcd, if that is not where they are."""
    tells_every_look: bool = False
    """Whether Patroni's log has a line for each time that it found all as it should be."""
    user: str | None
    passwords: Passwords

    @staticmethod
    def in_folder(folder: Path, **more: Any) -> DatabaseMembers:
        """Return them, with the passwords that are kept there: the folder is made if it is not there.

        Raises ConfigurationError if the user that has to run PostgreSQL cannot get there.
        """
        user = unprivileged_user()
        folder.mkdir(mode=0o700, exist_ok=True)
        if user is not None:
            folder.chmod(0o711)
            check_reached(folder / "any", user)
        passwords = kept_passwords(folder / "passwords.json")
        return DatabaseMembers(folder=folder, user=user, passwords=passwords, **more)

    # -- what is told ----------------------------------------------------------------------------

    def url(self, addresses: Sequence[str] | None = None) -> str:
        """Return what a configuration calls the database; without the password, which is in a file."""
        hosts = ",".join(addresses or [place.address for place in self.databases.values()])
        return f"postgresql://{_NAME}@{hosts}/{_NAME}?passfile={quote(str(self.folder / 'pgpass'))}"

    def dsn(self, name: str) -> str:
        """Return how we ask one member, as a superuser."""
        place = self.databases[name]
        return (
            f"host={place.host} port={place.port} user=postgres dbname={_NAME} "
            f"password={self.passwords.superuser} connect_timeout=3 application_name=operator"
        )

    # -- files -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the files that the programs need; those that are there are written anew."""
        self._write("pgpass", f"*:*:{_NAME}:{_NAME}:{self.passwords.bank}\n", ours=True)
        bank, password = _NAME, self.passwords.bank  # It has no character that means anything to either.
        make = f"CREATE ROLE {bank} LOGIN PASSWORD '{password}'", f"CREATE DATABASE {bank} OWNER {bank}"
        psql = program("psql")
        lines = [f'"{psql}" -X -q -v ON_ERROR_STOP=1 "$1" -c "{sql}" || exit 1' for sql in make]
        self._write("make-bank.sh", "\n".join(["#!/bin/sh", *lines]) + "\n", mode=0o700)
        for name in self.databases:
            self._write(f"{name}.yml", json.dumps(self._of_patroni(name), indent=1) + "\n")
            self._own_folder(name)

    def _write(self, name: str, text: str, *, mode: int = 0o600, ours: bool = False) -> None:
        path = self.folder / name
        with open(path, "w", opener=private_opener) as file:
            file.write(text)
        path.chmod(mode)
        if self.user is not None and not ours:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _own_folder(self, name: str) -> None:
        """Make the folder of one PostgreSQL; its data are below it, so that they can be made anew."""
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)

    def _of_patroni(self, name: str) -> dict[str, Any]:
        """Return the configuration of one Patroni; what is JSON is YAML."""
        place, timing, passwords = self.databases[name], self.timing, self.passwords
        members = [one.client for one in self.etcd.values()]
        seen = members if self.etcd_seen_by is None else [*self.etcd_seen_by(name)]
        return {
            "scope": _NAME,
            "name": name,
            "log": {"level": "INFO" if self.tells_every_look else "WARNING"},
            "restapi": {
                "listen": place.rest,
                "connect_address": place.rest,
                "authentication": {"username": "operator", "password": passwords.rest},
            },
            # Where others stand in their place, members must not be found by what etcd says of itself.
            "etcd3": {"hosts": seen, **({} if seen == members else {"use_proxies": True})},
            "bootstrap": {
                "dcs": {
                    "ttl": timing.ttl_s,
                    "loop_wait": timing.loop_s,
                    "retry_timeout": timing.retry_s,
                    "primary_start_timeout": timing.start_s,
                    "maximum_lag_on_failover": 1 << 24,
                    "synchronous_mode": True,
                    "synchronous_mode_strict": True,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "use_slots": True,
                        "parameters": _PARAMETERS,
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
                "post_bootstrap": shlex.quote(str(self.folder / "make-bank.sh")),
            },
            "postgresql": {
                "listen": place.address,
                "connect_address": place.address,
                "data_dir": str(self.folder / name / "data"),
                "bin_dir": str(bin_folder()),
                "pgpass": str(self.folder / name / "pgpass"),
                "basebackup": [{"checkpoint": "fast"}],
                "authentication": {
                    "superuser": {"username": "postgres", "password": passwords.superuser},
                    "replication": {"username": "replicator", "password": passwords.replication},
                },
                "pg_hba": [
                    f"host {databases} all {network} scram-sha-256"
                    for databases in ("all", "replication")
                    for network in self._networks()
                ],
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
            "watchdog": {"mode": "off"},
        }

    def _networks(self) -> list[str]:
        hosts = {place.host for place in self.databases.values()}
        return ["127.0.0.1/32"] if hosts == {"127.0.0.1"} else ["127.0.0.1/32", "samenet"]

    # -- commands --------------------------------------------------------------------------------

    def database_command(self, name: str, *, parent_pid: str, tells_ready: bool = False) -> list[str]:
        """Return the command that runs one Patroni, with its PostgreSQL, until it is told to end."""
        place = self.databases[name]
        patroni = program("patroni")
        assert patroni is not None, "it was looked for before"
        return kept_command(
            [patroni, str(self.folder / f"{name}.yml")],
            parent_pid=parent_pid,
            user=self.user,
            folder=self.folder / name,
            hold=self.hold(name),
            # Not /health: a database that is being set up is well, and has no users yet.
            ready=[f"{place.rest}/{role}" for role in ("primary", "replica")] if tells_ready else [],
            name=name,
            address=place.address,
        )

    def hold(self, name: str) -> Path:
        """Return the file that keeps a Patroni down that was killed, while PostgreSQL goes on."""
        return self.folder / f"{name}.held"

    def etcd_command(self, name: str, *, parent_pid: str, tells_ready: bool = False) -> list[str]:
        """Return the command that runs one member of etcd."""
        etcd = program("etcd")
        assert etcd is not None, "it was looked for before"
        place = self.etcd[name]
        peer, client = f"http://{place.peer}", f"http://{place.client}"
        cluster = ",".join(f"{other}=http://{one.peer}" for other, one in self.etcd.items())
        words = [
            *(etcd, "--name", name, "--data-dir", str(self.folder / name), "--log-level", "error"),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--initial-cluster", cluster, "--heartbeat-interval", "50", "--election-timeout", "500"),
        ]
        ready = [f"{place.client}/health"] if tells_ready else []
        return kept_command(words, parent_pid=parent_pid, ready=ready, name=name, address=place.client)
