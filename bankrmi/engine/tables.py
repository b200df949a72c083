"""What is kept in the database, in a schema of the service's own, and the statements on it.

    bank     one row: the history, and what the bank opened with
    account  balance (nothing if it was closed), and the action id of its newest operation
    request  each request id with its operations and what came of them, packed; nothing of either if cancelled
    entry    the operations of each account, in their order: its journal

Rule 1: a statement is one round trip for a whole group, whatever it holds: lists go as arrays.
Rule 2: what is recorded is locked before it is told. A lock is written, so its commit waits for the copies
        like any other; a mere look waits for nobody. (`confirm` is such a lock, which shuts out nobody.)
Rule 3: accounts are locked in the order of their ids, by everybody, so nobody waits in a circle.
"""

from __future__ import annotations

from psycopg import sql

__all__ = ["BEGIN", "COMMIT", "ROLLBACK", "Statements"]

BEGIN = sql.SQL("BEGIN ISOLATION LEVEL SERIALIZABLE")
COMMIT = sql.SQL("COMMIT")
ROLLBACK = sql.SQL("ROLLBACK")

_MAKE = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.bank (
    only_one boolean PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    history text NOT NULL,
    opened_with bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS {schema}.account (
    id bigint PRIMARY KEY,
    balance bigint CHECK (balance >= 0),
    action_id bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS {schema}.request (
    session text NOT NULL,
    sequence bigint NOT NULL,
    operations bytea NOT NULL,
    outcomes bytea NOT NULL,
    action_ids bigint[] NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, sequence)
);
CREATE TABLE IF NOT EXISTS {schema}.entry (
    account bigint NOT NULL,
    action_id bigint NOT NULL,
    session text NOT NULL,
    sequence bigint NOT NULL,
    place integer NOT NULL,
    PRIMARY KEY (account, action_id)
);
"""


class Statements:
    """The statements for one service."""

    def __init__(self, service: str) -> None:
        schema = sql.Identifier(f"bankrmi_{service}")

        def made(text: str) -> sql.Composed:
            return sql.SQL(text).format(schema=schema)

        self.make = [made(statement) for statement in _MAKE.split(";") if statement.strip()]
        self.history = made("SELECT history FROM {schema}.bank")
        self.open = made(
            "INSERT INTO {schema}.bank (history, opened_with) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING RETURNING history"
        )
        self.touch = made("UPDATE {schema}.bank SET only_one = TRUE")
        self.confirm = made("SELECT 1 FROM {schema}.bank FOR KEY SHARE")
        self.accounts_in = made("COPY {schema}.account (id, balance, action_id) FROM STDIN")
        self.recorded = made(
            "SELECT session, sequence, operations, outcomes, action_ids FROM {schema}.request"
            " WHERE (session, sequence) IN (SELECT * FROM unnest(%s::text[], %s::bigint[])) FOR UPDATE"
        )
        self.locked = made(
            "SELECT id, balance, action_id FROM {schema}.account WHERE id = ANY(%s::bigint[])"
            " ORDER BY id FOR UPDATE"
        )
        self.balances = made(
            "SELECT id, balance, action_id FROM {schema}.account WHERE id = ANY(%s::bigint[])"
        )
        self.total = made("SELECT coalesce(sum(balance), 0) FROM {schema}.account")
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
            "INSERT INTO {schema}.request (session, sequence, operations, outcomes, action_ids)"
            " VALUES (%s, %s, %s, %s, %s::bigint[])"
        )
