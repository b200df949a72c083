"""The database to which a bank moves, pretended: a list of records, and the row that says how far it is.

What production's has of steps and refusals (see `engine.moving`), it has: a bank that is arriving is there
for nobody; each step names the try that it belongs to, or changes nothing; what is begun anew is seen by
nobody, and in everybody's way, until that is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bankrmi.errors import OperationFailed
from bankrmi.replication.record import Position, Record

__all__ = ["PretendDatabase", "PretendRow"]


@dataclass(slots=True, kw_only=True)
class PretendRow:
    """A bank that is arriving by this attempt; None: it is open there."""

    attempt: str | None
    history: str
    begins_at: Position
    records: list[Record] = field(default_factory=list)

    @property
    def through(self) -> Position:
        """Up to where it has come."""
        return self.records[-1].position if self.records else self.begins_at


class PretendDatabase:
    """One service's schema."""

    def __init__(self) -> None:
        self.row: PretendRow | None = None
        self._locked_by: str | None = None

    def begin(self, attempt: str) -> bool:
        """Begin to bring a bank anew, in one transaction; return whether it replaces nothing."""
        self._check_free()
        if self.row is not None and self.row.attempt is None:
            raise OperationFailed("there is a bank meanwhile")
        self._locked_by = attempt
        return self.row is None

    def commit(self, row: PretendRow) -> None:
        """What was brought anew is there, in the place of what was."""
        assert row.attempt == self._locked_by
        self.row, self._locked_by = row, None

    def roll_back(self, attempt: str) -> None:
        """Whoever brings a bank anew has ended, if that is this one."""
        if self._locked_by == attempt:
            self._locked_by = None

    def claim(self, attempt: str, before: str) -> None:
        """Go on with what another try has brought."""
        self._row_of(before).attempt = attempt

    def bring_more(self, attempt: str, records: Sequence[Record], *, opens: bool) -> None:
        """Take more; with the last of it the bank is here."""
        row = self._row_of(attempt)
        row.records += records
        if opens:
            row.attempt = None

    def drop(self, attempt: str) -> None:
        """Take away what is arriving."""
        self._row_of(attempt)
        self.row = None

    def drop_schema(self) -> None:
        """Take away all that there is, by an operator's word."""
        self.row = self._locked_by = None

    def _row_of(self, attempt: str) -> PretendRow:
        self._check_free()
        if self.row is None or self.row.attempt != attempt:
            raise OperationFailed("another one works on the bank: only one can")
        return self.row

    def _check_free(self) -> None:
        if self._locked_by is not None:
            raise OperationFailed("somebody brings the bank anew just now")
