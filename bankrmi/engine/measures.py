"""What a server shows to Prometheus, and tells load balancers, if a database keeps its accounts.

Rule: figures of requests and of the process are those of every server, by the same names (`server.measures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bankrmi.engine.database import EngineDatabase
from bankrmi.engine.driver import EngineDriver
from bankrmi.metrics.health import Checks, Health, alive
from bankrmi.metrics.measure import Measure
from bankrmi.metrics.of_daemons import about, certificate, of_daemons
from bankrmi.rmi import Daemon
from bankrmi.server.admission import Admission
from bankrmi.server.measures import of_requests
from bankrmi.server.request_figures import OF_ACCOUNTS, RequestFigures

__all__ = ["WatchedEngineServer", "engine_checks", "engine_measures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedEngineServer:
    """One server."""

    database: EngineDatabase
    driver: EngineDriver
    daemon: Daemon
    admission: Admission
    requests: Mapping[str, RequestFigures]
    certificate_days: float | None = None


def engine_measures(server: str, service: str) -> tuple[Measure[WatchedEngineServer], ...]:
    """Return all that is shown of this server."""
    return (
        about(server, service),
        certificate(lambda watched: watched.certificate_days),
        *_of_the_database(),
        *of_requests(OF_ACCOUNTS, (), lambda watched: watched.driver.queued),
        Measure(
            name="bankrmi_group_requests",
            kind="histogram",
            meaning="Requests that were decided in one transaction",
            read=lambda watched: watched.driver.figures.group_requests,
        ),
        Measure(
            name="bankrmi_group_operations",
            kind="histogram",
            meaning="Their operations",
            read=lambda watched: watched.driver.figures.group_operations,
        ),
        *of_daemons(lambda watched: [watched.daemon]),
    )


def _of_the_database() -> tuple[Measure[WatchedEngineServer], ...]:
    return (
        Measure(
            name="bankrmi_database_answers",
            kind="gauge",
            meaning="1 while the database answers this server, else 0",
            read=lambda watched: float(not watched.database.why_away),
        ),
        Measure(
            name="bankrmi_retired",
            kind="gauge",
            meaning="1 if the bank has left, and this server sends everybody to where it is; else 0",
            read=lambda watched: float(watched.driver.retired_for is not None),
        ),
        Measure(
            name="bankrmi_transaction_seconds",
            kind="histogram",
            meaning="How long a group of requests took in the database, with all repetitions",
            read=lambda watched: watched.driver.transactions,
        ),
        Measure(
            name="bankrmi_repetitions_total",
            kind="counter",
            meaning="Transactions that were repeated: another one was there first, or the database was away",
            labels={"why": ("conflict", "away")},
            read=lambda watched: dict(watched.database.repetitions),
        ),
    )


def engine_checks(database: EngineDatabase, driver: EngineDriver) -> Checks:
    """Return what load balancers may ask: every server takes changes, so each is a primary to them."""

    def ready() -> Health:
        if database.why_away:
            return Health(False, f"serving: the database does not answer: {database.why_away}")
        if driver.retired_for is not None:
            return Health(False, f"serving: the bank is not here any more: it is in {driver.retired_for}")
        return Health(True, "serving")

    def standby() -> Health:
        return Health(False, "serving: nobody is a standby here")

    return {"/health": alive, "/ready": ready, "/primary": ready, "/standby": standby}
