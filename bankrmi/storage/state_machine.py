"""What is replicated is anything that can do this.  `bank.accounts` is one; the tests have another.

Rule 1: `apply` is deterministic: the same operations in the same order give the same results everywhere.
Rule 2: it writes only through the given database, so that it commits and rolls back with the journal.
        What it keeps in memory, it writes in `flush` and drops in `forget`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import apsw

from bankrmi.replication.entry import Scalar

__all__ = ["StateMachine"]


class StateMachine(Protocol):
    """State that is the sum of the journal."""

    def attach(self, database: apsw.Connection) -> None:
        """Use this database from now on; make the tables if there are none."""

    def open(self) -> bytes:
        """Write the opening state; return bytes that identify it."""

    def apply(self, operation: bytes) -> tuple[str, Scalar]:
        """Do it, or decline: return status and result.  A declined operation changes nothing."""

    def undo(self, operation: bytes, status: str, result: Scalar) -> None:
        """Undo the newest operation not yet undone."""

    def read(self, query: Any) -> Any:
        """Answer a question; changes nothing."""

    def flush(self) -> None:
        """Write what is only in memory: a commit follows."""

    def forget(self) -> None:
        """Drop what is only in memory: the transaction was rolled back."""

    def describe(self, operation: bytes) -> dict[str, Any]:
        """Return the operation in words, for people."""

    def export(self) -> Iterable[tuple[Any, ...]]:
        """Return the whole state, in a fixed order."""
