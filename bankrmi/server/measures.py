"""What a server shows to Prometheus: each figure, what it means, where it is read.

Rule 1: nothing is counted here; it is read when somebody asks, from the rooms that know it.
Rule 2: a label is the name of a server that there is, or of a closed set of the room that counts.
Rule 3: what is a primary's is shown by the primary alone; of others there is nothing to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bankrmi.metrics.measure import Measure, Reading, one_of
from bankrmi.metrics.of_daemons import about, certificate, of_daemons, refused
from bankrmi.metrics.of_views import of_views
from bankrmi.replication.condition import Condition
from bankrmi.replication.peer import Standing
from bankrmi.replication.roles import Role
from bankrmi.rmi import Daemon
from bankrmi.server.admission import BUSY, Admission
from bankrmi.server.clock import now_ms
from bankrmi.server.driver import Driver
from bankrmi.server.method_figures import MethodFigures
from bankrmi.server.request_figures import OF_ACCOUNTS, Countable, RequestFigures

__all__ = ["WatchedRequests", "WatchedServer", "measures_of", "of_requests"]

_ROLES = tuple(role.value for role in Role)

Measures = tuple[Measure["WatchedServer"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedServer:
    """One server, and its condition at this moment; `connected` are the servers that answer it."""

    condition: Condition
    connected: Collection[str]
    driver: Driver
    daemon: Daemon
    admission: Admission
    requests: Mapping[str, RequestFigures]
    """By service."""
    methods: MethodFigures | None = None
    """Where classes are served."""
    certificate_days: float | None = None


def measures_of(
    server: str,
    servers: Collection[str],
    service: str,
    *,
    others: Collection[str] | None = None,
    requests: Countable = OF_ACCOUNTS,
    services: Collection[str] = (),
    methods: MethodFigures | None = None,
) -> Measures:
    """Return all that is shown of this server, one of `servers`, which answers such requests; each of these
    services is told apart, if there are several, and each of these methods.

    Servers come and go: each of the two collections may have others in it at another time.
    """
    if others is None:
        others = tuple(name for name in servers if name != server)
    return (
        about(server, service),
        certificate(lambda watched: watched.certificate_days),
        *_of_the_role(),
        *of_views(
            servers,
            lambda watched: watched.condition.view,
            lambda watched: watched.driver.replica.figures.views.counts(),
        ),
        *_of_the_journal(others),
        *_of_silence(others),
        *of_requests(
            requests, services if len(services) > 1 else (), lambda watched: watched.condition.queued
        ),
        *(() if methods is None else _of_methods(methods)),
        *_of_commits(),
        *of_daemons(lambda watched: [watched.daemon]),
    )


def _of_the_role() -> Measures:
    return (
        Measure(
            name="bankrmi_role",
            kind="gauge",
            meaning="1 for what this server is, 0 for what it is not",
            labels={"role": _ROLES},
            read=lambda watched: one_of(_ROLES, watched.condition.role.value),
        ),
        Measure(
            name="bankrmi_role_seconds",
            kind="gauge",
            meaning="For how long it has been that",
            read=lambda watched: (now_ms() - watched.condition.role_since_ms) / 1000,
        ),
        Measure(
            name="bankrmi_epoch",
            kind="gauge",
            meaning="The newest epoch that this server has acted in; 0 while it is empty",
            read=lambda watched: watched.condition.epoch or 0,
        ),
        Measure(
            name="bankrmi_fenced",
            kind="gauge",
            meaning="1 while it answers nobody because the witness has lost its memory, else 0",
            read=lambda watched: watched.condition.fenced,
        ),
        Measure(
            name="bankrmi_acknowledges",
            kind="gauge",
            meaning="Of a primary: 1 if what is asked for now is likely to be acknowledged, else 0",
            read=lambda watched: watched.condition.acknowledges,
        ),
        Measure(
            name="bankrmi_read_lease_seconds",
            kind="gauge",
            meaning="Of a primary: for how long it may still read by itself; 0 if not",
            read=_lease_seconds,
        ),
    )


def _lease_seconds(watched: WatchedServer) -> Reading:
    left_ms = watched.condition.read_lease_ms
    return None if left_ms is None else max(0.0, left_ms) / 1000


def _of_the_journal(others: Collection[str]) -> Measures:
    def lags(watched: WatchedServer) -> Reading:
        """Of those that get checkpoints, and are in the configuration."""
        tip = watched.condition.tip.action_id
        tracked = [copy for copy in watched.condition.copies if copy.standing is not Standing.OUTSIDE]
        return {copy.server: tip - copy.matched for copy in tracked if copy.server in others}

    return (
        Measure(
            name="bankrmi_tip_action_id",
            kind="gauge",
            meaning="The newest entry of this copy",
            read=lambda watched: watched.condition.tip.action_id,
        ),
        Measure(
            name="bankrmi_anchor_action_id",
            kind="gauge",
            meaning="Up to this one the journal of this copy is folded; 0 while it is kept whole",
            read=lambda watched: watched.condition.anchor.action_id,
        ),
        Measure(
            name="bankrmi_durable_action_id",
            kind="gauge",
            meaning="The newest entry that is durable on this disk",
            read=lambda watched: watched.condition.durable,
        ),
        Measure(
            name="bankrmi_acknowledged_action_id",
            kind="gauge",
            meaning="The newest entry that this server knows to be acknowledged",
            read=lambda watched: watched.condition.acknowledged,
        ),
        Measure(
            name="bankrmi_lag_operations",
            kind="gauge",
            meaning="Of a primary: operations that each other copy is not known to hold durably",
            labels={"server": others},
            read=lags,
        ),
    )


def _of_silence(others: Collection[str]) -> Measures:
    return (
        Measure(
            name="bankrmi_connected",
            kind="gauge",
            meaning="1 for each other server that answers this one, else 0",
            labels={"server": others},
            read=lambda watched: {name: float(name in watched.connected) for name in others},
        ),
        Measure(
            name="bankrmi_primary_silent_seconds",
            kind="gauge",
            meaning="Of all but a primary: for how long no primary was heard",
            read=_primary_silent_seconds,
        ),
        Measure(
            name="bankrmi_witness_silent_seconds",
            kind="gauge",
            meaning="For how long the witness has answered nothing that it was asked",
            read=lambda watched: watched.condition.witness_silent_ms / 1000,
        ),
        Measure(
            name="bankrmi_loop_late_seconds",
            kind="histogram",
            meaning="How late the ticks of the event loop came: for so long it was busy with something else",
            read=lambda watched: watched.driver.lateness,
        ),
    )


def _primary_silent_seconds(watched: WatchedServer) -> Reading:
    silent_ms = watched.condition.primary_silent_ms
    return None if silent_ms is None else silent_ms / 1000


class WatchedRequests(Protocol):
    """Who lets requests in, and counts them."""

    @property
    def admission(self) -> Admission:
        """The door."""

    @property
    def requests(self) -> Mapping[str, RequestFigures]:
        """What came of them, by service."""


Watched = TypeVar("Watched", bound=WatchedRequests)


def _by_service(
    watched: WatchedRequests, read: Callable[[RequestFigures], Mapping[Any, Any]], *, told_apart: bool
) -> Mapping[Any, Any]:
    """Return figures of requests, by service as well if they are told apart."""
    if not told_apart:
        [one] = watched.requests.values()
        return read(one)
    return {
        (service, *(key if isinstance(key, tuple) else (key,))): figure
        for service, one in watched.requests.items()
        for key, figure in read(one).items()
    }


def of_requests(
    requests: Countable, services: Collection[str], queued: Callable[[Watched], Reading]
) -> tuple[Measure[Watched], ...]:
    """Return what is shown of requests; `queued` returns how many wait to be decided."""
    apart, labels = bool(services), {"service": tuple(services)} if services else {}
    return (
        Measure(
            name="bankrmi_requests_total",
            kind="counter",
            meaning="Calls of clients that were answered, by what was called and what came of it",
            labels={**labels, "kind": requests.kinds, "outcome": requests.outcomes},
            read=lambda watched: _by_service(watched, RequestFigures.by_kind_and_outcome, told_apart=apart),
        ),
        Measure(
            name="bankrmi_request_seconds",
            kind="histogram",
            meaning="How long calls took that waited for the rules, until the answer was handed over",
            labels={**labels, "kind": requests.timed},
            read=lambda watched: _by_service(watched, RequestFigures.seconds, told_apart=apart),
        ),
        refused(lambda watched: watched.admission.refused, *BUSY),
        Measure(
            name="bankrmi_queued_requests",
            kind="gauge",
            meaning="Of a primary: requests that wait to be decided",
            read=queued,
        ),
        Measure(
            name="bankrmi_waiting_requests",
            kind="gauge",
            meaning="Requests, reads and questions that wait for their answer",
            read=lambda watched: watched.admission.waiting,
        ),
        Measure(
            name="bankrmi_waiting_bytes",
            kind="gauge",
            meaning="Memory that they take up, of limits.waiting_bytes",
            read=lambda watched: watched.admission.held_bytes,
        ),
        Measure(
            name="bankrmi_waiting_limit_bytes",
            kind="gauge",
            meaning="limits.waiting_bytes; over it, callers are told busy",
            read=lambda watched: watched.admission.budget_bytes,
        ),
    )


def _of_methods(methods: MethodFigures) -> Measures:
    return (
        Measure(
            name="bankrmi_method_runs_total",
            kind="counter",
            meaning="Of a class: runs of its methods on this server; of an update on every copy, of a query "
            "where it is answered",
            labels=methods.labels,
            read=lambda watched: None if watched.methods is None else watched.methods.runs(),
        ),
        Measure(
            name="bankrmi_method_seconds_total",
            kind="counter",
            meaning="Of a class: how long they took of this server's one thread",
            labels=methods.labels,
            read=lambda watched: None if watched.methods is None else watched.methods.seconds(),
        ),
    )


def _of_commits() -> Measures:
    return (
        Measure(
            name="bankrmi_group_requests",
            kind="histogram",
            meaning="Of a primary: new requests that were decided, sent and committed together",
            read=lambda watched: watched.driver.replica.figures.group_requests,
        ),
        Measure(
            name="bankrmi_group_operations",
            kind="histogram",
            meaning="Of a primary: their operations",
            read=lambda watched: watched.driver.replica.figures.group_operations,
        ),
        Measure(
            name="bankrmi_commit_seconds",
            kind="histogram",
            meaning="How long it took until a commit was durable on this disk, from when it was asked for",
            read=lambda watched: watched.driver.disk.commits,
        ),
        Measure(
            name="bankrmi_sync_seconds",
            kind="histogram",
            meaning="How long one sync of the log took, which may cover several commits",
            read=lambda watched: watched.driver.disk.syncs,
        ),
    )
