"""The database: each group one transaction, repeated until it is known what came of it.

Rule 1: what can be repeated is repeated here, with pauses that grow: a failure to serialize, a deadlock, a
        request that somebody else has just recorded, a connection that broke. Nobody is told of it.
Rule 2: whether a transaction whose connection broke was committed, the next one finds out: it reads the
        requests before it decides them, and waits for locks that the broken one may still hold.
Rule 3: a try has so many seconds. Then the connection is hung up, as if its cable was cut; nothing is
        cancelled. A PostgreSQL that is asked to cancel a commit which waits for its synchronous standby calls
        it done, though it is on one disk only (PostgreSQL 15, `SyncRepWaitForLSN`), and psycopg asks for that
        whenever a task is cancelled.
Rule 4: after a crash PostgreSQL shows what is on its own disk, whether its standby has it or not. So a new
        connection begins with a commit of its own, which waits for all that was written before it.
Rule 5: nothing is shown that was only seen: a commit comes after the look, and the answer after that. To a
        primary that was replaced, and does not know it yet, its standby acknowledges nothing.
Rule 6: a commit that PostgreSQL was told to wait for no longer is not acknowledged: another one comes after
        it, on another connection.
Rule 7: whoever waits for a bank that is on its way there opens none in its place; and whoever serves one
        serves no other that is found there later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import errors
from psycopg.pq import TransactionStatus

from bankrmi.bank.accounts import fingerprint
from bankrmi.bank.statements import StatementPage
from bankrmi.database_url import database_in_words
from bankrmi.engine.deciding import (
    BANK_COLUMNS,
    AccountState,
    BankState,
    Decisions,
    Known,
    WantedRequest,
    decide,
)
from bankrmi.engine.deciding import accounts_of as accounts_of_group
from bankrmi.engine.records import EngineRecord
from bankrmi.engine.settings import SETTINGS, first_line, gave_up_waiting, lets_nobody_in, not_a_url
from bankrmi.engine.statements import read_statement
from bankrmi.engine.sweeping import Sweep
from bankrmi.engine.tables import BEGIN, COMMIT, ROLLBACK, Statements
from bankrmi.errors import ConfigurationError, OperationFailed

__all__ = ["EngineDatabase"]

log = structlog.get_logger("bankrmi.engine")
logging.getLogger("psycopg").setLevel(logging.ERROR)  # What it warns of is repeated here, and said once.

_AT_ONCE_AGAIN = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.LockNotAvailable,
    errors.DuplicateSchema,
    errors.DuplicateTable,
    errors.DuplicateObject,
    errors.InternalError_,  # "tuple concurrently updated": two make the same tables.
)
"""The database is well: another transaction was there first."""
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,  # It is a standby by now: another connection leads to who is not.
    errors.IdleInTransactionSessionTimeout,  # We were stopped in the middle, as a machine that is moved is.
    errors.TransactionTimeout,
    TimeoutError,
    OSError,
)
_STANDBY = (errors.ReadOnlySqlTransaction, errors.FeatureNotSupported)
"""What one answers that a connection leads to (behind a pooler, it may have led to a primary before): nothing
is written there, and no transaction is serializable."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.5
_HUNG_UP_S = 1.0
"""Within this, a task notices that its connection is gone."""

_ACCOUNTS_A_SECOND = 1_000
"""So many at least are written when a bank is opened: its ledger may be long."""

_WAITS_S = 0.2
"""Between two looks whether a bank that is on its way here has come."""

Connection = psycopg.AsyncConnection[Any]
Done = TypeVar("Done")
Seen = TypeVar("Seen", bound=tuple[Any, ...])


class _OnItsWay(Exception):
    """The bank is being brought here, and is not here yet."""


class EngineDatabase:
    """What one server asks of the database of its service."""

    def __init__(self, url: str, service: str, *, try_s: float) -> None:
        """A try takes `try_s` seconds at most. There are as many connections as calls at a time."""
        self._url = url
        self._in_words = database_in_words(url)
        self._statements = Statements(service)
        self._try_s = try_s
        self._idle: list[Connection] = []
        self._cut_short: set[Connection] = set()
        """Those on which a commit was waited for no longer (rule 6)."""
        self._awaits_bank = False
        self.history = ""
        """Drawn when the bank was opened; empty before `open`."""
        self.why_away = ""
        """Why the last try came to nothing; empty while the database answers."""
        self.repetitions = {"conflict": 0, "away": 0}
        """How often a transaction was begun again: somebody else was there first; the database was away."""

    async def open(self, ledger: Mapping[int, int]) -> None:
        """Make the tables, and open the bank with the ledger, unless that was done before.

        Waits for the database, and for a bank that is on its way there. Raises ConfigurationError if it does
        not let us in.
        """
        opened = await self._again_and_again(
            lambda connection: self._open(connection, ledger),
            lambda: True,
            try_s=self._try_s + len(ledger) / _ACCOUNTS_A_SECOND,
        )
        assert opened is not None
        self.history = opened
        await self._again_and_again(self._touch, lambda: True)

    async def close(self) -> None:
        """Hang up."""
        while self._idle:
            await self._idle.pop().close()

    async def decide(
        self, group: Sequence[WantedRequest], still_wanted: Callable[[], bool]
    ) -> Decisions | BankState | None:
        """Return what came of each request, once it is durable; None if nobody waits any more.

        Of a bank that has left, its state: it says where to.
        """
        return await self._again_and_again(lambda connection: self._decide(connection, group), still_wanted)

    async def balances(
        self, accounts: Sequence[int], still_wanted: Callable[[], bool]
    ) -> tuple[BankState, Mapping[int, AccountState]] | None:
        """Return the bank, and the accounts that there are now; None if nobody waits any more."""
        return await self._again_and_again(
            lambda connection: self._confirmed(connection, self._read(connection, accounts)), still_wanted
        )

    async def total(self, still_wanted: Callable[[], bool]) -> tuple[BankState, int] | None:
        """Return the bank, and what all accounts hold together now; None if nobody waits any more."""
        return await self._again_and_again(
            lambda connection: self._confirmed(connection, self._sum(connection)), still_wanted
        )

    async def statement(
        self, account: int, since: int, limit: int, still_wanted: Callable[[], bool]
    ) -> tuple[BankState, int, StatementPage] | None:
        """Return the bank, the account's newest action id, and some of its entries above `since`."""
        return await self._again_and_again(
            lambda connection: self._confirmed(
                connection, read_statement(connection, self._statements, account, since, limit)
            ),
            still_wanted,
        )

    async def sweep(self, sweep: Sweep) -> bool:
        """Forget some of what is older than is asked for; return whether there may be more at once."""
        swept = await self._again_and_again(lambda one: sweep.step(one, self._statements), lambda: True)
        assert swept is not None
        return swept

    # -- one try ---------------------------------------------------------------------------------

    async def _open(self, connection: Connection, ledger: Mapping[int, int]) -> str:
        statements = self._statements
        with suppress(errors.UndefinedTable):  # Whoever may use the tables need not be allowed to make them.
            found = await connection.execute(statements.history)
            row = await found.fetchone()
            if row is not None:
                self._awaits_bank = row[1] is not None
                if self._awaits_bank:
                    raise _OnItsWay
                if row[2] is None and row[3] != fingerprint(ledger):
                    self._warn_of_ledger()
                return str(row[0])
        if self._awaits_bank:
            raise ConfigurationError(
                f"the bank that was on its way to {self._in_words} was taken back: none is opened with the "
                "ledger in its place. Start this server again if that is what you want"
            )
        for statement in statements.make:
            await connection.execute(statement)
        await connection.execute(BEGIN)
        opened = await connection.execute(statements.open, (secrets.token_hex(8), fingerprint(ledger)))
        row = await opened.fetchone()
        if row is None:
            await connection.execute(ROLLBACK)
            raise errors.UniqueViolation  # Somebody else has just opened it, or brings one here: look again.
        async with connection.cursor() as cursor, cursor.copy(statements.accounts_in) as copy:
            for account, balance in sorted(ledger.items()):
                await copy.write_row((account, balance, 0))
        await connection.execute(COMMIT)
        return str(row[0])

    async def _decide(self, connection: Connection, group: Sequence[WantedRequest]) -> Decisions | BankState:
        statements = self._statements
        sessions = [wanted.request[0] for wanted in group]
        sequences = [wanted.request[1] for wanted in group]
        async with connection.pipeline():
            await connection.execute(BEGIN)
            bank = await connection.execute(statements.bank)
            found = await connection.execute(statements.recorded, (sessions, sequences))
            spans = await connection.execute(statements.spans, ([*dict.fromkeys(sessions)],))
            locked = await connection.execute(statements.locked, (accounts_of_group(group),))
            state = self._here(_state_in(await bank.fetchone()))
            recorded = {(row[0], row[1]): _record_in(row) for row in await found.fetchall()}
            known = Known(
                recorded,
                {row[0]: AccountState(row[1], row[2]) for row in await locked.fetchall()},
                {row[0]: (row[1], row[2]) for row in await spans.fetchall() if row[1] is not None},
                state,
            )
        if state.retired_for is not None:
            await connection.execute(COMMIT)
            return state
        decisions = decide(group, known)
        async with connection.pipeline():
            if decisions.new:
                await self._write(connection, decisions)
            elif decisions.refused:
                await connection.execute(statements.confirm)
            await connection.execute(COMMIT)
        return decisions

    async def _write(self, connection: Connection, decisions: Decisions) -> None:
        statements = self._statements
        if decisions.changed:
            ids = [*decisions.changed]
            states = [*decisions.changed.values()]
            columns = (ids, [state.balance for state in states], [state.action_id for state in states])
            await connection.execute(statements.change, columns)
            await connection.execute(statements.note, tuple(map(list, zip(*decisions.entries, strict=True))))
        async with connection.cursor() as cursor:
            rows = []
            for request in decisions.new:
                record = decisions.records[request]
                ids = list(record.action_ids)
                told = (record.operations, record.outcomes, ids, decisions.payee_ids[request])
                rows.append((*request, *told))
            await cursor.executemany(statements.record, rows)

    async def _read(
        self, connection: Connection, accounts: Sequence[int]
    ) -> tuple[BankState, Mapping[int, AccountState]]:
        found = await connection.execute(self._statements.balances, (list(accounts),))
        rows = await found.fetchall()
        state = _state_in(rows[0] if rows else None)
        accounts_found = [row[BANK_COLUMNS:] for row in rows]
        there = {
            account: AccountState(balance, action_id).above(state.base)
            for account, balance, action_id in accounts_found
            if account is not None
        }
        return state, there

    async def _sum(self, connection: Connection) -> tuple[BankState, int]:
        found = await connection.execute(self._statements.total)
        row = await found.fetchone()
        state = _state_in(row)
        assert row is not None
        return state, int(row[BANK_COLUMNS])

    async def _confirmed(self, connection: Connection, look: Coroutine[Any, Any, Seen]) -> Seen:
        """Return what was seen of this bank, once a commit that came after it is acknowledged (rule 5)."""
        found = await look
        self._here(found[0])
        await connection.execute(self._statements.confirm)
        return found

    def _here(self, bank: BankState) -> BankState:
        """Return the bank if it is the one that is served, and is not on its way there (rule 7)."""
        if bank.history != self.history:
            raise OperationFailed(
                f"another bank is in {self._in_words} now (history {bank.history}, and not {self.history}): "
                "start this server again if that one is to be served"
            )
        if bank.arriving is not None:
            raise _OnItsWay
        return bank

    def _warn_of_ledger(self) -> None:
        log.warning(
            "the bank in the database was opened with another ledger; that changes nothing",
            database=self._in_words,
            remedy="use deposits and withdrawals; another bank takes a service name or a database of its own",
        )

    # -- again -----------------------------------------------------------------------------------

    async def _again_and_again(
        self,
        attempt: Callable[[Connection], Coroutine[Any, Any, Done]],
        still_wanted: Callable[[], bool],
        *,
        try_s: float | None = None,
    ) -> Done | None:
        """Return what an attempt returns, sooner or later; None if nobody wants it any more.

        `try_s`: how long one may take, if that is not what every other may.
        """
        pause_s = _FIRST_PAUSE_S
        while still_wanted():
            try:
                connection = self._idle.pop() if self._idle else await self._connected()
                try:
                    done = await self._in_time(connection, attempt(connection), try_s or self._try_s)
                except _STANDBY:
                    await connection.close()
                    raise
                finally:
                    if not connection.closed:
                        self._idle.append(connection)
                self._is_back()
                return done
            except _OnItsWay:
                self._is_away(
                    OperationFailed("the bank is on its way there: `bankrmi migrate` has not ended")
                )
                await asyncio.sleep(_WAITS_S)
            except _AT_ONCE_AGAIN:
                self.repetitions["conflict"] += 1
                pause_s = min(pause_s, 8 * _FIRST_PAUSE_S)
            except _AWAY as error:
                self._is_away(error)
            except errors.FeatureNotSupported as error:
                if not self.history:
                    raise OperationFailed(
                        f"the database {self._in_words} does not know what is needed: {first_line(error)}"
                    ) from None
                self._is_away(error)  # It did before.
            except errors.InsufficientPrivilege as error:
                raise ConfigurationError(
                    f"the database {self._in_words} does not allow what has to be done there: "
                    f"{first_line(error)}"
                ) from None
            except psycopg.Error as error:
                raise OperationFailed(
                    f"the database {self._in_words} did what cannot be gone on from: {first_line(error)}"
                ) from error
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # So that two do not meet again and again.
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return None

    async def _connected(self) -> Connection:
        try:
            new = await psycopg.AsyncConnection.connect(self._url, **SETTINGS)
        except psycopg.ProgrammingError:
            raise ConfigurationError(not_a_url(self._in_words)) from None
        except psycopg.OperationalError as error:
            why = lets_nobody_in(error)
            if why is not None and not self.history:  # Later on it may pass.
                raise ConfigurationError(f"the database {self._in_words} does not let us in: {why}") from None
            raise
        new.add_notice_handler(lambda notice: self._noticed(new, notice))
        if self.history:
            try:
                await self._in_time(new, self._touch(new), self._try_s)
            except BaseException:
                await new.close()
                raise
        return new

    def _noticed(self, connection: Connection, notice: errors.Diagnostic) -> None:
        if gave_up_waiting(notice):
            self._cut_short.add(connection)

    async def _touch(self, connection: Connection) -> None:
        """Commit something: what is seen from now on is durable wherever it has to be (rule 4)."""
        await connection.execute(self._statements.touch)

    async def _in_time(
        self, connection: Connection, attempt: Coroutine[Any, Any, Done], seconds: float
    ) -> Done:
        """Return what it returns; hang up if that takes too long, or if we are to end (rule 3)."""
        trying = asyncio.ensure_future(attempt)
        try:
            await asyncio.wait({trying}, timeout=seconds)
        finally:
            if not trying.done():
                _hang_up(connection)
                await asyncio.wait({trying}, timeout=_HUNG_UP_S)
            if not trying.done() or (trying.exception() is not None and not await _rolled_back(connection)):
                await connection.close()
        if connection in self._cut_short:
            self._cut_short.remove(connection)
            await connection.close()
            raise TimeoutError("it was told to wait for its standby no longer")
        if not trying.done():
            raise TimeoutError("it does not answer")
        return trying.result()

    def _is_away(self, error: Exception) -> None:
        why = first_line(error)
        self.repetitions["away"] += 1
        if not self.why_away:
            log.warning("the database does not answer", database=self._in_words, why=why)
        self.why_away = why

    def _is_back(self) -> None:
        if self.why_away:
            self.why_away = ""
            log.info("the database answers again", database=self._in_words)


def _state_in(row: Sequence[Any] | None) -> BankState:
    """Return what a row says of the bank; without one, it was taken away, and no try finds it again."""
    if row is None:
        raise OperationFailed(
            "there is no bank in the database any more: its one row in the table `bank` is gone"
        )
    return BankState._make(row[:BANK_COLUMNS])


def _record_in(row: Sequence[Any]) -> EngineRecord | None:
    """Return a recorded request; None if what came of it is forgotten."""
    return None if row[2] is None else EngineRecord(row[2], row[3], tuple(row[4]))


def _hang_up(connection: Connection) -> None:
    """Have the other side hear no more of us, and whoever waits for it here notice that it is gone."""
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as there:
        there.shutdown(socket.SHUT_RDWR)


async def _rolled_back(connection: Connection) -> bool:
    """Leave nothing half done on a connection; return whether it is good for more."""
    status = connection.info.transaction_status
    if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(_HUNG_UP_S):
                await connection.execute(ROLLBACK)
            return True
    return status is TransactionStatus.IDLE
