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
from pathlib import Path
from typing import Any

import structlog

from bankrmi.config import Configuration
from bankrmi.coordination.witness_client import WitnessClient
from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.logging_setup import configure, reopen_log
from bankrmi.parent_death import end_with_parent
from bankrmi.readiness import say_awaiting, say_ready
from bankrmi.replication.events import StopAsked
from bankrmi.replication.replica import Replica, Role
from bankrmi.replication.settings import Settings
from bankrmi.rmi import PROTOCOL_VERSION, Daemon, Limits, handshake
from bankrmi.server.account import ACCOUNT_ID, AccountObject
from bankrmi.server.clock import now_ms
from bankrmi.server.copying import CopyFetcher, CopyServer
from bankrmi.server.data_directory import DataDirectory
from bankrmi.server.driver import Driver
from bankrmi.server.naming import Naming
from bankrmi.server.operator_object import OPERATOR_ID, OperatorObject
from bankrmi.server.peer_links import STANDBY_ID, PeerLinks
from bankrmi.server.standby_object import StandbyObject
from bankrmi.server.status import status_of
from bankrmi.storage.database import DiskFailed

__all__ = ["run"]

log = structlog.get_logger("bankrmi.server")

_DONE, _ERROR, _USAGE = 0, 1, 2
LEAVE_SECONDS = 1.5


def run(
    configuration: Configuration,
    name: str,
    *,
    first: bool = False,
    log_json: bool = False,
    parent_pid: int | None = None,
    ready_fd: int | None = None,
    log_file: Path | None = None,
) -> int:
    """Run one server until told to stop; return the exit code."""
    end_with_parent(parent_pid)
    configure(log_json, name)
    try:
        process = _Process(configuration, name, first=first, log_file=log_file)
        asyncio.run(process.serve(ready_fd))
    except ConfigurationError as error:
        log.error(error.message)
        return _USAGE
    except BankError as error:
        log.error(error.message)
        say_awaiting(ready_fd, error)
        return _ERROR
    except DiskFailed as error:
        log.error(str(error))
        return _ERROR
    return _DONE


class _Process:
    """All parts of one server."""

    def __init__(
        self, configuration: Configuration, name: str, *, first: bool, log_file: Path | None
    ) -> None:
        if name not in configuration.servers:
            known = ", ".join(configuration.servers)
            raise ConfigurationError(f"there is no server {name} in {configuration.path}: it names {known}")
        self._configuration = configuration
        self._name = name
        self._log_file = log_file
        self._disk = DataDirectory(configuration, name)
        self._journal = self._disk.open_journal()
        self._start_id = secrets.token_hex(8)
        self._settings = _settings(configuration, name, first=first)
        self._copy_server = CopyServer(lambda: self._driver.journal.database, self._disk.path)

    # -- serving ---------------------------------------------------------------------------------

    async def serve(self, ready_fd: int | None) -> None:
        """Serve until a signal or a failure; raise what went wrong."""
        configuration, name = self._configuration, self._name
        daemon = Daemon(_limits(configuration), self._greeting)
        replica = Replica(self._settings, self._journal, start_id=self._start_id, now_ms=now_ms())
        coordinator = WitnessClient(
            configuration.witness, configuration.service, handshake=handshake("server", server=name)
        )
        driver = self._driver = Driver(replica, self._journal, coordinator)
        driver.links = PeerLinks(name, self._start_id, configuration.servers, driver.take)
        driver.copies = fetcher = self._fetcher()
        naming = Naming(configuration, name, configuration.servers[name])
        account = self._register_objects(daemon, fetcher)
        self._catch_signals()
        try:
            await daemon.listen(configuration.servers[name])
            log.info("listening", address=configuration.servers[name])
            driver.links.open()
            naming.open()
            driver.on_tick = _ReadyLine(replica, account, ready_fd, configuration.servers[name])
            driver.start(max(5.0, self._settings.beacon_ms / 4))
            _keep_collector_quiet()
            why = await driver.stopped
        finally:
            naming.close()
            fetcher.close()
            if hasattr(driver, "links"):
                driver.links.close()
            coordinator.close()
            await daemon.close()
            self._copy_server.close()
        if why:
            raise OperationFailed(f"stopped: {why}")  # The end of the process releases the directory.
        driver.journal.close()
        self._disk.release()  # Not before: whoever comes next finds the database unlocked.
        log.info("stopped")
        # It is over in a moment, in good order: one more signal must not turn that into a death.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

    def _fetcher(self) -> CopyFetcher:
        return CopyFetcher(
            self._name,
            self._configuration.servers,
            self._disk.database,
            take=self._driver.take,
            reopen=lambda: self._disk.journal_at(self._disk.database),
            open_copy=lambda path: self._disk.journal_at(path, as_copy=True),
            current=lambda: self._driver.journal,
        )

    def _register_objects(self, daemon: Daemon, fetcher: CopyFetcher) -> AccountObject:
        configuration, name, driver = self._configuration, self._name, self._driver
        account = AccountObject(
            driver.take,
            lambda: status_of(driver.replica, configuration, fetcher.fetched),
            addresses=configuration.servers,
            now_ms=now_ms,
            operations_per_request=configuration.limits.operations_per_request,
            timeout_ms=configuration.client.timeout_ms,
        )
        daemon.register(ACCOUNT_ID + name, account)
        daemon.register(STANDBY_ID + name, StandbyObject(driver.take, self._copy_server), for_servers=True)
        daemon.register(OPERATOR_ID + name, OperatorObject(driver.take, self._exported), roles={"operator"})
        return account

    def _greeting(self) -> dict[str, object]:
        return {"protocol": PROTOCOL_VERSION, "server": self._name, "start_id": self._start_id}

    def _exported(self) -> tuple[dict[str, Any], list[tuple[int, int]]]:
        journal = self._driver.journal
        adopted = journal.adopted
        if adopted is None:
            raise OperationFailed(f"{self._name} holds nothing yet")
        return {"action_id": journal.tip.action_id, "history": adopted.history}, list(journal.export())

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
            log.info("stopping: the others are told first")
            loop.call_later(LEAVE_SECONDS, driver.stop, "")
            driver.take(StopAsked())

        loop.add_signal_handler(signal.SIGTERM, terminate)
        loop.add_signal_handler(signal.SIGINT, driver.stop, "")
        loop.add_signal_handler(signal.SIGHUP, reopen_log, self._log_file)


class _ReadyLine:
    """Says once, to whoever started the process, that it has a role; and looks for overdue calls."""

    def __init__(self, replica: Replica, account: AccountObject, ready_fd: int | None, address: str) -> None:
        self._replica = replica
        self._account = account
        self._ready_fd = ready_fd
        self._address = address
        self._ready = False

    def __call__(self) -> None:
        """Look at every tick."""
        self._account.give_up_overdue()
        role = self._replica.role
        if self._ready or role not in (Role.PRIMARY, Role.STANDBY):
            return
        self._ready = True
        log.info("ready", role=role.value, address=self._address)
        server = self._replica.settings.server
        say_ready(self._ready_fd, server=server, address=self._address, role=role.value)


def _keep_collector_quiet() -> None:
    """Take what lives as long as the process out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()


def _settings(configuration: Configuration, name: str, *, first: bool) -> Settings:
    return Settings(
        server=name,
        servers=tuple(configuration.servers),
        lease_ms=configuration.lease_ms,
        drift_ms=configuration.drift_ms,
        beacon_ms=configuration.beacon_ms,
        checkpoint_timeout_ms=configuration.checkpoint_timeout_ms,
        copies_min=configuration.copies_min,
        refused_means_gone=configuration.refused_means_gone,
        first=first,
        group_bytes=configuration.limits.group_bytes,
    )


def _limits(configuration: Configuration) -> Limits:
    not_the_daemons = {"operations_per_request", "group_bytes"}
    return Limits(**configuration.limits.model_dump(exclude=not_the_daemons))
