"""How connections to a database that keeps accounts are made, and what its errors mean."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg.errors import Diagnostic

__all__ = ["CONNECT_S", "SETTINGS", "first_line", "gave_up_waiting", "lets_nobody_in", "not_a_url"]

CONNECT_S = 3

SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "client_encoding": "utf8",  # Of a database whose encoding is none (SQL_ASCII) texts would come as bytes.
    "prepare_threshold": None,  # What is prepared in a pipeline that fails is there for psycopg alone.
    "connect_timeout": CONNECT_S,
    "application_name": "bankrmi",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
}

_NOT_LET_IN = re.compile(
    r'(?:role|database) ".*" does not exist|authentication failed|no pg_hba\.conf entry'
    r"|invalid \w+ value"
)
"""Whoever is not let in is told by these words alone: libpq gives no code for them."""


def lets_nobody_in(error: psycopg.Error) -> str | None:
    """Return why a connection was refused for who asks, so that to ask again would change nothing; else None.

    Of several hosts, each has a line: another one may be away.
    """
    refused = [line.strip() for line in str(error).splitlines() if _NOT_LET_IN.search(line)]
    return refused[0] if refused else None


def gave_up_waiting(notice: Diagnostic) -> bool:
    """Whether this says of a commit that its standby was waited for no longer (`pg_cancel_backend`).

    PostgreSQL calls such a commit done, and it is on one disk. The function is named, since the words are
    in the database's language.
    """
    return notice.source_function == "SyncRepWaitForLSN"


def not_a_url(in_words: str) -> str:
    """Return what is said of a URL that libpq does not take.

    Not in its own words: a password may be among them.
    """
    return (
        f"the URL of the database {in_words} is not one that PostgreSQL's library takes: look at what is "
        "behind the question mark"
    )


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
