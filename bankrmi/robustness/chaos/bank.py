"""The bank under test: a directory, a configuration for each process, and what can be asked of it.

    DIR/{config,certificates,log,history}/…  ledger.csv  data/s1, …, data/witness  faults.jsonl  run.json

Rule 1: everything is in this directory, which is made for the run: no file of anybody else is touched.
Rule 2: who asks here is an operator, who is not cut off; whoever does not answer is not waited for.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bankrmi import config
from bankrmi.certificates.authority import create, create_authority
from bankrmi.client.asking import ask_once
from bankrmi.client.operating import change_servers
from bankrmi.client.overview import overview
from bankrmi.client.view_history import history
from bankrmi.config import Configuration, split_address
from bankrmi.coordination.keepers import asked_keeper
from bankrmi.coordination.restoring import OPERATOR_ID
from bankrmi.errors import BankError
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.etcd import MEMBERS, EtcdMembers
from bankrmi.robustness.chaos.network import OPERATOR, ChaosNetwork
from bankrmi.robustness.chaos.processes import ChaosProcesses
from bankrmi.robustness.chaos.schedule import Timing
from bankrmi.robustness.chaos.workload import OPENING

__all__ = ["WITNESS", "ChaosBank", "Situation", "is_whole"]

WITNESS = "witness"
"""The process of the name server and the witness; with etcd, of the name server."""

_SHOWN_AS = {WITNESS: "nameserver"}
_DAYS = 60
_SWITCHOVER_S = 4.0
_VIEWS = 5_000
"""More than there are changes in an hour of faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the bank said of itself a moment ago."""

    primary: str | None
    in_sync: tuple[str, ...]
    epoch: int
    from_witness: bool
    servers: dict[str, dict[str, Any]]
    """What each server that answered said."""

    def role(self, server: str) -> str:
        """Return what a server is by the view."""
        if server == self.primary:
            return "primary"
        return "standby" if server in self.in_sync else ""


class ChaosBank:
    """The witness and the servers of one run (see `run.BankUnderTest`)."""

    up_s = 60.0

    def __init__(
        self,
        directory: Path,
        servers: Sequence[str],
        clients: Sequence[str],
        network: ChaosNetwork,
        timing: Timing,
        *,
        etcd: EtcdMembers | None = None,
        certificates: bool = False,
        services: Mapping[str, str] | None = None,
        releases: Sequence[Mapping[str, str]] = (),
        modules: Path | None = None,
    ) -> None:
        """Write the files that the bank needs; the directory is there, and empty.

        With `etcd`, that keeps the view. With `certificates`, everybody shows one, or is refused. `services`
        are the classes that are replicated in the place of accounts, by the names of the services, the first
        one first; `modules` is where their modules lie. `releases`: what servers serve of them, the oldest
        first; they begin with that.
        """
        self._services = dict(services or {})
        self._releases = releases or [self._services]
        self._timing = timing
        self._installed: dict[str, int] = {}
        self._etcd = etcd
        self._certificates = directory / "certificates" if certificates else None
        # The members of etcd are asked with http.
        self.insecure = network.insecure and (etcd is not None or not certificates)
        self.members: tuple[str, ...] = () if etcd is None else MEMBERS
        self.keepers: tuple[str, ...] = (*self.members, WITNESS)
        self.directory = directory
        self.servers = tuple(servers)
        self.network = network
        for folder in ("config", "log", "history"):
            (directory / folder).mkdir()
        self.processes = ChaosProcesses(network, directory / "log", modules=modules)
        ledger = "".join(f"{account},{balance}\n" for account, balance in OPENING.items())
        (directory / "ledger.csv").write_text(ledger)
        if self._certificates is not None:
            self._issue(self._certificates)
        for process in (WITNESS, *clients, OPERATOR):
            self._write_configuration(process, self._services)
        for server in self.servers:
            self.install(server, 0)
        self._started_with: dict[str, int] = {}  # By server: the release of its process.
        self.configuration: Configuration = config.load(
            self.configuration_of(OPERATOR), insecure=self.insecure
        )

    def configuration_of(self, process: str) -> Path:
        """Return the file that tells a process where it finds the others."""
        return self.directory / "config" / f"{process}.yaml"

    def data(self, server: str) -> Path:
        """Return the data directory of a server."""
        return self.directory / "data" / server

    def install(self, server: str, release: int) -> None:
        """Have the next process of a server serve this release of the classes."""
        self._write_configuration(server, self._releases[release])
        self._installed[server] = release

    def serves(self, server: str) -> int | None:
        """Return which release the process of a server serves; None: it was never started."""
        return self._started_with.get(server)

    def _write_configuration(self, process: str, services: Mapping[str, str]) -> None:
        path = self.configuration_of(process)
        written = path.with_suffix(".new")
        written.write_text(self._configuration(process, services))
        written.replace(path)

    def _configuration(self, process: str, services: Mapping[str, str]) -> str:
        address, timing = self.network.address, self._timing
        lines = [f"nameserver: {address(WITNESS, seen_by=process)}"]
        lines += [] if self._etcd is None else [f"witness: {self._etcd.setting(seen_by=process)}"]
        lines += ["servers:"]
        lines += [f"  {server}: {address(server, seen_by=process)}" for server in self.servers]
        lines += _what_is_kept(services)
        lines += ["data_dir: ../data"]
        lines += [
            f"{key}: {getattr(timing, key)}" for key in ("lease_ms", "heartbeat_ms", "checkpoint_timeout_ms")
        ]
        lines += [f"refused_means_gone: {str(self.network.alike).lower()}"]
        lines += [f"client: {{timeout_ms: {timing.client_timeout_ms}, patience_ms: {timing.patience_ms}}}"]
        lines += [f"journal: {{records_behind: {timing.records_behind}}}"]
        lines += [] if self._certificates is None else [f"certificates: {{folder: {self._certificates}}}"]
        return "\n".join(lines) + "\n"

    def _issue(self, folder: Path) -> None:
        """Make the bank's own authority, and what everybody shows."""
        create_authority(folder, days=2 * _DAYS)  # However late those below are made, they end before it.
        for name in (WITNESS, *self.servers):
            host, _ = split_address(self.network.address(name, seen_by=OPERATOR))
            create(folder, "server", _SHOWN_AS.get(name, name), days=_DAYS, addresses=[host])
        create(folder, "client", "client", days=_DAYS)
        create(folder, "operator", "operator", days=_DAYS)

    # -- processes -------------------------------------------------------------------------------

    def start(self, process: str) -> None:
        """Start the witness, a server or a member of etcd, if it does not run."""
        if self._etcd is not None and process in self.members:
            if not self.processes.is_alive(process):
                self.processes.start_program(process, self._etcd.command(process))
        elif not self.processes.is_alive(process):
            what = ["nameserver"] if process == WITNESS else ["server", process]
            options = ["--config", str(self.configuration_of(process)), "--log-json"]
            options += ["--insecure"] if self.insecure else []
            self._started_with[process] = self._installed.get(process, 0)
            self.processes.start(process, ["bankrmi", *options, *what, "--parent-pid", str(os.getpid())])

    def stop(self, process: str) -> None:
        """Have it end at once in good order, and the view stay as it is (V10)."""
        self.processes.ask_to_end(process, signal.SIGTERM if process == WITNESS else signal.SIGINT)

    def in_order_of_stopping(self) -> tuple[str, ...]:
        """Return whom to stop at the end; etcd's members may be ended at any time."""
        return *self.servers, WITNESS

    def delete_data(self, server: str) -> None:
        """Lose the disk of a server that does not run."""
        assert not self.processes.is_alive(server)
        shutil.rmtree(self.data(server))

    # -- questions; each takes its time, at most half a second -------------------------------------

    def situation(self) -> Situation:
        """Ask everybody."""
        told = overview(self.configuration)
        view = told["view"] or {"primary": None, "in_sync": (), "epoch": 0}
        return Situation(
            primary=view["primary"],
            in_sync=tuple(view["in_sync"]),
            epoch=int(view["epoch"] or 0),
            from_witness=told["view_from"] == "witness",
            servers={one["server"]: one for one in told["servers"] if one["reachable"]},
        )

    def may_serve(self) -> bool:
        """Servers wait for the witness by themselves."""
        return True

    def is_whole(self) -> bool:
        """Whether a primary leads and every server is in sync."""
        return is_whole(self.situation(), self.servers)

    def in_words(self) -> str:
        """Return who is what, for a sentence."""
        situation = self.situation()
        roles = ", ".join(f"{name} {one['role']}" for name, one in sorted(situation.servers.items()))
        in_sync = ", ".join(situation.in_sync) or "nobody"
        return f"epoch {situation.epoch}, in sync: {in_sync}; {roles or 'no answers'}"

    def at_rest(self) -> tuple[str, ...]:
        """Return all servers if their copies hold the same, and all of it is acknowledged; else none."""
        situation = self.situation()
        tips = {(one["action_id"], one["digest"]) for one in situation.servers.values()}
        leads = [one for one in situation.servers.values() if one["role"] == "primary"]
        rests = is_whole(situation, self.servers) and len(tips) == 1 and leads[0]["lag"] == 0
        return self.servers if rests and not leads[0]["migrates"] else ()

    def best_evidence(self) -> tuple[str, ...]:
        """Return who leads, if that is known."""
        primary = self.situation().primary
        return (primary,) if primary is not None else ()

    def views(self) -> tuple[View, ...]:
        """Return how the view changed, as its keeper has it on record; none if it does not tell."""
        try:
            return tuple(history(self.configuration, limit=_VIEWS))
        except BankError:
            return ()

    def view(self) -> View | None:
        """Return what the keeper of the view holds; raises BankError if it does not answer."""
        return asked_keeper(self.configuration).read()

    def change_servers(self, change: str, server: str) -> None:
        """Have the primary `add` or `remove` a server, as an operator does; raises BankError."""
        address = self.network.address(server, seen_by=OPERATOR) if change == "add" else None
        change_servers(self.configuration, change, server, address)

    def switch_over(self, primary: str) -> str:
        """Have the primary hand over, as an operator does; return what came of it, in a sentence."""
        address = self.configuration.servers[primary]
        shown = own_credentials(self.configuration, "operator")
        try:
            views = ask_once(
                address,
                OPERATOR_ID + primary,
                "switchover",
                [None],
                seconds=_SWITCHOVER_S,
                credentials=shown,
            )
        except BankError as error:
            return error.message
        return f"{views['after']['primary']} leads"


def _what_is_kept(services: Mapping[str, str]) -> Iterator[str]:
    if not services:
        yield "ledger: ../ledger.csv"
        return
    home, target = next(iter(services.items()))
    yield f"service: {home}"
    if len(services) == 1:
        yield f"serves: {target}"
        return
    yield "serves:"
    yield from (f"  {name}: {one}" for name, one in services.items())


def is_whole(situation: Situation, servers: Sequence[str]) -> bool:
    """Whether a primary leads and every server is in sync."""
    roles = sorted(str(one["role"]) for one in situation.servers.values())
    return set(situation.in_sync) == set(servers) and roles == ["primary", *["standby"] * (len(servers) - 1)]
