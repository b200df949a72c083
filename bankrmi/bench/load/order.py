"""What a load process is told, and what it answers; each is one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bankrmi.bench.shapes import Shape

__all__ = ["ACCOUNTS", "BEGUN", "OPENING", "LoadOrder", "LoadResult"]

ACCOUNTS = 10_000
OPENING = 1_000_000_000
"""What is on each account at first: enough for whoever measures for a day."""

BEGUN = "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """Whom to call how, and for how long."""

    kind: str
    """The client, as `clients` names it."""
    where: Mapping[str, str]
    """What that client has to know of the system."""
    shape: Shape
    seconds: float
    accounts: int = ACCOUNTS

    def to_line(self) -> bytes:
        """Return it as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> LoadOrder:
        """Read a line that `to_line` wrote."""
        fields = json.loads(line)
        return cls(**fields | {"shape": Shape(**fields["shape"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load process found."""

    operations: int
    seconds: float
    median_us: float
    p99_us: float
    cpu_seconds: float | None
    """What it took itself; None if that is somebody else's, and counted there."""
    peak_kb: int = 0
    notes: Mapping[str, float] | None = None

    def to_line(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str | bytes) -> LoadResult:
        """Read a line that `to_line` wrote."""
        return cls(**json.loads(line))
