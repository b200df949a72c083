"""The process of a server whose accounts are in a database: put together, run, ended in good order.

Rule 1: it listens once the database has been reached and the bank is open there.
Rule 2: SIGTERM and SIGINT end it at once: there is nothing to hand over. SIGHUP opens the log again.
Rule 3: a server that may not use the database ends with a sentence; one that does not reach it waits, and
        says so.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from typing import Any, NoReturn

import structlog

from bankrmi import signals
from bankrmi.bank.ledger_file import read_ledger
from bankrmi.config import Configuration
from bankrmi.database_url import database_in_words
from bankrmi.engine.database import EngineDatabase
from bankrmi.engine.driver import EngineDriver
from bankrmi.engine.measures import WatchedEngineServer, engine_checks, engine_measures
from bankrmi.engine.sweeping import Sweep
from bankrmi.errors import ConfigurationError
from bankrmi.logging_setup import reopen_log
from bankrmi.long_running import run_to_the_end
from bankrmi.metrics.watching import Watching
from bankrmi.own_credentials import own_credentials
from bankrmi.readiness import say_ready
from bankrmi.rmi import Daemon
from bankrmi.server.account import ACCOUNT_ID, AccountObject
from bankrmi.server.admission import Admission
from bankrmi.server.clock import now_ms
from bankrmi.server.derived_settings import limits_of, rates_of
from bankrmi.server.naming import Naming
from bankrmi.server.waiting import SLOW_SHARE, WaitingRoom
from bankrmi.service_manager import ServiceManager

__all__ = ["run"]

log = structlog.get_logger("bankrmi.engine")

_TICK_SECONDS = 0.02
_CERTIFICATES_SECONDS = 1.0
_WRITERS = 4
"""Groups that are under way at a time: each is a connection; balances, statements, totals, looks and what is
forgotten take one more each."""


def run(
    configuration: Configuration,
    name: str,
    *,
    log_json: bool = False,
    parent_pid: int | None = None,
    ready_fd: int | None = None,
) -> int:
    """Run one server until told to stop; return the exit code."""
    return run_to_the_end(
        lambda: _Process(configuration, name),
        name,
        room="bankrmi.engine",
        log_json=log_json,
        parent_pid=parent_pid,
        ready_fd=ready_fd,
    )


class _Process:
    """All parts of one server."""

    def __init__(self, configuration: Configuration, name: str) -> None:
        assert configuration.engine is not None
        if name not in configuration.servers:
            known = ", ".join(configuration.servers)
            raise ConfigurationError(f"there is no server {name} in {configuration.path}: it names {known}")
        self._configuration = configuration
        self._name = name
        self._ledger = read_ledger(configuration.ledger)
        self._credentials = own_credentials(configuration, "server", name)
        self._manager = ServiceManager()
        self._start_id = secrets.token_hex(8)
        self._in_words = database_in_words(configuration.engine)

    async def serve(self, ready_fd: int | None) -> None:
        """Serve until a signal or a failure; raise what went wrong."""
        configuration, name = self._configuration, self._name
        assert configuration.engine is not None
        stop = asyncio.Event()
        signals.deliver({signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: reopen_log})
        stopping = asyncio.create_task(stop.wait())
        try_s = configuration.client.timeout_ms / 1000
        database = self._database = EngineDatabase(configuration.engine, configuration.service, try_s=try_s)
        journal = configuration.journal
        sweep = Sweep(keep_days=journal.keep_days, session_days=journal.session_days)
        driver = self._driver = EngineDriver(database, writers=_WRITERS, sweep=sweep)
        admission = self._admission()
        daemon = Daemon(
            limits_of(configuration),
            lambda: {"server": name, "start_id": self._start_id, "settings": {}},
            servers=configuration.servers,
            credentials=self._credentials,
        )
        account = self._account(admission)
        daemon.register(ACCOUNT_ID + name, account)
        metrics = self._metrics(daemon, admission, account)
        naming = Naming(configuration, name, self._start_id, lambda: database.history, self._credentials)
        try:
            if not await self._opened(stopping):
                return
            own_files = await metrics.listen()
            await daemon.listen(configuration.listens_at(name), own_files=own_files)
            log.info("listening", address=configuration.listens_at(name), database=self._in_words)
            driver.start()
            naming.open()
            self._manager.say_ready()
            say_ready(ready_fd, server=name, address=configuration.servers[name], role="serving")
            tending = asyncio.create_task(self._tend(admission, daemon))
            watched: set[asyncio.Future[Any]] = {stopping, driver.failed, tending}
            ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            tending.cancel()
            for one in ended:
                one.result()
            self._manager.say_stopping()
        finally:
            naming.close()
            metrics.close()
            await daemon.close()
            await driver.stop()
            await database.close()
        log.info("stopped")

    async def _opened(self, stopping: asyncio.Task[bool]) -> bool:
        """Reach the database, and open the bank there unless it is open; return False if told to stop."""
        opening = asyncio.create_task(self._database.open(self._ledger))
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            return False
        opening.result()
        self._ledger = {}  # It may be large, and is of no use any more.
        return True

    async def _tend(self, admission: Admission, daemon: Daemon) -> None:
        """Look after those who wait too long, and after certificates, again and again."""
        looked_s = asyncio.get_running_loop().time()
        while True:
            admission.give_up_overdue()
            self._manager.tick()
            now_s = asyncio.get_running_loop().time()
            if self._credentials is not None and now_s - looked_s > _CERTIFICATES_SECONDS:
                looked_s = now_s
                self._credentials.look()
                daemon.cut_refused()
            await asyncio.sleep(_TICK_SECONDS)

    def _admission(self) -> Admission:
        limits, timeout_ms = self._configuration.limits, self._configuration.client.timeout_ms
        return Admission(
            self._driver.take,
            lambda _query, _seen: None,  # Every read asks the database.
            now_ms=now_ms,
            room=WaitingRoom(limits.waiting_bytes, slow_ms=SLOW_SHARE * timeout_ms),
            rates=rates_of(self._configuration),
            operations_per_request=limits.operations_per_request,
            timeout_ms=timeout_ms,
        )

    def _account(self, admission: Admission) -> AccountObject:
        configuration = self._configuration
        return AccountObject(
            admission,
            self._status,
            addresses=configuration.servers,
            operations_per_request=configuration.limits.operations_per_request,
            journal=_no_journal,
        )

    def _metrics(
        self, daemon: Daemon, admission: Admission, account: AccountObject
    ) -> Watching[WatchedEngineServer]:
        """Return the port for whoever watches, if there is to be one."""
        configuration, database, driver = self._configuration, self._database, self._driver

        def watched() -> WatchedEngineServer:
            return WatchedEngineServer(
                database=database,
                driver=driver,
                daemon=daemon,
                admission=admission,
                requests={configuration.service: account.figures},
                certificate_days=None if self._credentials is None else self._credentials.days_left,
            )

        return Watching(
            configuration.metrics.get(self._name),
            lambda: engine_measures(self._name, configuration.service),
            watched,
            engine_checks(database, driver),
        )

    def _status(self) -> dict[str, Any]:
        """Return what this server says of itself."""
        configuration, database = self._configuration, self._database
        return {
            "server": self._name,
            "service": configuration.service,
            "role": "serving",
            "why": self._why_not_serving(),
            "pid": os.getpid(),
            "address": configuration.servers[self._name],
            "listens_at": configuration.listens_at(self._name),
            "database": self._in_words,
            "database_answers": not database.why_away,
            "retired_for": self._driver.retired_for,
            "history": database.history,
            "waiting": self._driver.queued,
            "start_id": self._start_id,
        }

    def _why_not_serving(self) -> str | None:
        if self._database.why_away:
            return f"the database does not answer: {self._database.why_away}"
        there = self._driver.retired_for
        return None if there is None else f"the bank is not here any more: it is in {there}"


def _no_journal() -> NoReturn:
    raise AssertionError("there is no journal of all accounts where a database keeps them")
