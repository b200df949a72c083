"""A database of its own for a bank on this machine: what `up --engine postgresql` starts before the servers.

    DATA_DIR/postgresql/{ports.json,passwords.json,pgpass,db1.yml,db2.yml}  db1/ db2/ m1/ m2/ m3/

Rule 1: ports are drawn at the first start, and stay: etcd knows its members by them.
Rule 2: what is started here finds the database by `BANKRMI_ENGINE`, as anybody else may; the password stays
        in a file.
Rule 3: what is there is opened again, by whoever made it.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bankrmi.cli.invocation import say
from bankrmi.cli.supervisor import Child
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.held_port import HeldPort
from bankrmi.patroni.asking import DatabaseSituation, database_situation
from bankrmi.patroni.members import DATABASES, ETCD_MEMBERS, DatabaseMembers, DatabasePlace, EtcdPlace
from bankrmi.patroni.programs import check_installed
from bankrmi.storage.database import make_directory, private_opener

__all__ = ["ENGINE_VARIABLE", "OwnDatabase", "own_database"]

ENGINE_VARIABLE = "BANKRMI_ENGINE"
_FOLDER = "postgresql"
_HOST = "127.0.0.1"
_NEEDED = (
    *(f"{name} {what}" for name in DATABASES for what in ("port", "rest")),
    *(f"{name} {what}" for name in ETCD_MEMBERS for what in ("client", "peer")),
)
_STOP_S = 20.0
"""PostgreSQL writes all that it has in memory, and its standby has to get it."""
_IN_SYNC_S = 20.0
_LOOK_S = 0.2


class OwnDatabase:
    """The database of one bank; its ports are held."""

    def __init__(self, data_dir: Path) -> None:
        """Make its folder and files, or find them. Raises ConfigurationError, OperationFailed."""
        check_installed()
        make_directory(data_dir)
        folder = data_dir.absolute() / _FOLDER
        if os.geteuid() == 0:
            data_dir.chmod(0o711)  # PostgreSQL's user has to get through; what is in it is closed by itself.
        _check_owner(folder)
        self._held = ExitStack()
        members = DatabaseMembers.in_folder(folder, databases={}, etcd={})
        ports = self._ports(folder / "ports.json")
        self.members = DatabaseMembers(
            folder=folder,
            user=members.user,
            passwords=members.passwords,
            databases={
                name: DatabasePlace(host=_HOST, port=ports[f"{name} port"], rest_port=ports[f"{name} rest"])
                for name in DATABASES
            },
            etcd={
                name: EtcdPlace(
                    client=f"{_HOST}:{ports[f'{name} client']}", peer=f"{_HOST}:{ports[f'{name} peer']}"
                )
                for name in ETCD_MEMBERS
            },
        )
        self.members.write()

    def close(self) -> None:
        """Give the ports back."""
        self._held.close()

    def _ports(self, file: Path) -> dict[str, int]:
        """Return the port of each purpose, held by us: as the file has them, or new ones."""
        try:
            known = {name: int(json.loads(file.read_text())[name]) for name in _NEEDED}
        except FileNotFoundError:
            held = {name: self._hold(HeldPort()) for name in _NEEDED}
            ports = {name: one.port for name, one in held.items()}
            with open(file, "x", opener=private_opener) as new:
                new.write(json.dumps(ports, indent=1) + "\n")
            return ports
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{file} cannot be read: it has the ports of the database") from None
        for name, port in known.items():
            try:
                self._hold(HeldPort(_HOST, port))
            except OSError:
                self.close()
                raise OperationFailed(
                    f"{_HOST}:{port} is taken, where {name.partition(' ')[0]} of {file.parent} is at home: "
                    "does this bank run already?"
                ) from None
        return known

    def _hold(self, held: HeldPort) -> HeldPort:
        self._held.callback(held.close)
        return held

    # -- what is started, and shown --------------------------------------------------------------

    def children(self, logs: Path) -> list[list[Child]]:
        """Return what to run before the servers: first etcd, then PostgreSQL with Patroni."""
        members, parent = self.members, "{parent_pid}"

        def child(title: str, name: str, command: list[str]) -> Child:
            return Child(
                name=name,
                title=f"{title} {name}",
                command=tuple(command),
                stop_signal=signal.SIGTERM,
                log=logs / f"{name}.log",
                stop_s=_STOP_S,
            )

        return [
            [
                child("etcd", name, members.etcd_command(name, parent_pid=parent, tells_ready=True))
                for name in ETCD_MEMBERS
            ],
            [
                child("database", name, members.database_command(name, parent_pid=parent, tells_ready=True))
                for name in DATABASES
            ],
        ]

    def show(self) -> None:
        """Say which database leads, and how to look at it from elsewhere."""
        situation = self._when_in_sync()
        for name, place in self.members.databases.items():
            role = (
                "leads" if name == situation.primary else "in sync" if name in situation.in_sync else "joins"
            )
            say(f"database {name}  {place.address}  {role if name in situation.said else 'no answer yet'}")
        say("To look at it from another terminal:")
        say(f"  export {ENGINE_VARIABLE}='{self.members.url()}'")
        say(f"  patronictl -c {self.members.folder / DATABASES[0]}.yml list")

    def _when_in_sync(self) -> DatabaseSituation:
        """Return how it is once there are two copies, or after a while."""
        deadline = time.monotonic() + _IN_SYNC_S
        while not (situation := database_situation(self.members)).in_sync and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        return situation


def _check_owner(folder: Path) -> None:
    """Raise ConfigurationError if another user made what is there: his files are not ours to open."""
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        owner = folder.stat().st_uid
        try:
            named = pwd.getpwuid(owner).pw_name
        except KeyError:
            named = f"user {owner}"
        raise ConfigurationError(
            f"{folder} was made by {named}: start it as that user, or name another data_dir"
        )


@contextmanager
def own_database(data_dir: Path) -> Iterator[OwnDatabase]:
    """Give the database of the bank in this folder; within the context everybody is told of it."""
    database = OwnDatabase(data_dir)
    before = os.environ.get(ENGINE_VARIABLE)
    os.environ[ENGINE_VARIABLE] = database.members.url()
    try:
        yield database
    finally:
        database.close()
        if before is None:
            del os.environ[ENGINE_VARIABLE]
        else:
            os.environ[ENGINE_VARIABLE] = before
