"""What a server shows of itself, to people and to whoever watches it: values, and nothing to change."""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.replication.record import Position
from bankrmi.replication.roles import Role
from bankrmi.replication.view import View

__all__ = ["Condition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One server at the end of its newest step.

    `epoch` is the adopted one, None while this copy is empty; `still`, it answers nobody because the witness
    has lost its memory (V9); `has_won`, it leads as soon as the leases that it granted are over (R3).
    `missing` are those whose word the first view waits for, None where no first view is to be made.
    `read_lease_ms` and `acknowledges` are a primary's: for how long it may still read by itself, and whether
    what is asked for now is likely to be acknowledged before the view changes.
    The witness was asked `witness_asked_ms_ago`, and has answered nothing for `witness_silent_ms`.
    """

    server: str
    servers: tuple[str, ...]
    start_id: str
    incarnation: str
    role: Role
    role_since_ms: float
    view: View | None
    epoch: int | None
    tip: Position
    acknowledged: int
    read_lease_ms: float | None
    acknowledges: bool | None
    connected: frozenset[str]
    witness_asked_ms_ago: float
    witness_silent_ms: float
    still: bool
    has_won: bool
    missing: tuple[str, ...] | None
    is_copying: bool
    is_admitted: bool
