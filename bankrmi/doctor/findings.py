"""What a finding is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["DoctorFinding", "Weight", "note", "to_do"]


class Weight(StrEnum):
    """How much it matters."""

    TO_DO = "to do"
    """Something should be done."""
    NOTE = "note"
    """Good to know; nothing has to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """One sentence about one thing, and what to do about it."""

    kind: str
    """For programs: what was looked at, like `disk-space`."""
    weight: Weight
    about: str
    """A process, a machine, or `configuration`."""
    says: str
    remedy: str

    def form(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self) | {"weight": self.weight.value}


def to_do(kind: str, about: str, says: str, remedy: str) -> DoctorFinding:
    """Return a finding about which something should be done."""
    return DoctorFinding(kind=kind, weight=Weight.TO_DO, about=about, says=says, remedy=remedy)


def note(kind: str, about: str, says: str, remedy: str) -> DoctorFinding:
    """Return a finding that is good to know."""
    return DoctorFinding(kind=kind, weight=Weight.NOTE, about=about, says=says, remedy=remedy)
