"""What is kept in the database, in a schema of the service's own, and the statements on it.

    bank     one row: the history; whether the bank is here, on its way here, or has left; what is forgotten
    account  balance (nothing if it was closed), and the action id of its newest operation
    request  each request id with its operations and what came of them, packed. Nothing of either if it was
             cancelled; NULL if what came of it is forgotten
    entry    the operations of each account, in their order: its journal

Rule 1: a statement is one round trip for a whole group, whatever it holds: lists go as arrays.
Rule 2: what is recorded is locked before it is told. A lock is written, so its commit waits for the copies
        like any other; a mere look waits for nobody. (`confirm` is such a lock, which shuts out nobody.)
Rule 3: accounts are locked in the order of their ids, by everybody, so nobody waits in a circle.
Rule 4: whoever decides or reads looks in the same snapshot whether the bank is here, and which one (V14).
"""

from __future__ import annotations

from hashlib import blake2b

from psycopg import sql

__all__ = ["BEGIN", "BEGIN_READING", "BEGIN_READING_ALL", "COMMIT", "ROLLBACK", "Statements", "schema_of"]

BEGIN = sql.SQL("BEGIN ISOLATION LEVEL SERIALIZABLE")
BEGIN_READING = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
COMMIT = sql.SQL("COMMIT")
BEGIN_READING_ALL = sql.SQL("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE")
"""Waits until no transaction goes on that may yet commit before what is read here."""
ROLLBACK = sql.SQL("ROLLBACK")

_MAKE = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.bank (
    only_one boolean PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    history text NOT NULL,
    opened_with bytea NOT NULL,
    base bigint NOT NULL DEFAULT 0,
    begins_after bigint NOT NULL DEFAULT 0,
    horizon_ms bigint NOT NULL DEFAULT 0,
    swept boolean NOT NULL DEFAULT FALSE,
    arriving text,
    came_from text,
    through_id bigint,
    through_epoch bigint,
    through_digest bytea,
    retired_for text,
    successor text
);
CREATE TABLE IF NOT EXISTS {schema}.account (
    id bigint PRIMARY KEY,
    balance bigint CHECK (balance >= 0),
    action_id bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS {schema}.request (
    session text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    operations bytea,
    outcomes bytea,
    action_ids bigint[] NOT NULL,
    payee_ids bigint[] NOT NULL DEFAULT '{{}}',
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, sequence)
);
CREATE TABLE IF NOT EXISTS {schema}.entry (
    account bigint NOT NULL,
    action_id bigint NOT NULL,
    session text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    place integer NOT NULL,
    PRIMARY KEY (account, action_id)
);
"""
"""`base`: action ids of accounts count on from there; `begins_after`: entries up to there never came here.
`horizon_ms`: sessions that began by then are over. `swept`: entries were deleted. `arriving`: the try that
brings the bank, `came_from` which history, and `through_*` how far; `retired_for`: where it has gone, as
which history (`successor`)."""


_STATE = sql.SQL("b.base, b.horizon_ms, b.retired_for, b.history, b.arriving")
"""What is looked at in each transaction (see `deciding.BankState`)."""


_LONGEST_NAME = 63
"""PostgreSQL cuts off what is longer, and says nothing of it: two services would be one."""
_TOLD_APART_BYTES = 8


def schema_of(service: str) -> str:
    """Return the name of a service's schema: its own, or, if that is too long, with a hash at the end."""
    schema = f"bankrmi_{service}"
    if len(schema) <= _LONGEST_NAME:
        return schema
    ending = "_" + blake2b(service.encode(), digest_size=_TOLD_APART_BYTES).hexdigest()
    return schema[: _LONGEST_NAME - len(ending)] + ending


class Statements:
    """The statements for one service."""

    def __init__(self, service: str) -> None:
        self.schema = schema_of(service)
        made = self.made
        self.make = [made(statement) for statement in _MAKE.split(";") if statement.strip()]
        self.empty = [
            made("DELETE FROM {schema}.entry"),
            made("DELETE FROM {schema}.request"),
            made("DELETE FROM {schema}.account"),
            made("DELETE FROM {schema}.bank"),
        ]
        self.drop = made("DROP SCHEMA IF EXISTS {schema} CASCADE")
        self.history = made("SELECT history, arriving, came_from, opened_with FROM {schema}.bank")
        self.open = made(
            "INSERT INTO {schema}.bank (history, opened_with) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING RETURNING history"
        )
        self.touch = made("UPDATE {schema}.bank SET only_one = TRUE")
        self.confirm = made("SELECT 1 FROM {schema}.bank FOR KEY SHARE")
        self.accounts_in = made("COPY {schema}.account (id, balance, action_id) FROM STDIN")
        self.bank = made("SELECT {state} FROM {schema}.bank b")
        self.recorded = made(
            "SELECT session, sequence, operations, outcomes, action_ids FROM {schema}.request"
            " WHERE (session, sequence) IN (SELECT * FROM unnest(%s::text[], %s::bigint[])) FOR UPDATE"
        )
        self.spans = made(
            "SELECT w.session,"
            " (SELECT min(r.sequence) FROM {schema}.request r WHERE r.session = w.session),"
            " (SELECT max(r.sequence) FROM {schema}.request r WHERE r.session = w.session)"
            " FROM unnest(%s::text[]) AS w (session)"
        )
        self.locked = made(
            "SELECT id, balance, action_id FROM {schema}.account WHERE id = ANY(%s::bigint[])"
            " ORDER BY id FOR UPDATE"
        )
        self.balances = made(
            "SELECT {state}, a.id, a.balance, a.action_id"
            " FROM {schema}.bank b LEFT JOIN {schema}.account a ON a.id = ANY(%s::bigint[])"
        )
        self.total = made(
            "SELECT {state}, (SELECT coalesce(sum(balance), 0) FROM {schema}.account) FROM {schema}.bank b"
        )
        self.change = made(
            "INSERT INTO {schema}.account (id, balance, action_id)"
            " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
            " ON CONFLICT (id) DO UPDATE SET balance = excluded.balance, action_id = excluded.action_id"
        )
        self.note = made(
            "INSERT INTO {schema}.entry (account, action_id, session, sequence, place)"
            " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::integer[])"
        )
        self.record = made(
            "INSERT INTO {schema}.request (session, sequence, operations, outcomes, action_ids, payee_ids)"
            " VALUES (%s, %s, %s, %s, %s::bigint[], %s::bigint[])"
        )
        # -- statements of an account ------------------------------------------------------------
        self.account_now = made(
            "SELECT {state}, a.balance, a.action_id, b.begins_after, b.swept,"
            " (SELECT min(e.action_id) FROM {schema}.entry e WHERE e.account = a.id)"
            " FROM {schema}.bank b LEFT JOIN {schema}.account a ON a.id = %s::bigint"
        )
        self.entries = made(
            "SELECT e.action_id, e.session, e.sequence, e.place, octet_length(r.operations)"
            " FROM {schema}.entry e JOIN {schema}.request r USING (session, sequence)"
            " WHERE e.account = %s::bigint AND e.action_id > %s::bigint ORDER BY e.action_id LIMIT %s"
        )
        self.requests = made(
            "SELECT session, sequence, operations, outcomes,"
            " (extract(epoch FROM decided_at) * 1000000)::bigint FROM {schema}.request"
            " WHERE (session, sequence) IN (SELECT * FROM unnest(%s::text[], %s::bigint[]))"
        )
        # -- what is forgotten -------------------------------------------------------------------
        self.sessions_began = made(
            "SELECT horizon_ms, (extract(epoch FROM now()) * 1000)::bigint FROM {schema}.bank"
        )
        self.newest_began = made(
            "SELECT session FROM {schema}.request WHERE session <= %s AND session >= 't'"
            " ORDER BY session DESC LIMIT 20"
        )
        self.set_horizon = made(
            "UPDATE {schema}.bank SET horizon_ms = %s::bigint WHERE horizon_ms < %s::bigint"
        )
        self.some_requests = made(
            "SELECT r.session, r.sequence, r.operations, r.action_ids, r.payee_ids,"
            " (extract(epoch FROM now() - r.decided_at) * 1000)::bigint,"
            " NOT EXISTS (SELECT FROM {schema}.request n WHERE n.session = r.session AND n.sequence > "
            "r.sequence)"
            " FROM {schema}.request r WHERE (r.session, r.sequence) > (%s, %s::bigint)"
            " ORDER BY r.session, r.sequence LIMIT %s"
        )
        self.will_be_swept = made("UPDATE {schema}.bank SET swept = TRUE WHERE NOT swept")
        self.forget_entries = made(
            "DELETE FROM {schema}.entry WHERE (account, action_id) IN"
            " (SELECT * FROM unnest(%s::bigint[], %s::bigint[]))"
        )
        self.forget_outcomes = made(
            "UPDATE {schema}.request SET operations = NULL, outcomes = NULL WHERE (session, sequence) IN"
            " (SELECT * FROM unnest(%s::text[], %s::bigint[]))"
        )
        self.forget_requests = made(
            "DELETE FROM {schema}.request WHERE (session, sequence) IN"
            " (SELECT * FROM unnest(%s::text[], %s::bigint[]))"
        )

    def made(self, text: str) -> sql.Composed:
        """Return a statement; in it `{schema}` is the service's, and `{state}` are columns of `bank`."""
        return sql.SQL(text).format(schema=sql.Identifier(self.schema), state=_STATE)
