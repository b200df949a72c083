"""The list of certificates, as a person reads it and as a program does.

Rule: what is wrong with a file is a sentence, and stands below the table: it would tear the columns apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bankrmi.certificates.known import Listed

__all__ = ["shown_as_json", "shown_as_table"]

_HEADING = ("role", "name", "until", "days", "state", "key", "addresses", "serial")
_WORD_AT_MOST = 30


def shown_as_table(rows: Sequence[Listed]) -> list[str]:
    """Return the lines of the table, and below it what is wrong."""
    cells = [_HEADING, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADING))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return [*(line.rstrip() for line in lines), *_sentences(rows)]


def shown_as_json(folder: Path, rows: Iterable[Listed]) -> dict[str, Any]:
    """Return the same for a program; times in ISO 8601, UTC."""
    return {
        "folder": str(folder),
        "certificates": [
            {
                "role": row.role,
                "name": row.name,
                "state": row.state,
                "serial": row.serial,
                "not_before": row.begins and row.begins.isoformat(),
                "not_after": row.ends and row.ends.isoformat(),
                "days_left": row.days_left,
                "addresses": list(row.addresses),
                "key": row.key or None,
            }
            for row in rows
        ],
    }


def _cells(row: Listed) -> tuple[str, ...]:
    return (
        row.role,
        row.name,
        f"{row.ends:%Y-%m-%d}" if row.ends else "-",
        "-" if row.days_left is None else str(row.days_left),
        _word(row.state, "broken"),
        _word(row.key or "-", "wrong"),
        ",".join(row.addresses) or "-",
        row.serial or "-",
    )


def _word(said: str, instead: str) -> str:
    return said if len(said) <= _WORD_AT_MOST else instead


def _sentences(rows: Iterable[Listed]) -> list[str]:
    return [said for row in rows for said in (row.state, row.key) if said != _word(said, "")]
