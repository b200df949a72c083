"""What is measured of every process: who it is, who is connected, what it holds for them, whom it refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TypeVar

import apsw

from bankrmi import protocol_versions
from bankrmi.metrics.measure import Measure, Reading
from bankrmi.rmi import Daemon
from bankrmi.rmi.refusals import REASONS, refusals
from bankrmi.rmi.seats import KINDS, SeatPlan

__all__ = ["about", "certificate", "of_daemons", "refused"]

Source = TypeVar("Source")

_SEATS = ("unfinished", "callers", "operators", "servers")
_WHOSE = ("callers", "servers")
_DAY_SECONDS = 86_400.0


def about(server: str, service: str) -> Measure[Source]:
    """Return who the process is, and of which version."""
    said = {
        "server": server,
        "service": service,
        "version": metadata.version("bankrmi"),
        "protocol": protocol_versions.in_words(protocol_versions.OLDEST, protocol_versions.NEWEST),
        "sqlite": apsw.sqlite_lib_version(),
    }
    return Measure(
        name="bankrmi_info",
        kind="gauge",
        meaning="Always 1: which server of which service this is, and its versions",
        labels={name: (value,) for name, value in said.items()},
        read=lambda _: {tuple(said.values()): 1},
    )


def refused(read: Callable[[Source], Mapping[str, int]], *more: str) -> Measure[Source]:
    """Return how often callers were refused; `read` tells for `more` reasons than the daemons have."""
    return Measure(
        name="bankrmi_refused_total",
        kind="counter",
        meaning="Handshakes denied, connections cut, and calls that were not taken, by reason",
        labels={"reason": (*REASONS, *more)},
        read=lambda source: (
            {str(reason): count for reason, count in refusals.by_reason.items()} | dict(read(source))
        ),
    )


def certificate(days_left: Callable[[Source], float | None]) -> Measure[Source]:
    """Return for how long the certificate of the process counts yet; nothing where there are none."""

    def left(source: Source) -> float | None:
        days = days_left(source)
        return None if days is None else days * _DAY_SECONDS

    return Measure(
        name="bankrmi_certificate_left_seconds",
        kind="gauge",
        meaning="Time until its certificate ends, or its authority's; negative after it",
        read=left,
    )


def of_daemons(daemons: Callable[[Source], Sequence[Daemon]]) -> tuple[Measure[Source], ...]:
    """Return what is measured of these daemons, all together."""

    def connections(source: Source) -> Reading:
        counts = [daemon.connections_by_kind() for daemon in daemons(source)]
        return {kind: sum(count[kind] for count in counts) for kind in KINDS}

    def seats(source: Source) -> Reading:
        plans = [_seats(daemon.seats) for daemon in daemons(source)]
        return {kind: sum(plan[kind] for plan in plans) for kind in _SEATS}

    def held(source: Source) -> Reading:
        return {
            "callers": sum(daemon.held_bytes for daemon in daemons(source)),
            "servers": sum(daemon.held_for_servers_bytes for daemon in daemons(source)),
        }

    return (
        Measure(
            name="bankrmi_connections",
            kind="gauge",
            meaning="Connections, by who is at the other end",
            labels={"kind": KINDS},
            read=connections,
        ),
        Measure(
            name="bankrmi_connections_limit",
            kind="gauge",
            meaning="How many connections there may be; clients and strangers are callers",
            labels={"kind": _SEATS},
            read=seats,
        ),
        Measure(
            name="bankrmi_held_bytes",
            kind="gauge",
            meaning="Held of messages and answers for connections of callers, and of servers",
            labels={"whose": _WHOSE},
            read=held,
        ),
        Measure(
            name="bankrmi_held_limit_bytes",
            kind="gauge",
            meaning="How much may be held for either, before somebody is cut off",
            read=lambda source: sum(daemon.limits.held_bytes for daemon in daemons(source)) // 2,
        ),
    )


def _seats(plan: SeatPlan) -> dict[str, int]:
    return {
        "unfinished": plan.unfinished,
        "callers": plan.callers,
        "operators": plan.operators,
        "servers": plan.of_each_server * len(plan.servers),
    }
