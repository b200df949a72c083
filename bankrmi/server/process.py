"""The server process: put together, run, ended in good order.

Rule 1: configuration, ledger and disk are checked before anything listens; a server listens before it leads.
Rule 2: SIGTERM leaves the bank in good order first (V10), within 2 s; SIGINT, or a second SIGTERM, ends at
        once and leaves the view as it is. SIGHUP ends nothing: it opens the log file again.
Rule 3: the listening socket is closed last, when nobody is answered any more (R3).
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bankrmi import signals
from bankrmi.bank.accounts import Accounts
from bankrmi.config import Configuration
from bankrmi.coordination.keepers import check_keeper
from bankrmi.coordination.movable_keeper import MovableKeeper
from bankrmi.diagnosis import DIAGNOSIS_ID, ProcessDiagnosis, diagnosis_object
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.logging_setup import reopen_log
from bankrmi.long_running import run_to_the_end
from bankrmi.metrics.watching import Watching
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.code_versions import stated_state, version_of
from bankrmi.replication.condition import Condition
from bankrmi.replication.events import StopAsked
from bankrmi.replication.replica import Replica
from bankrmi.rmi import Audited, Daemon, handshake, over_tls
from bankrmi.server.account import ACCOUNT_ID, AccountObject
from bankrmi.server.admission import Admission
from bankrmi.server.agreement import GOES_BY_VIEW, stated
from bankrmi.server.backing_up import Backups
from bankrmi.server.checks import checks_of
from bankrmi.server.clock import now_ms
from bankrmi.server.copy_serving import CopyServer
from bankrmi.server.copying import CopyFetcher, copy_server, remove_leftovers
from bankrmi.server.data_directory import DataDirectory
from bankrmi.server.derived_settings import limits_of, rates_of, settings_of, settings_of_service
from bankrmi.server.driver import Driver
from bankrmi.server.exporting import Exports, begins_export
from bankrmi.server.folding import Folder
from bankrmi.server.measures import WatchedServer, measures_of
from bankrmi.server.memory import MemoryTrimmer
from bankrmi.server.migrating import Migrations
from bankrmi.server.naming import Naming
from bankrmi.server.operator_object import OPERATOR_ID, CopiedOut, OperatorObject, audited_calls
from bankrmi.server.own_address import check_own_address
from bankrmi.server.peer_links import PeerLinks
from bankrmi.server.peer_network import STANDBY_ID, PeerNetwork
from bankrmi.server.service_object import ServiceObject
from bankrmi.server.standby_object import StandbyObject
from bankrmi.server.status import NO_MIGRATION, MigrationShown, migration_shown, status_of
from bankrmi.server.ticking import CertificateWatch, ReadyLine, each_of
from bankrmi.server.waiting import SLOW_SHARE, WaitingRoom
from bankrmi.server.whereabouts import Whereabouts
from bankrmi.service.declaring import Description
from bankrmi.service.loading import load_served
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.served_alone import load_part
from bankrmi.service.served_services import HOME
from bankrmi.service_manager import ServiceManager
from bankrmi.storage.database import DiskFailed

__all__ = ["run"]

log = structlog.get_logger("bankrmi.server")

ClientObjects = Mapping[str, AccountObject] | Mapping[str, ServiceObject]
"""By service; HOME is the first one, or the accounts."""

LEAVE_SECONDS = 1.5


def run(
    configuration: Configuration,
    name: str,
    *,
    first: bool = False,
    log_json: bool = False,
    parent_pid: int | None = None,
    ready_fd: int | None = None,
) -> int:
    """Run one server until told to stop; return the exit code."""
    return run_to_the_end(
        lambda: _Process(configuration, name, first=first),
        name,
        room="bankrmi.server",
        log_json=log_json,
        parent_pid=parent_pid,
        ready_fd=ready_fd,
        failures=(DiskFailed,),
    )


class _Process:
    """All parts of one server."""

    def __init__(self, configuration: Configuration, name: str, *, first: bool) -> None:
        if name not in configuration.servers:
            known = ", ".join(configuration.servers)
            raise ConfigurationError(f"there is no server {name} in {configuration.path}: it names {known}")
        check_keeper(configuration)
        self._configuration = configuration
        self._name = name
        self._services = load_served(configuration)
        self._disk = DataDirectory(configuration, name, self._services)
        self._credentials = own_credentials(configuration, "server", name)
        self._manager = ServiceManager()
        self._start_id = secrets.token_hex(8)
        self._settings = settings_of(configuration, name, first=first)
        if self._runs_methods:
            self._settings = settings_of_service(self._settings, self._disk.call_costs, self._services.code)
        self._replica = Replica(  # Which alone holds the journal: a copy may take its place.
            self._settings, self._disk.open_journal(), start_id=self._start_id, now_ms=now_ms()
        )
        self._stated = stated(configuration)
        self._whereabouts = Whereabouts(name, configuration.servers)
        remove_leftovers(self._disk.path)

    @property
    def _runs_methods(self) -> bool:
        """Whether what is replicated is decided by methods of classes, on tables."""
        return self._services.served_alone is None

    # -- serving ---------------------------------------------------------------------------------

    async def serve(self, ready_fd: int | None) -> None:
        """Serve until a signal or a failure; raise what went wrong."""
        configuration, name = self._configuration, self._name
        credentials = self._credentials
        whereabouts = self._whereabouts
        daemon = Daemon(
            limits_of(configuration), self._greeting, servers=whereabouts.others, credentials=credentials
        )
        whereabouts.on_change = lambda: self._others_changed(daemon)
        said = over_tls(handshake("server", server=name), credentials)
        coordinator = MovableKeeper(configuration, said, None if credentials is None else credentials.why_not)
        driver = self._driver = Driver(self._replica, coordinator)
        network = self._network(daemon)
        coordinator.on_met = network.met_witness
        coordinator.on_followed = lambda found: self._stated.update(witness=stated(found)["witness"])
        others = {other: whereabouts[other] for other in whereabouts.others}
        links = PeerLinks(others, network, driver.clock, driver.take)
        fetcher = self._fetcher()
        copies = copy_server(lambda: driver.journal.database, self._disk.path, driver.clock)
        driver.start(links, fetcher)
        naming = Naming(configuration, name, self._start_id, lambda: driver.journal.incarnation, credentials)
        copied_out = self._copied_out(copies)
        admission = self._admission()
        objects = self._objects(admission, fetcher, network)
        operator = OperatorObject(driver.take, copied_out, whereabouts)
        self._register_objects(daemon, objects, copies, operator, network)
        folder = Folder(
            driver,
            driver.clock,
            lambda: copies.is_wanted or copied_out.any_goes_on,
        )
        metrics = self._metrics(daemon, admission, objects, fetcher, network)
        self._catch_signals()
        try:
            own_files = await metrics.listen()
            await daemon.listen(configuration.listens_at(name), own_files=own_files)
            await self._say_where_it_listens(said)
            self._manager.say_ready()
            links.open()
            naming.open()
            on_tick: list[Callable[[], None]] = [
                ReadyLine(self._replica, admission, ready_fd, configuration.servers[name]),
                driver.tend,
                self._memory(admission).tick,
                CertificateWatch(credentials, daemon, network),
                self._manager.tick,
            ]
            if copied_out.exports is not None:
                on_tick.append(copied_out.exports.tick)
            if self._runs_methods:
                on_tick.append(Migrations(driver, self._services, log).tick)
            driver.tick_every(self._settings.tick_ms, each_of(*on_tick))
            folder.look()
            self._disk.find_out(lambda: driver.journal)
            _keep_collector_quiet()
            why = await driver.stopped
        finally:
            folder.close()
            naming.close()
            fetcher.close()
            self._disk.stop_looking()
            links.close()
            network.close()
            coordinator.close()
            metrics.close()
            await daemon.close()
            copies.close()
        self._end(why)

    def _end(self, why: str) -> None:
        """Say why it ended, by an error; or give the folder back in good order."""
        if why and self._driver.has_no_place:
            raise ConfigurationError(why)
        if why:
            raise OperationFailed(f"stopped: {why}")  # The end of the process releases the directory.
        self._driver.close()
        self._disk.release()  # Not before: whoever comes next finds the database unlocked.
        log.info("stopped")

    async def _say_where_it_listens(self, said: Mapping[str, object]) -> None:
        announced, bound = self._configuration.servers[self._name], self._configuration.listens_at(self._name)
        log.info("listening", address=bound, **({} if bound == announced else {"announced": announced}))
        if bound != announced:
            await check_own_address(
                announced,
                ACCOUNT_ID + self._name,
                said,
                self._start_id,
                refused_means_gone=self._configuration.refused_means_gone,
            )

    def _network(self, daemon: Daemon) -> PeerNetwork:
        return PeerNetwork(
            self._name,
            self._start_id,
            self._settings.home,
            self._stated,
            daemon.cut_off,
            self._credentials,
            self._whereabouts.reach,
        )

    def _memory(self, admission: Admission) -> MemoryTrimmer:
        driver = self._driver
        return MemoryTrimmer(
            lambda: admission.is_busy,
            lambda: driver.journal.tip.action_id,
            now_ms,
            lambda: driver.journal.shrink(),
        )

    def _fetcher(self) -> CopyFetcher:
        return CopyFetcher(
            self._name,
            self._whereabouts,
            self._disk.database,
            take=self._driver.take,
            reopen=lambda: self._disk.journal_at(self._disk.database),
            open_copy=lambda path: self._disk.journal_at(path, as_copy=True),
            current=lambda: self._driver.journal,
            clock=self._driver.clock,
            credentials=self._credentials,
        )

    def _copied_out(self, copies: CopyServer) -> CopiedOut:
        timeout_ms, server = self._configuration.client.timeout_ms, self._name
        backups = Backups(self._driver, self._accounts, server=server, now_ms=now_ms)
        if not isinstance(self._driver.journal.machine, Accounts):
            return CopiedOut(None, backups, copies)
        exports = Exports(self._driver, self._accounts, server=server, now_ms=now_ms, timeout_ms=timeout_ms)
        return CopiedOut(exports, backups)

    def _accounts(self) -> Accounts:
        machine = self._driver.journal.machine
        assert isinstance(machine, Accounts)
        return machine

    def _admission(self) -> Admission:
        configuration = self._configuration
        limits, timeout_ms = configuration.limits, configuration.client.timeout_ms
        return Admission(
            self._driver.take,
            self._driver.read_at_once,
            now_ms=now_ms,
            room=WaitingRoom(limits.waiting_bytes, slow_ms=SLOW_SHARE * timeout_ms),
            rates=rates_of(configuration),
            operations_per_request=limits.operations_per_request,
            timeout_ms=timeout_ms,
            look_otherwise=self._was_migrated,
        )

    def _was_migrated(self) -> bool:
        journal = self._driver.journal
        return journal.version != journal.version_at(0)

    def _objects(self, admission: Admission, fetcher: CopyFetcher, network: PeerNetwork) -> ClientObjects:
        """Return what clients call, by service."""
        configuration, driver = self._configuration, self._driver

        def status() -> dict[str, Any]:
            return status_of(
                driver.replica.condition(),
                configuration,
                fetcher.fetched,
                network.silent(),
                None if self._credentials is None else self._credentials.days_left,
                driver.replica.journal.decided_us,
                migration=self._migration,
            )

        at_most = configuration.limits.operations_per_request
        alone = self._services.served_alone
        if alone is None:
            return {
                name: self._service_object(admission, status, name, one, at_most)
                for name, one in self._services.each()
            }
        make: Callable[..., AccountObject] = load_part(alone.remote_object)
        return {
            HOME: make(
                admission,
                status,
                addresses=self._whereabouts,
                operations_per_request=at_most,
                journal=lambda: self._driver.journal,
            )
        }

    def _service_object(
        self,
        admission: Admission,
        status: Callable[[], dict[str, Any]],
        service: str,
        description: Description,
        entries_at_most: int,
    ) -> ServiceObject:
        driver, services = self._driver, self._services

        def state_version() -> int | None:
            if driver.replica.primary is None:
                return None
            return version_of(driver.journal.version, service)

        return ServiceObject(
            admission,
            status if service == HOME else lambda: {**status(), "service": service},
            description,
            addresses=self._whereabouts,
            entries_at_most=entries_at_most,
            state_version=state_version,
            service=service,
            told_as=services.called(service) if services.beside else "",
        )

    def _migration(self, shown: Condition) -> MigrationShown:
        """Return what there is to say of the version of the class, if it is not yet that of the state."""
        machine = self._driver.journal.machine
        if not isinstance(machine, ServiceMachine):
            return NO_MIGRATION
        return migration_shown(self._services, shown, machine.failures)

    def _register_objects(
        self,
        daemon: Daemon,
        objects: ClientObjects,
        copies: CopyServer,
        operator: OperatorObject,
        network: PeerNetwork,
    ) -> None:
        name, driver = self._name, self._driver
        for service, one in objects.items():
            ending = f".{service}" if service else ""
            daemon.register(ACCOUNT_ID + name + ending, one)
        standby = StandbyObject(
            driver.take, copies, self._whereabouts.others, format_of_copies=lambda: driver.journal.format
        )
        daemon.register(STANDBY_ID + name, standby, for_servers=True)
        audited = Audited(
            operator, audited_calls(name), counts=lambda call: call.method != "export" or begins_export(call)
        )
        daemon.register(OPERATOR_ID + name, audited, roles={"operator"})
        diagnosis = ProcessDiagnosis(
            process=name,
            folder=self._disk.path,
            credentials=self._credentials,
            more=lambda: self._told(network),
        )
        daemon.register(DIAGNOSIS_ID + name, diagnosis_object(diagnosis), roles={"operator"})

    def _told(self, network: PeerNetwork) -> dict[str, Any]:
        """Return what this server tells operators beside what every process does."""
        syncs = self._driver.disk.syncs
        return {
            "settings": dict(self._settings_now()),
            "listens_at": [self._configuration.listens_at(self._name)],
            "relayed": self._configuration.relayed,
            "syncs": {"bounds_s": list(syncs.bounds), "counts": list(syncs.counts)},
            "round_trips_ms": network.round_trips_ms(),
            "keeper_ms": self._driver.keeper_ms,
        }

    def _metrics(
        self,
        daemon: Daemon,
        admission: Admission,
        objects: ClientObjects,
        fetcher: CopyFetcher,
        network: PeerNetwork,
    ) -> Watching[WatchedServer]:
        """Return the port for whoever watches, if there is to be one."""
        configuration, driver = self._configuration, self._driver
        figures = {service or configuration.service: one.figures for service, one in objects.items()}

        def watched() -> WatchedServer:
            condition = driver.replica.condition()
            connected = condition.connected - network.silent()
            return WatchedServer(
                condition=condition,
                connected=connected,
                driver=driver,
                daemon=daemon,
                admission=admission,
                requests=figures,
                methods=self._disk.methods,
                certificate_days=None if self._credentials is None else self._credentials.days_left,
            )

        checks = checks_of(
            driver.replica.condition,
            lambda: fetcher.fetched,
            left_behind_ms=self._settings.checkpoint_timeout_ms,
        )
        return Watching(
            self._configuration.metrics.get(self._name),
            lambda: measures_of(
                self._name,
                self._whereabouts,
                configuration.service,
                others=self._whereabouts.others,
                requests=next(iter(figures.values())).countable,
                services=tuple(figures),
                methods=self._disk.methods,
            ),
            watched,
            checks,
        )

    def _others_changed(self, daemon: Daemon) -> None:
        """Let everybody go by the servers that there are now (V12)."""
        self._stated["servers"] = dict(self._whereabouts)
        daemon.know(self._whereabouts.others)

    def _greeting(self) -> dict[str, object]:
        return {
            "server": self._name,
            "start_id": self._start_id,
            "settings": self._settings_now(),
        }

    def _settings_now(self) -> dict[str, Any]:
        """Return what this server states; that it goes by the view need not change where anybody lives."""
        self._stated[GOES_BY_VIEW] = self._replica.goes_by_view
        if self._runs_methods:
            state = stated_state(self._replica.journal.version)
            self._stated["code"] = {**self._services.code.stated(), **state}
        return self._stated

    # -- the end ---------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        loop, driver = asyncio.get_running_loop(), self._driver
        asked = False

        def terminate() -> None:
            nonlocal asked
            if asked:
                driver.stop("")
                return
            asked = True
            self._manager.say_stopping()
            log.info("stopping: the others are told first")
            loop.call_later(LEAVE_SECONDS, driver.stop, "")
            driver.take(StopAsked())

        signals.deliver(
            {
                signal.SIGTERM: terminate,
                signal.SIGINT: lambda: driver.stop(""),
                signal.SIGHUP: reopen_log,
            }
        )


def _keep_collector_quiet() -> None:
    """Take what lives as long as the process out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()
