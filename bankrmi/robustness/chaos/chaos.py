"""`bankrmi chaos` from the order to the verdict: makes a directory, runs a bank in it, and judges.

Rule 1: a directory that is given is empty, or not there yet: nothing of anybody else's is touched.
Rule 2: the seed decides what is done and what is asked for; real processes take their own time, so two runs
        of a seed are not alike to the millisecond.
"""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bankrmi.console.events import HelloEvent
from bankrmi.console.recording import READ_BYTES, Recording
from bankrmi.errors import ConfigurationError
from bankrmi.patroni.members import DATABASES
from bankrmi.robustness.chaos.bank import WITNESS, ChaosBank
from bankrmi.robustness.chaos.clients import Clients
from bankrmi.robustness.chaos.crowds import RUSH, STRANGERS
from bankrmi.robustness.chaos.etcd import MEMBERS, EtcdMembers
from bankrmi.robustness.chaos.fault_log import FaultLog
from bankrmi.robustness.chaos.namespaces import Namespaces
from bankrmi.robustness.chaos.nemesis import Nemesis
from bankrmi.robustness.chaos.network import ChaosNetwork, NoNamespaces
from bankrmi.robustness.chaos.ordered_clients import ClientOrder
from bankrmi.robustness.chaos.recorded import Recorded
from bankrmi.robustness.chaos.relays import Relays
from bankrmi.robustness.chaos.retold import events_of
from bankrmi.robustness.chaos.rolling_out import releases_in_words
from bankrmi.robustness.chaos.run import Course, Raging, run_course
from bankrmi.robustness.chaos.schedule import timing
from bankrmi.robustness.chaos.summing_up import RECORDING, BankJudge, RunFacts, RunJudge, sum_up
from bankrmi.robustness.engine.bank import EngineBank
from bankrmi.robustness.engine.judge import EngineJudge
from bankrmi.robustness.engine.nemesis import EngineNemesis
from bankrmi.robustness.engine.schedule import engine_timing

__all__ = ["ChaosOrder", "ServedOrder", "chaos", "directory_for"]

FAULTS = "faults.jsonl"
RUN = "run.json"
_SESSIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedOrder:
    """Classes by the names of their services, the first one first; the folder of their modules, and the names
    of workload and model."""

    services: Mapping[str, str]
    folder: Path
    workload: str = ""
    model: str = ""
    releases: tuple[Mapping[str, str], ...] = ()
    """What servers serve of them, one after the other, where a class names the ones before; the last one is
    `services`."""

    why_not_older: tuple[str, ...] = ()
    """Which classes are not served as they were, and why, though others name them."""

    @property
    def changes(self) -> bool:
        """Whether classes get newer versions in the course of the run."""
        return len(self.releases) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosOrder:
    """What the command line asks for."""

    seconds: float
    seed: int
    servers: int
    clients: int
    pause_ms: float
    relays: bool
    directory: Path
    etcd: bool = False
    """The view is kept by etcd, and not by a witness."""
    certificates: bool = False
    """Everybody shows a certificate, and strangers have none."""
    removals: bool = False
    """Servers are removed from the bank, and added again."""
    served: ServedOrder | None = None
    """What is replicated in the place of a bank's accounts."""
    words_before: tuple[str, ...] = ("bankrmi",)
    """What stands before the command, in the line that does it again."""
    engine: str = ""
    """The kind of database that keeps the accounts, if servers do not: "postgresql"."""

    def command(self) -> str:
        """Return the command that does it again."""
        words = [*self.words_before, "chaos", "--minutes", f"{self.seconds / 60:g}"]
        words += ["--seed", str(self.seed), "--servers", str(self.servers)]
        words += ["--clients", str(self.clients), "--pause-ms", f"{self.pause_ms:g}"]
        words += ["--etcd"] if self.etcd else []
        words += ["--certificates"] if self.certificates else []
        words += ["--removals"] if self.removals else []
        words += ["--engine", self.engine] if self.engine else []
        if self.served is not None:
            words += ["--workload", self.served.workload] if self.served.workload else []
            words += ["--model", self.served.model] if self.served.model else []
        return shlex.join([*words, *(["--relays"] if self.relays else [])])

    @property
    def services(self) -> dict[str, str]:
        """The classes by the names of the services; none for a bank."""
        return {} if self.served is None else dict(self.served.services)

    @property
    def releases(self) -> tuple[Mapping[str, str], ...]:
        """What servers serve, one release after the other; none for a bank."""
        return () if self.served is None else self.served.releases


def directory_for(given: Path | None) -> Path:
    """Return the directory of a run: made, and empty."""
    if given is None:
        return Path(tempfile.mkdtemp(prefix="bankrmi-chaos-"))
    try:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(given.iterdir()):
            raise ConfigurationError(
                f"the directory {given} is not empty: name one that is, or that is not there yet"
            )
    except OSError as error:
        raise ConfigurationError(f"the directory {given} cannot be used: {error.strerror}") from None
    return given.absolute()


def chaos(
    order: ChaosOrder,
    *,
    say: Callable[[str], None],
    show: Callable[[str], None],
    judge: RunJudge | None = None,
) -> Recorded:
    """Run, judge, and return all that was recorded; `say` is for sentences, `show` for a line of progress.

    `judge` is who judges what was told of a class, and what it left on the disks.
    """
    servers = tuple(f"s{number}" for number in range(1, order.servers + 1))
    clients = tuple(f"client{number}" for number in range(1, order.clients + 1))
    network = _network(order, servers, clients, say)
    if order.removals and not network.alike:
        network.close()
        raise ConfigurationError(
            "--removals: a server that is added has one address for everybody, and relays give it one for "
            "each: run chaos where every process can have a network of its own (as root, with ip and nft)"
        )
    for sentence in _releases_told(order):
        say(sentence)
    order = replace(order, relays=network.cuts_by == Relays.cuts_by)
    try:
        with _tried(order, servers, clients, network) as tried:
            faults = FaultLog(order.directory / FAULTS)
            orders = _order_for_clients(order, servers, insecure=tried.bank.insecure)
            callers = Clients(tried.bank, clients, orders)
            course = Course(tried.bank, callers, faults, tried.nemesis(callers, faults), show=show)
            started_unix, unix_ns_at_zero = time.time(), time.time_ns() - time.monotonic_ns()
            finished = run_course(course, order.seconds)
            faults.close()
    finally:
        network.close()
    show("judging")
    facts = RunFacts(
        directory=order.directory,
        seed=order.seed,
        command=order.command(),
        servers=servers,
        services=order.services,
        clients=clients,
        witness=WITNESS,
        members=tried.members,
        databases=tried.databases,
        seen=tried.bank.seen if isinstance(tried.bank, EngineBank) else None,
        cuts_by=network.cuts_by,
        facts=tried.facts,
        started_unix=started_unix,
        unix_ns_at_zero=unix_ns_at_zero,
        finished=finished,
        faults=tuple(faults.faults),
    )
    (order.directory / RUN).write_text(json.dumps(facts.to_form(), indent=1) + "\n")
    recorded = sum_up(facts, judge or tried.judge)
    _keep(recorded, order.directory / RECORDING)
    show("")
    return recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """What of a run depends on the kind of the bank."""

    bank: ChaosBank | EngineBank
    nemesis: Callable[[Clients, FaultLog], Raging]
    judge: RunJudge
    members: tuple[str, ...]
    databases: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@contextmanager
def _tried(
    order: ChaosOrder, servers: tuple[str, ...], clients: tuple[str, ...], network: ChaosNetwork
) -> Iterator[_Tried]:
    """Give the bank that is tried, with who breaks it and who judges it; none of its processes runs yet."""
    seed = order.seed
    if order.engine:
        on_engine = EngineBank(order.directory, servers, (*clients, RUSH), network, engine_timing(seed))
        try:
            yield _Tried(
                bank=on_engine,
                nemesis=lambda callers, faults: EngineNemesis(on_engine, callers, faults, seed=seed),
                judge=EngineJudge(),
                members=MEMBERS,
                databases=DATABASES,
                facts=on_engine.facts(),
            )
        finally:
            on_engine.close()
        return
    etcd = EtcdMembers(network, order.directory) if order.etcd else None
    try:
        bank = ChaosBank(
            order.directory,
            servers,
            (*clients, RUSH),
            network,
            timing(seed),
            etcd=etcd,
            certificates=order.certificates,
            services=order.services,
            releases=order.releases,
            modules=None if order.served is None else order.served.folder,
        )
        yield _Tried(
            bank=bank,
            nemesis=lambda callers, faults: Nemesis(
                bank, callers, faults, seed=seed, removals=order.removals, releases=order.releases
            ),
            judge=BankJudge(),
            members=MEMBERS if order.etcd else (),
            facts=_facts_of_releases(order),
        )
    finally:
        if etcd is not None:
            etcd.close()


def _releases_told(order: ChaosOrder) -> Iterator[str]:
    if order.served is None:
        return
    yield from (f"{why}." for why in order.served.why_not_older)
    if order.served.changes:
        begins, *others = releases_in_words(order.releases)
        yield f"Servers begin with {begins}; then they get, one after the other, {'; then '.join(others)}."


def _facts_of_releases(order: ChaosOrder) -> tuple[tuple[str, str], ...]:
    if order.served is None or not order.served.changes:
        return ()
    words = releases_in_words(order.releases)
    return (("releases", "; then ".join(words)),)


def _keep(recorded: Recorded, path: Path) -> None:
    hello, *others = events_of(recorded)
    assert isinstance(hello, HelloEvent)
    recording = Recording(path, hello, now_ms=time.time, most_bytes=READ_BYTES)
    for event in others:
        recording.write(event)
    recording.close()


def _network(
    order: ChaosOrder, servers: tuple[str, ...], clients: tuple[str, ...], say: Callable[[str], None]
) -> ChaosNetwork:
    members = MEMBERS if order.etcd or order.engine else ()
    databases = DATABASES if order.engine else ()
    if not order.relays:
        try:
            return Namespaces((*members, *databases, WITNESS, *servers, *clients, RUSH, STRANGERS))
        except NoNamespaces as missing:
            say(f"Links are cut by relays, not in the network: {missing}.")
    links = [(server, other) for server in servers for other in (*servers, WITNESS) if server != other]
    askers = databases or (*servers, WITNESS)
    links += [(process, member) for process in askers for member in members]
    links += [(server, database) for server in servers for database in databases]
    links += [(client, server) for client in (*clients, RUSH, STRANGERS) for server in servers]
    links += [(STRANGERS, WITNESS)]
    return Relays(tuple(links))


def _order_for_clients(order: ChaosOrder, servers: tuple[str, ...], *, insecure: bool) -> ClientOrder:
    return ClientOrder(
        client="",
        configuration="",
        insecure=insecure,
        history="",
        seed=order.seed,
        command=order.command(),
        servers=servers,
        sessions=_SESSIONS,
        reads_only=False,
        pause_ms=order.pause_ms,
        parent_pid=0,
        services=order.services,
        folder="" if order.served is None else str(order.served.folder),
        workload="" if order.served is None else order.served.workload,
        changes=order.served is not None and order.served.changes,
        on_engine=bool(order.engine),
    )
