"""What is replicated is anything that can do this.  `bank.accounts` is one; the tests have another.

Rule 1: `apply` is deterministic: the same operations in the same order give the same results everywhere.
Rule 2: it keeps what changes in memory, and writes it in `flush` only, through the given database: what is on
        the disk is the state after one record, and the journal knows which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import apsw

from bankrmi.replication.code_versions import DoneMigration, StateVersion

__all__ = ["SUM_MODULUS", "Moment", "StateMachine"]

SUM_MODULUS = (1 << 127) - 1
"""A prime: sums of states are kept modulo this."""

Moment = tuple[int, tuple[str, int]]
"""Of a record: when it was decided, in microseconds by its primary's wall clock; and its request id."""


class StateMachine(Protocol):
    """State that is the sum of the journal."""

    own_transactions: bool
    """Whether what was decided before is to be written before a request is decided: `apply` may lose the
    transaction that is open, with all that is in it, and then begins another one.
    """

    needs_protocol: int
    """The oldest version of the protocol that knows all operations that were applied since `attach` or
    `forget`: who speaks less must never be given them.
    """

    @property
    def version(self) -> StateVersion:
        """Of the state: one and the same where nothing ever migrates it."""

    @property
    def goes_back_to(self) -> int:
        """The oldest action id that `undo` can lead back to; 0 where it takes back all that there is."""

    def version_at(self, action_id: int) -> StateVersion:
        """Return the version of the state at an action id that it has had."""

    def migrations_since(self, action_id: int) -> Sequence[DoneMigration]:
        """Return the migrations that were done after an action id, in their order."""

    def attach(self, database: apsw.Connection) -> None:
        """Use this database from now on; make the tables if there are none."""

    def open(self) -> bytes:
        """Write the opening state; return bytes that identify it."""

    def check(self, content: bytes) -> None:
        """Raise ValueError or TypeError if this, which came from another server, is not packed operations.

        What it takes can be unpacked.
        """

    def protocol_of(self, content: bytes) -> int:
        """Return the oldest version of the protocol that knows these packed operations, which are sound."""

    def apply(
        self, operations: Sequence[Any], action_id: int, moment: Moment, told: bytes | None = None
    ) -> list[Any]:
        """Do them, one after the other, or decline; return what came of each.

        That is the result of one that was done, and (status, result) of one that was declined, which changes
        nothing. `action_id` is that of the last one. `told` is what came of them where they were decided,
        packed; None if that is here.
        """

    def undo(self, operations: Sequence[Any], outcomes: Sequence[Any], action_id: int) -> None:
        """Undo the newest operations not yet undone, which `apply` took together.

        What is left is the state at `action_id`.
        """

    def read(self, query: Any) -> Any:
        """Answer a question; changes nothing."""

    def changed_at(self, query: Any) -> int | None:
        """Return the action id since which the answer to a question is what it is; a later one does no harm.

        None if that was before the last `flush` but one, or before `attach` or `forget`.
        """

    def flush(self) -> None:
        """Write what is only in memory."""

    def forget(self) -> None:
        """Drop what is only in memory: it will be applied again."""

    def describe(self, operation: Any) -> dict[str, Any]:
        """Return the operation in words, for people."""

    def shown(self, result: Any) -> Any:
        """Return what came of an operation as people can read it."""

    def sum(self) -> int:
        """Return a sum over the whole state; another state has another one modulo `SUM_MODULUS`."""

    def share(self, operations: Sequence[Any], outcomes: Sequence[Any]) -> int:
        """Return by how much these operations, which came to these outcomes, have changed the sum."""

    def export(self) -> Iterable[tuple[Any, ...]]:
        """Return the whole state, in a fixed order; changes nothing."""
