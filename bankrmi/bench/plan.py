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
    against: tuple[str, ...] = ()
    rounds: int = 5
    seconds: float = 2.0
    failovers: int = 20

    @property
    def shapes(self) -> list[Shape]:
        """Return the rows that compare systems."""
        return [shape for name in self.rows if (shape := shape_called(name)) is not None]

    @property
    def other_rows(self) -> list[str]:
        """Return the rows that look at a bank of ours alone, each in its own way."""
        return [name for name in self.rows if name in ROWS]


def checked_rows(names: Iterable[str]) -> tuple[str, ...]:
    """Return the rows of these names, each once; raise InvalidRequest for one that there is not."""
    found: dict[str, None] = {}
    for name in names:
        if name == ALL:
            found |= dict.fromkeys((*SHAPES, *ROWS))
        elif name in ROWS or shape_called(name) is not None:
            found[name] = None
        else:
            known = ", ".join((*SHAPES, *ROWS))
            raise InvalidRequest(f"there is no row {name!r:.40}: there are {known}, and CLIENTSxOPERATIONS")
    return tuple(found)
