"""A bank on a database under test: a directory, configurations, all processes, and what can be asked of them.

    DIR/{config,log,history,database}/…  ledger.csv  data/  faults.jsonl  run.json

Rule 1: everything is in this directory, which is made for the run: no file of anybody else is touched.
Rule 2: who asks here is an operator, who is not cut off; whoever does not answer is not waited for.
Rule 3: where the network cannot be cut, relays stand between servers and databases, and between databases and
        etcd; the databases reach each other whatever is cut, and so do the members of etcd.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bankrmi import config
from bankrmi.client.engine_overview import engine_overview
from bankrmi.config import Configuration
from bankrmi.held_port import HeldPort
from bankrmi.patroni.asking import DatabaseSituation, database_situation, switch_database_over
from bankrmi.patroni.descent import Descendant, descendants
from bankrmi.patroni.members import DATABASES, ETCD_MEMBERS, DatabaseMembers, DatabasePlace, EtcdPlace
from bankrmi.patroni.programs import check_installed, versions
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.bank import WITNESS
from bankrmi.robustness.chaos.network import OPERATOR, ChaosNetwork
from bankrmi.robustness.chaos.processes import ChaosProcesses
from bankrmi.robustness.chaos.workload import OPENING
from bankrmi.robustness.engine.database_copy import copy_file, read_copy, written_to
from bankrmi.robustness.engine.schedule import EngineTiming
from bankrmi.robustness.engine.seen import SeenDatabases

__all__ = ["SCHEMA", "EngineBank", "EngineSituation"]

SCHEMA = "bankrmi_account"
_PEER_PORT, _REST_PORT = 2380, 8008
_POSTGRESQL = "postgres"
"""What its processes are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSituation:
    """What all said of themselves a moment ago."""

    databases: DatabaseSituation
    serving: tuple[str, ...]
    """The servers that the database answers."""


class EngineBank:
    """etcd, the databases, the name server and the servers of one run (see `chaos.run.BankUnderTest`)."""

    up_s = 120.0

    def __init__(
        self,
        directory: Path,
        servers: Sequence[str],
        clients: Sequence[str],
        network: ChaosNetwork,
        timing: EngineTiming,
    ) -> None:
        """Write the files that all need; the directory is there, and empty. Raises ConfigurationError."""
        check_installed()
        self.directory = directory
        self.servers = tuple(servers)
        self.keepers: tuple[str, ...] = (*ETCD_MEMBERS, *DATABASES, WITNESS)
        self.network = network
        self.insecure = network.insecure
        self._timing = timing
        self._held: list[HeldPort] = []
        self.seen = SeenDatabases(DATABASES)
        if os.geteuid() == 0:
            directory.chmod(0o711)  # PostgreSQL's user has to get through.
        for folder in ("config", "log", "history"):
            (directory / folder).mkdir()
        self.database = DatabaseMembers.in_folder(
            directory / "database",
            databases={name: self._database_place(name) for name in DATABASES},
            etcd={name: self._etcd_place(name) for name in ETCD_MEMBERS},
            etcd_seen_by=self._etcd_seen_by,
            timing=timing.database,
            tells_every_look=True,
        )
        self.database.write()
        self.processes = ChaosProcesses(network, directory / "log")
        ledger = "".join(f"{account},{balance}\n" for account, balance in OPENING.items())
        (directory / "ledger.csv").write_text(ledger)
        for process in (WITNESS, *self.servers, *clients, OPERATOR):
            self.configuration_of(process).write_text(self._configuration(process))
        self.configuration: Configuration = config.load(
            self.configuration_of(OPERATOR), insecure=self.insecure
        )

    # -- files -----------------------------------------------------------------------------------

    def _database_place(self, name: str) -> DatabasePlace:
        host, _, port = self.network.address(name, seen_by=name).rpartition(":")
        return DatabasePlace(host=host, port=int(port), rest_port=self._own_port(_REST_PORT))

    def _etcd_place(self, name: str) -> EtcdPlace:
        client = self.network.address(name, seen_by=name)
        return EtcdPlace(client=client, peer=f"{client.rpartition(':')[0]}:{self._own_port(_PEER_PORT)}")

    def _own_port(self, usual: int) -> int:
        """Return the usual port if each process has a host of its own; else one that is free."""
        if self.network.alike:
            return usual
        self._held.append(HeldPort())
        return self._held[-1].port

    def _etcd_seen_by(self, process: str) -> list[str]:
        return [self.network.address(member, seen_by=process) for member in ETCD_MEMBERS]

    def configuration_of(self, process: str) -> Path:
        """Return the file that tells a process where it finds the others."""
        return self.directory / "config" / f"{process}.yaml"

    def _configuration(self, process: str) -> str:
        address, timing = self.network.address, self._timing
        lines = [f"nameserver: {address(WITNESS, seen_by=process)}", "servers:"]
        lines += [f"  {server}: {address(server, seen_by=process)}" for server in self.servers]
        engine = self.database.url([address(name, seen_by=process) for name in DATABASES])
        lines += [f"engine: {json.dumps(engine)}", "ledger: ../ledger.csv", "data_dir: ../data"]
        lines += [f"client: {{timeout_ms: {timing.client_timeout_ms}, patience_ms: {timing.patience_ms}}}"]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        """Give the ports back."""
        for held in self._held:
            held.close()

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the database was, and how it was set up, for the report."""
        timing = self._timing.database
        said = f"ttl {timing.ttl_s} s; a primary alone waits; after a crash "
        said += f"{timing.start_s} s to come back" if timing.start_s else "another leads at once"
        return (*versions(), ("settings", said))

    # -- processes -------------------------------------------------------------------------------

    def start(self, process: str) -> None:
        """Start a process, if it does not run."""
        if self.processes.is_alive(process):
            return
        ours = str(os.getpid())
        if process in ETCD_MEMBERS:
            command = self.database.etcd_command(process, parent_pid=ours)
            self.processes.start_program(process, command, ending=signal.SIGQUIT)
        elif process in DATABASES:
            self.database.hold(process).unlink(missing_ok=True)
            command = self.database.database_command(process, parent_pid=ours)
            self.processes.start_program(process, command, ending=signal.SIGQUIT)
        else:
            what = ["nameserver"] if process == WITNESS else ["server", process]
            options = ["--config", str(self.configuration_of(process)), "--log-json"]
            options += ["--insecure"] if self.insecure else []
            self.processes.start(process, ["bankrmi", *options, *what, "--parent-pid", ours])

    def stop(self, process: str) -> None:
        """Have it end in good order."""
        self.processes.ask_to_end(process, signal.SIGINT if process in self.servers else signal.SIGTERM)

    def in_order_of_stopping(self) -> tuple[str, ...]:
        """Return whom to stop at the end: who needs others before those."""
        return *self.servers, WITNESS, *DATABASES, *ETCD_MEMBERS

    def of_postgresql(self, name: str) -> list[Descendant]:
        """Return the processes of one PostgreSQL, as they are now."""
        return [one for one in self._inside(name) if one.name == _POSTGRESQL]

    def of_patroni(self, name: str) -> list[Descendant]:
        """Return those of the Patroni beside it."""
        return [one for one in self._inside(name) if one.name != _POSTGRESQL]

    def of_machine(self, name: str) -> list[Descendant]:
        """Return all that runs of one member, of the database or of etcd."""
        return self._inside(name)

    def _inside(self, name: str) -> list[Descendant]:
        """Return what its keeper keeps; the keeper itself is the first that descends from its front."""
        if not self.processes.is_alive(name):
            return []
        return [one for one in descendants(self.processes.pid(name))[1:] if not one.is_dead]

    # -- questions -------------------------------------------------------------------------------

    def situation(self) -> EngineSituation:
        """Ask everybody."""
        servers = engine_overview(self.configuration)["servers"]
        serving = tuple(one["server"] for one in servers if one["reachable"] and one["database_answers"])
        return EngineSituation(databases=self.look_at_databases(), serving=serving)

    def look_at_databases(self) -> DatabaseSituation:
        """Ask the databases alone, and note who leads."""
        situation = database_situation(self.database)
        self.seen.look(situation, at_ns=time.monotonic_ns(), at_us=time.time_ns() // 1000)
        return situation

    def may_serve(self) -> bool:
        """Whether the database is set up: before that it knows no users, and servers would end."""
        return bool(database_situation(self.database).in_sync)

    def is_whole(self) -> bool:
        """Whether a database leads, the other has all that it has, and all servers are answered."""
        return self._is_whole(self.situation())

    def _is_whole(self, situation: EngineSituation) -> bool:
        databases = situation.databases
        return (
            databases.primary is not None
            and len(databases.in_sync) == len(DATABASES) - 1
            and set(situation.serving) == set(self.servers)
        )

    def in_words(self) -> str:
        """Return how it is, for a sentence."""
        situation = self.situation()
        return (
            f"{situation.databases.in_words()}; answered are {', '.join(situation.serving) or 'no servers'}"
        )

    def at_rest(self) -> tuple[str, ...]:
        """Return both databases if they hold the same, and keep that in files; else none."""
        situation = self.situation()
        primary = situation.databases.primary
        if primary is None or not self._is_whole(situation):
            return ()
        try:
            copies = [read_copy(name, self.database.dsn(name), SCHEMA) for name in DATABASES]
        except OSError:
            return ()
        if any(copy.requests != copies[0].requests for copy in copies):
            return ()  # The standby replays a moment later.
        for copy in copies:
            written_to(copy_file(self.directory, copy.name), copy)
        return primary, *(name for name in DATABASES if name != primary)

    def best_evidence(self) -> tuple[str, ...]:
        """Return who leads, if that is known, and what it holds can be read."""
        primary = database_situation(self.database).primary
        if primary is None:
            return ()
        try:
            copy = read_copy(primary, self.database.dsn(primary), SCHEMA)
        except OSError:
            return ()
        written_to(copy_file(self.directory, primary), copy)
        return (primary,)

    def views(self) -> tuple[View, ...]:
        """Return which database led, and which was in sync, as far as we looked."""
        return tuple(self.seen.views)

    def switch_over(self, primary: str) -> str:
        """Have the database handed over, as an operator does; return what came of it, in a sentence."""
        return switch_database_over(self.database, primary)
