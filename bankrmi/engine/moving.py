"""A bank comes to a database, or leaves it: what an operator's command does there, one transaction a step.

    nothing ──begin──> arriving ──open──> here ──retire──> retired
                          │  ▲                └<─reinstate──┘
                          └──┘ bring

Rule 1: a bank that is arriving is served by nobody; it is here, whole, by one commit (`open`).
Rule 2: each step names the try that it belongs to, or what it found; if that is not so any more, it changes
        nothing, and raises: two commands do not work on one bank.
Rule 3: to retire is to write the row that every transaction of every server reads, which is serializable:
        nothing is decided after it. Who reads afterwards waits for those that began before (`read`).
Rule 4: a try that was interrupted is gone on from, or begun again; what it brought is there whole or not at
        all.
Rule 5: whoever looks after the database and ends what takes long there, or stands still, does not end a step.
Assumption: no commit is given up half way; from one that was, no step goes on. A first commit of one's own
        (`look`) waits for what came before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import errors, sql

from bankrmi.bank.accounts import fingerprint
from bankrmi.bank.forms import TRANSFER, accounts_of
from bankrmi.bank.outcomes import balances_after
from bankrmi.database_url import database_in_words
from bankrmi.engine.settings import SETTINGS, first_line, gave_up_waiting, lets_nobody_in, not_a_url
from bankrmi.engine.tables import BEGIN, BEGIN_READING_ALL, COMMIT, ROLLBACK, Statements
from bankrmi.errors import BankError, ConfigurationError, OperationFailed, Unreached
from bankrmi.replication.record import Position, Record, one_by_one
from bankrmi.replication.sessions import HORIZON

__all__ = ["BankRow", "KeptRequest", "MovingDatabase", "drop_schema"]

_OLDEST_SERVER = 110_000
_LIMITS_TRANSACTIONS = 170_000
_LIMITS = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
_SECONDS = 30.0
"""For a step that somebody else is in the way of, or that breaks off: so long it is tried again."""
_PAUSE_S = 0.1

_BANK = (
    "SELECT history, base, begins_after, horizon_ms, arriving, came_from, through_id, through_epoch,"
    " through_digest, retired_for, successor FROM {schema}.bank"
)
_REQUEST_IN = (
    "COPY {schema}.request"
    " (session, sequence, operations, outcomes, action_ids, payee_ids, decided_at) FROM STDIN"
)
_ENTRY_IN = "COPY {schema}.entry (account, action_id, session, sequence, place) FROM STDIN"
_NOTE_THROUGH = (
    "UPDATE {schema}.bank SET through_id = %s, through_epoch = %s, through_digest = %s, base = %s,"
    " horizon_ms = greatest(horizon_ms, %s::bigint) WHERE arriving = %s"
)


def drop_schema(url: str, service: str) -> None:
    """Take away all that a service has in a database, whatever it is."""
    with psycopg.connect(url, **SETTINGS) as connection:
        connection.execute(Statements(service).drop)


class BankRow(NamedTuple):
    """What the database says of the bank that is there."""

    history: str
    base: int
    begins_after: int
    horizon_ms: int
    arriving: str | None
    came_from: str | None
    through_id: int | None
    through_epoch: int | None
    through_digest: bytes | None
    retired_for: str | None
    successor: str | None

    @property
    def through(self) -> Position | None:
        """Up to which record of the servers' journal it has come; None if nothing came yet."""
        if self.through_id is None or self.through_epoch is None or self.through_digest is None:
            return None
        return Position(self.through_id, self.through_epoch, self.through_digest)


class KeptRequest(NamedTuple):
    """A request as servers keep it beside their journal; without content if what came of it is forgotten."""

    session: str
    sequence: int
    action_ids: Sequence[int]
    operations: bytes | None
    outcomes: bytes | None
    time_us: int


class MovingDatabase:
    """The database of one service, for one command; a context."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self.in_words = database_in_words(url)
        self._statements = Statements(service)
        self.schema = self._statements.schema
        self._connection: psycopg.Connection[Any]
        self._cut_short = False

    def __enter__(self) -> Self:
        """Connect; raises Unreached, or ConfigurationError if it does not let us in or is too old."""
        self._connect()
        version = self._connection.info.server_version
        if version < _OLDEST_SERVER:
            raise ConfigurationError(
                f"the database {self.in_words} is PostgreSQL {version // 10_000}: from 11 on one can be used"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _connect(self) -> None:
        try:
            self._connection = psycopg.connect(self._url, **SETTINGS)
            self._connection.add_notice_handler(self._noticed)
        except psycopg.ProgrammingError:
            raise ConfigurationError(not_a_url(self.in_words)) from None
        except psycopg.OperationalError as error:
            if lets_nobody_in(error):
                raise ConfigurationError(
                    f"the database {self.in_words} does not let us in: {first_line(error)}"
                ) from None
            raise Unreached(f"the database {self.in_words} cannot be reached: {first_line(error)}") from error

    def _noticed(self, notice: errors.Diagnostic) -> None:
        self._cut_short = self._cut_short or gave_up_waiting(notice)

    # -- what is there ---------------------------------------------------------------------------

    def look(self) -> BankRow | None:
        """Return the bank that is there, durably; None if there is none."""
        with self._said():
            try:
                self._execute(self._statements.touch)
            except (errors.UndefinedTable, errors.InvalidSchemaName):
                return None
            try:
                found = self._execute(self._statements.made(_BANK)).fetchone()
            except errors.UndefinedColumn:
                raise OperationFailed(
                    f"the schema {self.schema} in {self.in_words} is not one that this version knows"
                ) from None
            return None if found is None else BankRow._make(found)

    def may_begin(self) -> bool:
        """Whether we are allowed to make a schema there."""
        with self._said():
            found = self._execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()
            return bool(found and found[0])

    # -- a bank comes ----------------------------------------------------------------------------

    @contextmanager
    def bringing(self, attempt: str, history: str) -> Iterator[Bringing]:
        """Bring a bank anew, in one transaction: in the place of what an earlier try has brought, if any.

        Until that is over nobody else sees it, or can take it away.
        """
        with self._said():
            for statement in self._statements.make:
                self._execute(statement)
            self._begin(sql.SQL("BEGIN"))
            try:
                found = self._execute(self._statements.made(_BANK) + sql.SQL(" FOR UPDATE")).fetchone()
                if found is not None:
                    if BankRow._make(found).arriving is None:
                        raise OperationFailed(f"there is a bank in {self.in_words} meanwhile")
                    for emptied in self._statements.empty:
                        self._execute(emptied)
                self._execute(
                    self._statements.made(
                        "INSERT INTO {schema}.bank (history, opened_with, arriving, came_from) VALUES (%s, "
                        "%s, %s, %s)"
                    ),
                    (history, fingerprint({}), attempt, history),
                )
                yield Bringing(self._connection, self._statements, attempt, is_anew=found is None)
                self._execute(COMMIT)
            except BaseException:
                self._roll_back()
                raise

    def claim(self, attempt: str, before: str) -> None:
        """Go on with what the try `before` has brought: it can do nothing more."""
        with self._said():
            done = self._execute(
                self._statements.made("UPDATE {schema}.bank SET arriving = %s WHERE arriving = %s"),
                (attempt, before),
            )
            self._check_one(done.rowcount)

    def bring_more(self, attempt: str, records: Sequence[Record], *, opens: bool) -> None:
        """Bring the next records of the journal; with the last of them the bank is here (`opens`)."""

        def bring() -> None:
            self._begin(sql.SQL("BEGIN"))
            more = Bringing(self._connection, self._statements, attempt)
            if records:
                more.change(records)
                more.note_through(records[-1].position)
            if opens:
                done = self._execute(
                    self._statements.made("UPDATE {schema}.bank SET arriving = NULL WHERE arriving = %s"),
                    (attempt,),
                )
                self._check_one(done.rowcount)
            self._execute(COMMIT)

        with self._said():
            self._tried(bring)

    def drop_arriving(self, attempt: str) -> None:
        """Take away what is arriving: no try can bring it any more."""
        with self._said():
            self._begin(sql.SQL("BEGIN"))
            try:
                done = self._execute(
                    self._statements.made("DELETE FROM {schema}.bank WHERE arriving = %s"), (attempt,)
                )
                self._check_one(done.rowcount)
                self._execute(self._statements.drop)
                self._execute(COMMIT)
            except BaseException:
                self._roll_back()
                raise

    def _check_one(self, rows: int) -> None:
        if rows != 1:
            raise OperationFailed(
                f"another `bankrmi migrate` works on the bank in {self.in_words}: only one can, and this "
                "one ends"
            )

    # -- a bank leaves ---------------------------------------------------------------------------

    def retire(self, retired_for: str, successor: str) -> None:
        """Nothing is decided there any more, and nothing read: servers send everybody there."""

        def retire() -> None:
            self._begin(BEGIN)
            done = self._execute(
                self._statements.made(
                    "UPDATE {schema}.bank SET retired_for = %s, successor = %s"
                    " WHERE retired_for IS NULL AND arriving IS NULL"
                ),
                (retired_for, successor),
            )
            if done.rowcount != 1:
                raise OperationFailed(
                    f"the bank in {self.in_words} has left, or is on its way there, meanwhile"
                )
            self._execute(COMMIT)

        with self._said():
            self._tried(retire)

    def reinstate(self, successor: str, check: Callable[[], None]) -> None:
        """The bank is here after all, if `check` raises nothing while nobody can open it there."""

        def reinstate() -> None:
            self._begin(sql.SQL("BEGIN"))
            self._execute(self._statements.made("SELECT 1 FROM {schema}.bank FOR UPDATE"))
            check()
            done = self._execute(
                self._statements.made(
                    "UPDATE {schema}.bank SET retired_for = NULL, successor = NULL WHERE successor = %s"
                ),
                (successor,),
            )
            self._check_one(done.rowcount)
            self._execute(COMMIT)

        with self._said():
            self._tried(reinstate)

    @contextmanager
    def held(self, successor: str) -> Iterator[None]:
        """Keep it retired for this successor as long as the context lasts: nobody reinstates it meanwhile."""
        with self._said():
            self._begin(sql.SQL("BEGIN"))
            try:
                found = self._execute(
                    self._statements.made(
                        "SELECT 1 FROM {schema}.bank WHERE successor = %s AND retired_for IS NOT NULL FOR "
                        "UPDATE"
                    ),
                    (successor,),
                ).fetchone()
                self._check_one(0 if found is None else 1)
                yield
                self._execute(COMMIT)
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def read(self) -> Iterator[Leaving]:
        """Read all of one moment, which has everything that was decided before the bank was retired."""
        with self._said():
            self._begin(BEGIN_READING_ALL)
            try:
                yield Leaving(self._connection, self._statements)
            finally:
                self._roll_back()

    # -- statements ------------------------------------------------------------------------------

    def _begin(self, begin: sql.Composable) -> None:
        """Begin a transaction that may take as long as it has to (rule 5)."""
        self._execute(begin)
        for limit in _LIMITS:
            self._execute(limit)
        if self._connection.info.server_version >= _LIMITS_TRANSACTIONS:
            self._execute("SET LOCAL transaction_timeout = 0")

    def _execute(self, statement: Any, values: Sequence[Any] | None = None) -> psycopg.Cursor[Any]:
        done = self._connection.execute(statement, values)
        if self._cut_short:
            self._cut_short = False
            raise psycopg.OperationalError("it was told to wait for its standby no longer")
        return done

    def _tried(self, step: Callable[[], None]) -> None:
        """Do a step again that another transaction was in the way of; of one that broke off, look first."""
        deadline_s = time.monotonic() + _SECONDS
        while True:
            try:
                step()
            except (errors.SerializationFailure, errors.DeadlockDetected):
                self._roll_back()
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(_PAUSE_S)
            except BaseException:
                self._roll_back()
                raise
            else:
                return

    def _roll_back(self) -> None:
        try:
            if not self._connection.closed:
                self._execute(ROLLBACK)
        except psycopg.Error:
            self._connection.close()

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Have what goes wrong told in a sentence."""
        try:
            yield
        except BankError:
            raise
        except errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"the database {self.in_words} does not allow what has to be done there: {first_line(error)}"
            ) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise OperationFailed(
                f"the database {self.in_words} went away ({first_line(error)}): run the command again, it "
                "goes on "
                "from what is there"
            ) from error
        except psycopg.Error as error:
            raise OperationFailed(
                f"the database {self.in_words} did what cannot be gone on from: {first_line(error)}"
            ) from error


class Bringing:
    """What comes with one transaction; `is_anew`: nothing had come before."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        statements: Statements,
        attempt: str,
        *,
        is_anew: bool = False,
    ) -> None:
        self.is_anew = is_anew
        self._connection = connection
        self._statements = statements
        self._attempt = attempt
        self._horizon_ms = 0

    def take_accounts(self, accounts: Mapping[int, int]) -> None:
        """Take all accounts; their action ids count on from where the journal ends."""
        with self._connection.cursor() as cursor, cursor.copy(self._statements.accounts_in) as copy:
            for account, balance in sorted(accounts.items()):
                copy.write_row((account, balance, 0))

    def take_requests(self, kept: Iterable[KeptRequest]) -> None:
        """Take requests of which no entries are known any more."""
        rows = []
        for one in kept:
            if one.session == HORIZON:
                self._horizon_ms = max(self._horizon_ms, one.sequence)
                continue
            ids = list(one.action_ids)
            payee_ids = _payee_ids(one.operations or b"", ids)
            told = (one.operations, one.outcomes, ids, payee_ids)
            rows.append((one.session, one.sequence, *told, _moment(one.time_us)))
        self._copy(_REQUEST_IN, rows)

    def take_records(self, records: Sequence[Record]) -> None:
        """Take records of the journal, with their entries."""
        self.take_requests(
            KeptRequest(
                record.session,
                record.sequence,
                record.action_ids if not record.cancelled else (),
                record.operations,
                record.outcomes,
                record.time_us,
            )
            for record in records
        )
        entries = []
        for record in records:
            if record.cancelled:
                continue
            for place, (form, action_id) in enumerate(
                zip(one_by_one(record.operations), record.action_ids, strict=True)
            ):
                at = (action_id, record.session, record.sequence, place)
                entries += [(account, *at) for account in accounts_of(form)]
        self._copy(_ENTRY_IN, entries)

    def change(self, records: Sequence[Record]) -> None:
        """Take further records, and have accounts hold what they leave them with."""
        self.take_records(records)
        changed: dict[int, int | None] = {}
        for record in records:
            if not record.cancelled:
                for entry in record.entries():
                    changed |= dict(balances_after(entry))
        there = [(account, balance) for account, balance in sorted(changed.items())]
        if there:
            accounts, balances = map(list, zip(*there, strict=True))
            values = (accounts, balances, [0] * len(accounts))
            self._connection.execute(self._statements.change, values)

    def note_through(self, at: Position, begins_after: int | None = None) -> None:
        """Up to this record of the journal all has come; entries up to `begins_after` never will."""
        values = (*at, at.action_id, self._horizon_ms, self._attempt)
        done = self._connection.execute(self._statements.made(_NOTE_THROUGH), values)
        if done.rowcount != 1:
            raise OperationFailed(
                "another `bankrmi migrate` works on this bank: only one can, and this one ends"
            )
        if begins_after is not None:
            self._connection.execute(
                self._statements.made("UPDATE {schema}.bank SET begins_after = %s"), (begins_after,)
            )

    def _copy(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            with self._connection.cursor() as cursor, cursor.copy(self._statements.made(statement)) as copy:
                for row in rows:
                    copy.write_row(row)


def _payee_ids(operations: bytes, ids: Sequence[int]) -> list[int]:
    """Return what the request is told of payees (see `sweeping`): in a journal of all it is the same id."""
    if not operations:
        return []
    return [
        action_id for form, action_id in zip(one_by_one(operations), ids, strict=True) if form[0] == TRANSFER
    ]


def _moment(time_us: int) -> str:
    seconds, us = divmod(time_us, 1_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{us:06d}+00"


class Leaving:
    """What a bank takes with it, of one moment."""

    def __init__(self, connection: psycopg.Connection[Any], statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def newest_action_id(self) -> int:
        """Return an action id that no account goes beyond."""
        found = self._connection.execute(
            self._statements.made(
                "SELECT greatest(b.base, (SELECT max(action_id) FROM {schema}.account)) FROM {schema}.bank b"
            )
        ).fetchone()
        assert found is not None
        return int(found[0])

    def accounts(self) -> Iterator[tuple[int, int]]:
        """Give all accounts that there are, and their balances."""
        yield from self._rows(
            "leaving_accounts",
            "SELECT id, balance FROM {schema}.account WHERE balance IS NOT NULL ORDER BY id",
        )

    def newest_requests(self) -> Iterator[KeptRequest]:
        """Give the newest request of each session: no older one is asked for again."""
        for row in self._rows(
            "leaving_requests",
            "SELECT DISTINCT ON (session) session, sequence, action_ids, operations, outcomes,"
            " (extract(epoch FROM decided_at) * 1000000)::bigint"
            " FROM {schema}.request ORDER BY session, sequence DESC",
        ):
            yield KeptRequest._make(row)

    def _rows(self, name: str, text: str) -> Iterator[Any]:
        with self._connection.cursor(name) as cursor:
            cursor.itersize = 10_000
            cursor.execute(self._statements.made(text))
            yield from cursor
