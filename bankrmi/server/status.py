"""What a server says of itself: plain values for people and for `bankrmi status`.

Rule 1: `why` is a sentence for whoever waits for this server: what it waits for itself, while it is neither
primary nor standby.
Rule 2: `connected` are those that answer: a connection to a machine that is cut off stands for seconds yet.
"""

from __future__ import annotations

import os
from collections.abc import Set
from typing import Any

from bankrmi.config import Configuration
from bankrmi.replication.replica import Replica, Role
from bankrmi.replication.viewing import REMEDY
from bankrmi.server.clock import now_ms

__all__ = ["Fetched", "status_of", "why_not_in_sync"]

_LATELY_MS = 5_000
"""Who needs the witness asks it more often; who was answered by others meanwhile asks no more."""

Fetched = tuple[int, int]
"""Bytes of a copy that are here, and bytes of the whole."""


def status_of(
    replica: Replica, configuration: Configuration, fetched: Fetched | None, silent: Set[str]
) -> dict[str, Any]:
    """Return the status of one server; `fetched` is of the copy that it is fetching, if any.

    `silent` are servers to which there is a connection, and that say nothing on it.
    """
    server = replica.settings.server
    view, primary, tip = replica.view, replica.primary, replica.journal.tip
    adopted = replica.journal.adopted
    acknowledged = primary.ever_acknowledged if primary is not None else replica.standby.acknowledged
    left_ms = primary.lease_left_ms(replica.now) if primary is not None else None
    return {
        "server": server,
        "service": configuration.service,
        "role": replica.role.value,
        "why": why_not_in_sync(replica, fetched),
        "pid": os.getpid(),
        "address": configuration.servers[server],
        "history": view.history if view is not None else None,
        "epoch": adopted.epoch if adopted is not None else 0,
        "action_id": tip.action_id,
        "acknowledged": acknowledged,
        "digest": tip.digest.hex(),
        "in_sync": sorted(view.in_sync) if view is not None else [],
        "lag": max(0, tip.action_id - acknowledged),
        "read_lease_ms": None if left_ms is None else round(max(0.0, left_ms)),
        "role_for_ms": round(now_ms() - replica.role_since_ms),
        "primary": view.primary if view is not None else None,
        "view_epoch": view.epoch if view is not None else 0,
        "copies": len(view.in_sync) if view is not None else 0,
        "acknowledges": None if primary is None else primary.can_acknowledge(replica.now),
        "connected": sorted(replica.links.servers - silent),
        "witness_silent_ms": round(replica.viewing.silence_lately_ms(_LATELY_MS)),
        "start_id": replica.start_id,
        "incarnation": replica.journal.incarnation,
    }


def why_not_in_sync(replica: Replica, fetched: Fetched | None) -> str | None:
    """Return what this server waits for, None if it is primary or standby."""
    match replica.role:
        case Role.STARTING:
            return _why_starting(replica)
        case Role.JOINING:
            return _why_joining(replica, fetched)
        case _:
            return None


def _why_starting(replica: Replica) -> str:
    viewing = replica.viewing
    empty = replica.journal.adopted is None
    if viewing.still:
        return f"the witness has lost its memory: {REMEDY}"
    if viewing.unanswered_ms > 0:
        return "waiting for the witness, which does not answer"
    if replica.won is not None:
        return "leads as soon as the leases that it granted are over"
    if empty and viewing.view is None and replica.first_view.seen_no_view:
        missing = replica.first_view.missing
        if missing:
            return f"a new bank: waiting for {', '.join(missing)} to say that it is empty, too"
        return f"a new bank: waiting for {replica.settings.servers[0]} to make the first view"
    return "asking the witness who leads"


def _why_joining(replica: Replica, fetched: Fetched | None) -> str:
    view, joiner = replica.view, replica.joiner
    if view is None:
        return "asking the witness who leads"
    primary = view.primary
    if primary == replica.settings.server:
        others = ", ".join(sorted(view.in_sync - {primary})) or "nobody else"
        return f"the view names the disk that this server has lost: waiting for {others}"
    if joiner.is_copying:
        if fetched is None:
            return f"waiting for {primary} to make a copy"
        here, whole = fetched
        return f"fetching a copy from {primary}, {100 * here // max(whole, 1)} %"
    if primary not in replica.links:
        return f"no connection to the primary {primary}"
    if joiner.is_admitted:
        return f"catching up with {primary}"
    return f"asking {primary} to be let in"
