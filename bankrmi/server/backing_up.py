"""What this server gives to whoever takes a backup of it: a page of accounts, a piece of the journal.

Nothing is kept here between two questions: no snapshot, no copy, no place in a queue. The accounts are given
as they are at the moment of each page, together with the position where the journal stands then; whoever
takes the backup holds every record up to there in the end, and so knows what an account held at any of them:
one that has no record among them has never changed.

Rule 1: a record leaves only when it is known here to be acknowledged, so that what is backed up is never
        rolled back.
Rule 2: a piece follows the position that was asked for, or none is given: a journal that was rolled back, or
        replaced, in between is told.
Rule 3: while a backup goes on the journal is not folded: what was there at its beginning is given.
Rule 4: each answer costs a few milliseconds, however large the bank is; how often it is asked for is the
        operator's rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from bankrmi.bank.accounts import Accounts
from bankrmi.errors import Busy, InvalidRequest, OperationFailed
from bankrmi.replication.fields import Check, number, optional, position
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Position
from bankrmi.rmi import Call
from bankrmi.server.clock import wall_us
from bankrmi.server.exporting import ReplicaHost

__all__ = ["ACCOUNTS", "METHODS", "RECORD_BYTES", "Backups"]

ACCOUNTS = 4_000
"""In a page."""
SESSIONS, SESSION_BYTES = 500, 256 << 10
"""A page of sessions has no further one after so many, or so much."""
GOES_ON_MS = 300_000.0
"""A backup may be so slow: after this without a question, nobody takes one any more."""
RECORD_OPERATIONS, RECORD_BYTES = 1_000, 256 << 10
"""After so many, or so much, a piece of the journal has no further record."""


def _session(value: object) -> str:
    if type(value) is not str or len(value) > 200:
        raise ValueError("is not the name of a session")
    return value


_ARGUMENTS: Mapping[str, Check] = {
    "backup_state": optional(number),
    "backup_accounts": optional(number),
    "backup_records": position,
    "backup_sessions": optional(_session),
}
METHODS = frozenset(_ARGUMENTS)

_pack = msgpack.Packer(autoreset=True).pack


class Backups:
    """Answers those who take backups."""

    def __init__(
        self,
        host: ReplicaHost,
        accounts: Callable[[], Accounts],
        *,
        server: str,
        now_ms: Callable[[], float] = lambda: 0.0,
        wall_us: Callable[[], int] = wall_us,
    ) -> None:
        self._wall_us = wall_us
        self._now_ms = now_ms
        self._asked_ms = float("-inf")
        self._host = host
        self._accounts = accounts
        self._server = server

    def ask(self, call: Call) -> None:
        """Answer one of `METHODS`; raises InvalidRequest, Busy, or OperationFailed if there is nothing."""
        argument = self._argument(call)
        self._asked_ms = self._now_ms()
        match call.method:
            case "backup_state":
                call.answer(self._state(argument))
            case "backup_accounts":
                rows = self._accounts().balances(-1 if argument is None else argument, ACCOUNTS)
                call.answer({"accounts": _pack(rows), **self._where()})
            case "backup_records":
                call.answer({"records": self._records(argument), **self._where()})
            case "backup_sessions":
                rows = self._host.journal.kept_sessions(argument or "", SESSIONS, at_most_bytes=SESSION_BYTES)
                call.answer({"sessions": _pack(rows), **self._where()})

    @property
    def any_goes_on(self) -> bool:
        """Whether a backup is under way, as far as is known."""
        return self._now_ms() - self._asked_ms < GOES_ON_MS

    def _argument(self, call: Call) -> Any:
        if call.kwargs or len(call.args) != 1:
            raise InvalidRequest(f"{call.method} has one argument")
        try:
            return _ARGUMENTS[call.method](call.args[0])
        except ValueError as error:
            raise InvalidRequest(f"the argument of {call.method} {error}") from error

    def _where(self) -> dict[str, Any]:
        """Where this server stands; with every answer, since that moves on.

        `retired_for` is said by who leads, and of whom nothing more is decided by that (V14).
        """
        adopted, leader = self._adopted(), self._host.replica.primary
        return {
            "history": adopted.history,
            "epoch": adopted.epoch,
            "tip": list(self._host.journal.tip),
            "acknowledged": self._host.replica.acknowledged,
            "time_us": self._wall_us(),
            "begins_at": self._host.journal.anchor.action_id,
            "retired_for": None if leader is None else leader.view.retired_for,
        }

    def _adopted(self) -> Adopted:
        adopted = self._host.journal.adopted
        if adopted is None:
            raise OperationFailed(f"{self._server} holds nothing yet: back up another server")
        return adopted

    def _state(self, since: int | None) -> dict[str, Any]:
        """Say what there is to back up after an action id; without one, of all that there is."""
        where, journal = self._where(), self._host.journal
        anchored = journal.anchored
        return {
            "server": self._server,
            "since": list(journal.anchor if since is None else self._ending_at(since)),
            "anchor": None if anchored is None else anchored.packed(),
            "opening": journal.opening,
            "opened_with": journal.opened_with,
            "size_bytes": journal.size_bytes,
            **where,
        }

    def _ending_at(self, action_id: int) -> Position:
        journal, acknowledged = self._host.journal, self._host.replica.acknowledged
        if action_id > acknowledged:
            known = f"{self._server} knows what is acknowledged up to action id {acknowledged}"
            if action_id <= journal.tip.action_id:  # A new epoch has begun, and soon it will be known again.
                raise Busy(f"{known}, and not yet up to {action_id}")
            raise InvalidRequest(f"{known}, and nothing since {action_id}")
        if action_id < journal.anchor.action_id:
            raise InvalidRequest(
                f"{self._server}'s journal begins after action id {journal.anchor.action_id}, the oldest "
                f"that an increment can continue, and {action_id} is older: make a whole backup"
            )
        at = journal.position(action_id)
        if at is None:
            before, holding = journal.before(action_id), journal.holding(action_id)
            ends = " or ".join(str(one.action_id) for one in (before, holding) if one is not None)
            raise InvalidRequest(
                f"action id {action_id} is within a request, and a request is never split: say {ends}"
            )
        return at

    def _records(self, after: Position) -> bytes:
        journal = self._host.journal
        if journal.position(after.action_id) != after:
            raise OperationFailed(
                f"{self._server} holds another history than before at action id {after.action_id}: "
                "back up again"
            )
        records = journal.records(after.action_id, RECORD_OPERATIONS, at_most_bytes=RECORD_BYTES)
        acknowledged = self._host.replica.acknowledged
        content: bytes = _pack([record for record in records if record.action_id <= acknowledged])
        return content
