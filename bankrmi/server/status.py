"""What a server says of itself: plain values for people and for `bankrmi status`."""

from __future__ import annotations

import os
from typing import Any

from bankrmi.config import Configuration
from bankrmi.replication.replica import Replica
from bankrmi.server.clock import now_ms

__all__ = ["status_of"]


def status_of(replica: Replica, configuration: Configuration) -> dict[str, Any]:
    """Return the status of one server."""
    server = replica.settings.server
    view, primary, tip = replica.view, replica.primary, replica.journal.tip
    adopted = replica.journal.adopted
    acknowledged = primary.ever_acknowledged if primary is not None else replica.standby.acknowledged
    left_ms = primary.reads.lease_left_ms() if primary is not None else None
    return {
        "server": server,
        "service": configuration.service,
        "role": replica.role.value,
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
        "copies": len(view.in_sync) if view is not None else 0,
        "start_id": replica.start_id,
        "incarnation": replica.journal.incarnation,
    }
