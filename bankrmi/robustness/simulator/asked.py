"""What simulated callers ask: one call, as its history keeps it, and as it reaches a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bankrmi.errors import BankError
from bankrmi.replication.effects import Reply
from bankrmi.replication.events import OutcomeAsked, ReadArrived, RequestArrived

__all__ = ["Asking", "SimulatedCall"]

Asking = RequestArrived | OutcomeAsked | ReadArrived
"""What a caller may want; its token is the attempt that wants it."""


@dataclass(slots=True)
class SimulatedCall:
    """One call of a client, from invocation to completion."""

    client: str
    invoked_ms: float
    floor: int  # The highest action id that any client had been told when this call was invoked.
    seen: int  # The highest that this client had been told.
    request: tuple[str, int] | None
    operations: Sequence[Any] = ()
    query: Any = None
    reply: Reply = None
    error: BankError | None = None
    completed_ms: float | None = None
