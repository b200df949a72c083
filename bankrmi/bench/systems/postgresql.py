"""PostgreSQL: a primary and a synchronous standby, whose disk has to have it; called by pgbench.

pgbench is in C; a call is one prepared statement in one trip. In batches the server itself draws the
accounts, which pgbench cannot send: that is to PostgreSQL's advantage. It times whole seconds, so a row takes
one at least. PostgreSQL refuses to run as root; started by root, it runs as `postgres`, or as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bankrmi.bench.bank import FOLDER_PREFIX
from bankrmi.bench.figures import Sample
from bankrmi.bench.load.loop import answer_from
from bankrmi.bench.load.order import ACCOUNTS, OPENING, LoadOrder
from bankrmi.bench.load_process import LOAD
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.pgbench import (
    WARM_SECONDS,
    calls_between,
    pgbench_scripts,
    seconds_of_pgbench,
)
from bankrmi.bench.systems.system import System, missing_programs
from bankrmi.bench.systems.versions import said_version
from bankrmi.diagnosis.usage import cpu_seconds, open_sockets, peak_kb
from bankrmi.errors import OperationFailed
from bankrmi.held_port import HeldPort

__all__ = ["PostgreSql"]

_PROGRAMS = ("initdb", "postgres", "pg_basebackup", "psql", "pgbench")
_HOST = "127.0.0.1"
_WARM_CALLS = 30
_SCHEMA = Path(__file__).with_name("postgresql.sql")
_BATCH = Path(__file__).with_name("postgresql_batch.pgbench")
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 1200
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 30min
wal_level = replica
synchronous_commit = on
hot_standby = on
random_page_cost = 1.1
"""


class PostgreSql(System):
    """PostgreSQL 15."""

    name = "postgresql"
    note = "called by pgbench, in C; in batches it draws the accounts itself"
    library = ("psycopg", "psycopg[binary]")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = {"primary": HeldPort(), "standby": HeldPort()}
        self._user = _user()
        self._folder = folder / "clusters"

    @classmethod
    def missing(cls) -> str | None:
        return missing_programs(_PROGRAMS, "postgresql", _folders())

    @classmethod
    def version(cls) -> str:
        return said_version(_program("postgres"), "--version")

    def start(self) -> None:
        self._make_folder()
        primary, standby = self._folder / "primary", self._folder / "standby"
        init = ["-D", str(primary), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"]
        self._run("initdb", *init)
        with (primary / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        self._start("primary")
        self.children.until(lambda: self._answers("primary"), what="PostgreSQL")
        self._psql("-f", str(self._copied(_SCHEMA)), "-v", f"accounts={ACCOUNTS}", "-v", f"opening={OPENING}")
        copy = ["-D", str(standby), "-R", "-X", "stream", "-c", "fast", "-U", "postgres", "-h", _HOST]
        self._run("pg_basebackup", *copy, "-p", str(self._ports["primary"].port))
        self._start("standby")
        self.children.until(lambda: self._answers("standby"), what="PostgreSQL's standby")
        self._psql("-c", "ALTER SYSTEM SET synchronous_standby_names = '*'", "-c", "SELECT pg_reload_conf()")
        self._psql("-f", str(self._copied(_SCHEMA.with_name("postgresql_in_sync.sql"))))

    @property
    def url(self) -> str:
        """What a configuration calls the database of the primary."""
        return f"postgresql://postgres@{_HOST}:{self._ports['primary'].port}/postgres"

    def processes(self) -> Mapping[str, int]:
        return {role: self.children.pid(role) for role in self._ports}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        dsn = f"host={_HOST} port={self._ports['primary'].port} user=postgres dbname=postgres"
        return LoadOrder(kind="psycopg", where={"dsn": dsn}, shape=shape, seconds=seconds)

    def measure(self, shape: Shape, seconds: float, number: int) -> Sample:
        if shape.library:
            return super().measure(shape, seconds, number)
        for old in self._folder.glob("calls.*"):
            old.unlink()
        pgbench = self.children.start(LOAD, self._pgbench(shape, seconds), user=self._user)
        try:
            self.children.until(lambda: open_sockets(pgbench.pid) >= shape.clients, what="pgbench")
            time.sleep(min(WARM_SECONDS, seconds))
            before, used, from_s = self.begin(), cpu_seconds(pgbench.pid), time.time()
            time.sleep(seconds)
            used, to_s = cpu_seconds(pgbench.pid) - used, time.time()
            spent, peak = self.since(before), peak_kb(pgbench.pid)
            if pgbench.wait() != 0:
                raise OperationFailed(f"pgbench: {self.children.last_words(LOAD)}")
        finally:
            self.children.end(LOAD)
        took = calls_between(self._folder.glob("calls.*"), from_s, to_s)
        answer = replace(answer_from(took, to_s - from_s, shape, used), peak_kb=peak)
        return self.sample(answer, spent, number)

    def _pgbench(self, shape: Shape, seconds: float) -> list[str]:
        """Return the command; it draws new sessions each time."""
        scripts = []
        for number, (text, weight) in enumerate(pgbench_scripts(shape)):
            script = self._folder / f"{number}.pgbench"
            script.write_text(text)
            scripts += ["-f", f"{script}@{weight}"]
        variables = ["-D", f"session={secrets.randbelow(1 << 30)}", "-D", "sequence=0"]
        load = ["-n", "-M", "prepared", "-c", str(shape.clients), "-j", "1"]
        times = ["--time", str(seconds_of_pgbench(shape, seconds))]
        log = ["-l", "--log-prefix", str(self._folder / "calls")]
        where = ["-h", _HOST, "-p", str(self._ports["primary"].port), "-U", "postgres", "postgres"]
        return [_program("pgbench"), *load, *variables, *scripts, *times, *log, *where]

    def stop(self) -> None:
        super().stop()
        for port in self._ports.values():
            port.close()

    def _start(self, role: str) -> None:
        command = [_program("postgres"), "-D", str(self._folder / role), "-p", str(self._ports[role].port)]
        self.children.start(role, command, user=self._user, ending=signal.SIGQUIT)

    def _run(self, name: str, *arguments: str) -> None:
        self.children.run(name, [_program(name), *arguments], user=self._user)

    def _psql(self, *arguments: str, role: str = "primary") -> None:
        where = ["-h", _HOST, "-p", str(self._ports[role].port), "-U", "postgres", "postgres"]
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, *where)

    def _answers(self, role: str) -> bool:
        try:
            self._psql("-c", "SELECT 1", role=role)
        except OperationFailed:
            return False
        return True

    def _make_folder(self) -> None:
        """Make the folder that is PostgreSQL's; its user has to get there, through those of the run."""
        self._folder.mkdir()
        if self._user is None:
            return
        entry = pwd.getpwnam(self._user)
        os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        for above in (self.folder, *self.folder.parents):
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                if not _is_of_the_run(above):
                    raise OperationFailed(
                        f"PostgreSQL's user cannot enter {above}: choose another place (BANKRMI_BENCH_DIR)"
                    )
                above.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)

    def _copied(self, script: Path) -> Path:
        """Return a copy that PostgreSQL's user can read, wherever bankrmi is installed."""
        copy = self._folder / script.name
        copy.write_text(script.read_text())
        return copy


def _is_of_the_run(folder: Path) -> bool:
    """Whether a folder was made for this run: others are not ours to open."""
    return any(part.startswith(FOLDER_PREFIX) for part in folder.parts)


def _user() -> str | None:
    """Return the user that it has to run as, if we are root; else None: it runs as we do."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _folders() -> str:
    """Return where Debian keeps the programs of a cluster, newest first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    return os.pathsep.join(str(path) for path in found)


def _program(name: str) -> str:
    """Return a program, the real one before Debian's wrapper."""
    found = shutil.which(name, path=_folders()) or shutil.which(name)
    if found is None:
        raise OperationFailed(f"{name} not found: apt install postgresql")
    return found
