"""What came of looking at one database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DatabaseVerdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseVerdict:
    """`holds` says in words what is in it, `faults` what is wrong; the witness's has no journal."""

    path: Path
    holds: str
    faults: tuple[str, ...]
    has_journal: bool = True

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.faults
