"""A real PostgreSQL of a test's own: one server, or one with a synchronous standby."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

from bankrmi.held_port import HeldPort

__all__ = ["PostgreSql", "needs_postgresql"]

DEADLINE_S = 60.0
_HOST = "127.0.0.1"
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = replica
max_connections = 60
shared_buffers = 16MB
hot_standby = on
deadlock_timeout = 100ms
"""


def program(name: str) -> str | None:
    """Return a program of PostgreSQL's, where Debian keeps it, or on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join(map(str, folders))) or shutil.which(name)


needs_postgresql = pytest.mark.skipif(program("initdb") is None, reason="apt install postgresql")


class PostgreSql:
    """One or two servers of a cluster, in a folder of their own; gone with the test."""

    def __init__(self, *, standby: bool = False) -> None:
        names = ("primary", "standby") if standby else ("primary",)
        self.ports = {name: HeldPort() for name in names}
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="bankrmi-test-postgresql-"))
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Return what a configuration calls it: all servers; whoever takes changes is asked."""
        hosts = ",".join(f"{_HOST}:{port.port}" for port in self.ports.values())
        return f"postgresql://postgres@{hosts}/postgres"

    def _make(self) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"]
        self._run("initdb", "-D", str(self._folder / "primary"), *options)
        with (self._folder / "primary" / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        self.start("primary")
        if "standby" in self.ports:
            copy = ["-D", str(self._folder / "standby"), "-R", "-X", "stream", "-c", "fast", "-U", "postgres"]
            self._run("pg_basebackup", *copy, "-h", _HOST, "-p", str(self.ports["primary"].port))
            self.start("standby")
            self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.ask("SELECT pg_reload_conf()")
            in_sync = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            self.until(lambda: self.ask(in_sync) == [(1,)])

    def start(self, name: str) -> None:
        """Start one, and wait until it answers."""
        port = self.ports[name].port
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(program("postgres")), "-D", str(self._folder / name), "-p", str(port)],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self._folder,
                start_new_session=True,
            )
        self.until(lambda: self._answers(name))

    def kill(self, name: str) -> None:
        """`kill -9` it, with all its processes."""
        self._kill(self._running.pop(name))
        for lock in (self._folder / name).glob("postmaster.pid"):
            lock.unlink()

    def _kill(self, running: subprocess.Popen[bytes]) -> None:
        """Kill all its processes, each of which has a group of its own; return when they are gone."""
        children = _children_of(running.pid)
        running.kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running.wait()
        self.until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in children))

    def pause(self, name: str) -> None:
        """Have all its processes stand still."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Have them go on."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        for pid in [self._running[name].pid, *_children_of(self._running[name].pid)]:
            os.kill(pid, number)

    def promote(self) -> None:
        """Have the standby take changes from now on, for whoever is gone; it waits for nobody."""
        self.ask("ALTER SYSTEM SET synchronous_standby_names = ''", of="standby", promoted=True)

    def ask(self, statement: str, *, of: str = "primary", promoted: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        where = f"host={_HOST} port={self.ports[of].port} user=postgres dbname=postgres connect_timeout=5"
        with psycopg.connect(where, autocommit=True) as connection:
            if promoted:
                connection.execute("SELECT pg_promote()")
                self.until(lambda: connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,))
            found = connection.execute(statement)
            rows = found.fetchall() if found.description is not None else []
            if promoted:
                connection.execute("SELECT pg_reload_conf()")
        return rows

    def until(self, true: Callable[[], object]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < deadline, (self._folder / "primary.log").read_text()[-2000:]
            time.sleep(0.02)

    def _answers(self, name: str) -> bool:
        try:
            self.ask("SELECT 1", of=name)
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(program(name)), *arguments],
            user=self._user,
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )

    def close(self) -> None:
        """End everything, and leave nothing."""
        for running in self._running.values():
            self._kill(running)
        self._running.clear()
        for port in self.ports.values():
            port.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _children_of(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(process.name))
    return found
