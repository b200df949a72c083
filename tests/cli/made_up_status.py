"""What `overview` says of a bank with one server away, for what only shows it."""

from __future__ import annotations

from typing import Any

__all__ = ["STATUS"]

STATUS: dict[str, Any] = {
    "service": "account",
    "view": {"history": "h1", "epoch": 7, "primary": "s1", "in_sync": ["s1", "s2"]},
    "servers": [
        {
            "server": "s1",
            "reachable": True,
            "role": "primary",
            "pid": 4711,
            "address": "127.0.0.1:9101",
            "epoch": 7,
            "action_id": 12,
            "acknowledged": 11,
            "digest": "d",
            "in_sync": True,
            "lag": 0,
            "read_lease_ms": 812,
            "role_for_ms": 3_725_000,
        },
        {"server": "s2", "reachable": False, "address": "127.0.0.1:9102", "reason": "refused"},
    ],
    "witness": {"reachable": True},
    "nameserver": {"reachable": True},
}
