"""What a run measures, in which order, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bankrmi.bench.rows.all import ROWS
from bankrmi.bench.shapes import SHAPES, Shape, shape_called
from bankrmi.errors import InvalidRequest

__all__ = ["DEFAULT_ROWS", "Plan", "checked_rows"]

DEFAULT_ROWS = (*SHAPES, "failover", "growth", "slow-disk")
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line."""

    rows: tuple[str, ...] = DEFAULT_ROWS
    """Each is a shape, a row of `ROWS`, or a part of one: `crowds:idle`."""
    against: tuple[str, ...] = ()
    rounds: int = 5
    seconds: float = 2.0
    failovers: int = 100
    records: int = 1_000_000
    servers: int = 2

    @property
    def job(self) -> str:
        """What is done, for whoever reads the figures."""
        return (
            "Every system withdraws 1 from a random one of 10 000 accounts, refuses if short, remembers the "
            "request, and answers when it is durable on both copies."
        )

    @property
    def shapes(self) -> list[Shape]:
        """Return the rows that compare systems."""
        return [shape for name in self.rows if (shape := shape_called(name)) is not None]

    @property
    def other_rows(self) -> dict[str, tuple[str, ...]]:
        """Return the rows that look at a bank of ours alone, each with the parts of it to measure."""
        found: dict[str, dict[str, None]] = {}
        for asked in self.rows:
            name, _, part = asked.partition(":")
            if name in ROWS:
                found.setdefault(name, {}).update(dict.fromkeys((part,) if part else ROWS[name].parts))
        return {name: tuple(parts) for name, parts in found.items()}


def checked_rows(names: Iterable[str]) -> tuple[str, ...]:
    """Return the rows of these names, each once; raise InvalidRequest for one that there is not."""
    found: dict[str, None] = {}
    for name in names:
        if name == ALL:
            found |= dict.fromkeys((*SHAPES, *ROWS))
        else:
            if name not in ROWS and shape_called(name) is None:
                _check_part(name)
            found[name] = None
    return tuple(found)


def _check_part(name: str) -> None:
    row, _, part = name.partition(":")
    if row not in ROWS:
        known = ", ".join((*SHAPES, *ROWS))
        raise InvalidRequest(f"there is no row {name!r:.40}: there are {known}, and CLIENTSxOPERATIONS")
    if not ROWS[row].has_part(part):
        parts = ", ".join(ROWS[row].parts) or "none"
        more = ", and CLIENTSxOPERATIONS" if ROWS[row].shapes else ""
        raise InvalidRequest(f"{row} has no part {part!r:.40}: there are {parts}{more}")
