"""What was decided of one request, as answers are made of it; where action ids count for each account."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EngineRecord"]


class EngineRecord(NamedTuple):
    """One decided request (see `replication.record.Record`, whose places answers read).

    `operations` and `outcomes` are packed; a cancelled request has neither. `action_ids` has one for each
    operation: which operation of its account it is. 0 where there is no such account.
    """

    operations: bytes
    outcomes: bytes
    action_ids: tuple[int, ...]

    @property
    def by_account(self) -> bool:
        """Whether action ids count for each account."""
        return True

    @property
    def operation_count(self) -> int:
        """How many operations there are; a cancelled request counts as one."""
        return len(self.action_ids) or 1

    @property
    def first_id(self) -> int:
        """The action id of the first operation."""
        return self.action_ids[0] if self.action_ids else 0

    @property
    def action_id(self) -> int:
        """The action id of the last operation."""
        return self.action_ids[-1] if self.action_ids else 0

    @property
    def cancelled(self) -> bool:
        """Whether the request never happens (O4)."""
        return not self.operations
