"""What is older than is asked for is forgotten: entries, what came of requests, and sessions that are over.

Any server does a little of it now and then, each for itself; that two do the same does no harm.

    older than `keep_days`       entries go; so do requests, but for the newest of each session
    and than `session_days`      of that one what came of it goes; all of it once its session is over

Rule 1: nothing is done twice (O5): of a session the oldest requests go first, and the newest is there until
        the horizon has passed the session's beginning. The horizon is committed before anything rests on it.
        Times do not say who is older: the clock is another one after each takeover.
Rule 2: a step is one short transaction, over so many rows; it goes through the table and begins again.
Rule 3: the database's clock decides alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from bankrmi.bank.forms import accounts_of
from bankrmi.engine.tables import COMMIT, Statements
from bankrmi.replication.record import unpacked
from bankrmi.replication.sessions import began_ms, last_that_began

__all__ = ["Sweep"]

_ROWS = 500
"""Of requests, that one step looks at."""
_HORIZON_STEPS = 16
"""The horizon moves on so often in the time for which sessions are remembered."""
_DAY_MS = 86_400_000


class _Row(NamedTuple):
    session: str
    sequence: int
    operations: bytes | None
    action_ids: Sequence[int]
    payee_ids: Sequence[int]
    age_ms: int
    is_newest: bool


class Sweep:
    """Where one server is in that."""

    def __init__(self, *, keep_days: float, session_days: float) -> None:
        """0 days: for good."""
        self._keep_ms = round(keep_days * _DAY_MS)
        self._session_ms = round(session_days * _DAY_MS)
        self._reached = ("", 0)
        self._young = ""
        """Where there was reached a request that stays: the rest of its session stays, too."""

    @property
    def forgets(self) -> bool:
        """Whether anything is forgotten some day."""
        return self._keep_ms > 0

    async def step(self, connection: psycopg.AsyncConnection[Any], statements: Statements) -> bool:
        """Forget some; return whether there may be more of that right behind it."""
        horizon_ms = await self._moved_horizon(connection, statements)
        found = await connection.execute(statements.some_requests, (*self._reached, _ROWS))
        rows = [_Row._make(row) for row in await found.fetchall()]
        old, young = self._old_of(rows)
        if old:
            await self._forget(connection, statements, old, horizon_ms)
        there_may_be_more = len(rows) == _ROWS
        self._reached = (rows[-1].session, rows[-1].sequence) if there_may_be_more else ("", 0)
        self._young = young if there_may_be_more else ""
        return there_may_be_more

    def _old_of(self, rows: Sequence[_Row]) -> tuple[list[_Row], str]:
        """Return those that are old, of each session up to the first that is not; and whose was the last."""
        old, young = [], self._young
        for row in rows:
            if row.session != young and row.age_ms >= self._keep_ms:
                old.append(row)
            else:
                young = row.session
        return old, young

    async def _moved_horizon(self, connection: psycopg.AsyncConnection[Any], statements: Statements) -> int:
        """Return up to when sessions that began are over, as it is committed."""
        found = await connection.execute(statements.sessions_began)
        row = await found.fetchone()
        if row is None or not self._session_ms:
            return 0
        horizon_ms, now_ms = int(row[0]), int(row[1])
        by_ms = now_ms - max(self._session_ms, self._keep_ms)
        if by_ms <= horizon_ms + self._session_ms // _HORIZON_STEPS:
            return horizon_ms
        found = await connection.execute(statements.newest_began, (last_that_began(by_ms),))
        began = [one for (session,) in await found.fetchall() if (one := began_ms(session)) is not None]
        wanted_ms = max(began, default=horizon_ms)
        if wanted_ms <= horizon_ms:
            return horizon_ms
        await connection.execute(statements.set_horizon, (wanted_ms, wanted_ms))
        return wanted_ms

    async def _forget(
        self,
        connection: psycopg.AsyncConnection[Any],
        statements: Statements,
        old: Sequence[_Row],
        horizon_ms: int,
    ) -> None:
        entries = [entry for row in old for entry in _entries_of(row)]
        gone, emptied = [], []
        for row in old:
            began = began_ms(row.session)
            is_beyond = bool(self._session_ms) and row.age_ms >= max(self._keep_ms, self._session_ms)
            if not row.is_newest or (is_beyond and began is not None and began <= horizon_ms):
                gone.append((row.session, row.sequence))
            elif is_beyond and row.operations is not None:
                emptied.append((row.session, row.sequence))
        async with connection.pipeline():
            await connection.execute("BEGIN")
            if entries:
                await connection.execute(statements.will_be_swept)
                await connection.execute(statements.forget_entries, _columns(entries))
            if emptied:
                await connection.execute(statements.forget_outcomes, _columns(emptied))
            if gone:
                await connection.execute(statements.forget_requests, _columns(gone))
            await connection.execute(COMMIT)


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def _entries_of(row: _Row) -> list[tuple[int, int]]:
    """Return account and action id of each operation of a request, as `entry` has them."""
    entries: list[tuple[int, int]] = []
    payee_ids = iter(row.payee_ids)
    for form, action_id in zip(unpacked(row.operations or b""), row.action_ids, strict=False):
        at = [action_id, *_payee_ids_of(form, payee_ids)]
        entries += [(account, one) for account, one in zip(accounts_of(form), at, strict=True) if one]
    return entries


def _payee_ids_of(form: Any, payee_ids: Any) -> list[int]:
    """Take the next payee's action id, if this is a transfer."""
    return [next(payee_ids) for _ in accounts_of(form)[1:]]
