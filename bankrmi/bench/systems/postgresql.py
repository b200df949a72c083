"""PostgreSQL: a primary and a synchronous standby, whose disk has to have it; called by pgbench.

pgbench is in C; a call is one prepared statement in one trip. In batches the server itself draws the
accounts, which pgbench cannot send: that is to PostgreSQL's advantage. It times whole seconds, so a row takes
one at least. PostgreSQL refuses to run as root; started by root, it runs as `postgres`, or as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path

from bankrmi.bench.figures import Sample, percentile
from bankrmi.bench.load.order import ACCOUNTS, OPENING, Answer, Order
from bankrmi.bench.load_process import LOAD
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System, missing_programs
from bankrmi.bench.systems.versions import said_version
from bankrmi.errors import OperationFailed
from bankrmi.robustness.chaos.ports import HeldPort

__all__ = ["PostgreSql", "pgbench_scripts"]

_PROGRAMS = ("initdb", "postgres", "pg_basebackup", "psql", "pgbench")
_HOST = "127.0.0.1"
_WARM_CALLS = 30
_SCHEMA = Path(__file__).with_name("postgresql.sql")
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
autovacuum = off
"""
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_CONNECTING = re.compile(r"^initial connection time = ([0-9.]+) ms", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: ([0-9]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([1-9][0-9]*)", re.MULTILINE)


class PostgreSql(System):
    """PostgreSQL 15."""

    name = "postgresql"
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

    def processes(self) -> Mapping[str, int]:
        return {role: self.children.pid(role) for role in self._ports}

    def order(self, shape: Shape, seconds: float) -> Order:
        dsn = f"host={_HOST} port={self._ports['primary'].port} user=postgres dbname=postgres"
        return Order(kind="psycopg", where={"dsn": dsn}, shape=shape, seconds=seconds)

    def measure(self, shape: Shape, seconds: float, number: int) -> Sample:
        if shape.library:
            return super().measure(shape, seconds, number)
        warm = self._pgbench(shape, "--transactions", str(_WARM_CALLS if shape.operations == 1 else 2))
        for old in self._folder.glob("calls.*"):
            old.unlink()
        before = self.begin()
        used, began = _children_seconds(), time.perf_counter()
        lasting = ["--time", str(ceil(seconds + _connecting_seconds(warm)))]
        told = self._pgbench(shape, *lasting, "-l", "--log-prefix", str(self._folder / "calls"))
        took, used = time.perf_counter() - began, _children_seconds() - used
        return self.sample(self._answer(shape, told, took, used), before, number)

    def stop(self) -> None:
        super().stop()
        for port in self._ports.values():
            port.close()

    def _answer(self, shape: Shape, told: str, took: float, used: float) -> Answer:
        done, rate = _DONE.search(told), _TPS.search(told)
        if done is None or rate is None or _FAILED.search(told):
            raise OperationFailed(f"pgbench: {told[-300:]}")
        calls = int(done[1])
        lines = (line.split() for log in self._folder.glob("calls.*") for line in log.open())
        ordered = sorted(float(words[2]) for words in lines)
        return Answer(
            operations=calls * shape.operations,
            seconds=calls / float(rate[1]) if float(rate[1]) else took,
            median_us=percentile(ordered, 50),
            p99_us=percentile(ordered, 99),
            cpu_seconds=used,
        )

    def _pgbench(self, shape: Shape, *more: str) -> str:
        scripts = []
        for number, (text, weight) in enumerate(pgbench_scripts(shape)):
            script = self._folder / f"{number}.pgbench"
            script.write_text(text)
            scripts += ["-f", f"{script}@{weight}"]
        variables = ["-D", f"session={secrets.randbelow(1 << 30)}", "-D", "sequence=0"]
        where = ["-h", _HOST, "-p", str(self._ports["primary"].port), "-U", "postgres"]
        load = ["-n", "-M", "prepared", "-c", str(shape.clients), "-j", "1"]
        log = self.children.log(LOAD)
        log.write_bytes(b"")
        command = [_program("pgbench"), *load, *variables, *scripts, *more, *where, "postgres"]
        self.children.run(LOAD, command, user=self._user)
        return log.read_text()

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
        """Make the folder that is PostgreSQL's; it has to get there, through the one that is ours."""
        self._folder.mkdir()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
            for above in (self.folder, *self.folder.parents):
                if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o001:
                    above.chmod(above.stat().st_mode | 0o001)

    def _copied(self, script: Path) -> Path:
        """Return a copy that PostgreSQL's user can read, wherever bankrmi is installed."""
        copy = self._folder / script.name
        copy.write_text(script.read_text())
        return copy


def pgbench_scripts(shape: Shape) -> Iterable[tuple[str, int]]:
    """Return what pgbench does in a call, each with how often in ten."""
    drawn = f"\\set account random(1, {ACCOUNTS})\n"
    named = f"{drawn}\\set sequence :sequence + 1\n\\set own :session + :client_id\n"
    one = (
        "WITH taken AS (UPDATE account SET balance = balance - 1 WHERE id = :account AND balance >= 1"
        " RETURNING balance) INSERT INTO request (session, sequence, balance)"
        " SELECT :own::bigint, :sequence::bigint, (SELECT balance FROM taken) RETURNING balance;\n"
    )
    function = "withdraw_in_a_loop" if shape.loop else "withdraw_each"
    many = f"SELECT {function}({shape.operations}, {ACCOUNTS}, :own, :sequence);\n"
    look = f"{drawn}SELECT balance FROM account WHERE id = :account;\n"  # noqa: S608 (our own words)
    reads = round(10 * shape.reads)
    if reads:
        yield look, reads
    if reads < 10:
        yield named + (one if shape.operations == 1 else many), 10 - reads


def _connecting_seconds(told: str) -> float:
    """Return how long pgbench takes to connect: time that was ordered, but is not measured."""
    found = _CONNECTING.search(told)
    return float(found[1]) / 1000 if found else 0.0


def _user() -> str | None:
    """Return as whom it has to run: nobody else, unless we are root."""
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


def _children_seconds() -> float:
    """Return the CPU time of all our children that have ended."""
    used = os.times()
    return used.children_user + used.children_system
