"""How often callers were refused, or cut, by the daemons of this process, and why; for whoever watches it.

Rule: the reasons are a closed set: whatever a stranger sends, it counts as one of these.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["REASONS", "Reason", "refusals"]

Reason = Literal[
    "tls",
    "handshake",
    "no_seat",
    "makes_room",
    "certificate",
    "bad_message",
    "slow_message",
    "held_bytes",
    "late",
    "turned_away",
]
"""Why there was no connection: its TLS handshake failed.
Why a handshake was denied: for what it said, or because all connections were in use.
Why a connection was cut: another one needed its place; its certificate counts no more; it sent what is no
message; its message, or the reading of our answer, took too long; too much was held for it.
Why a call was answered unread: it waited too long for its turn; too much was held for all callers."""
REASONS: tuple[Reason, ...] = get_args(Reason)


class _Refusals:
    """Those of one process."""

    def __init__(self) -> None:
        self.by_reason: dict[Reason, int] = dict.fromkeys(REASONS, 0)

    def count(self, reason: Reason) -> None:
        """Count one."""
        self.by_reason[reason] += 1


refusals = _Refusals()
