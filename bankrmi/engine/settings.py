"""How connections to a database that keeps accounts are made, and what its errors mean."""

from __future__ import annotations

import re
from typing import Any

import psycopg

__all__ = ["CONNECT_S", "SETTINGS", "first_line", "lets_nobody_in"]

CONNECT_S = 3

SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,  # What is prepared in a pipeline that fails is there for psycopg alone.
    "connect_timeout": CONNECT_S,
    "application_name": "bankrmi",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
}

_NOT_LET_IN = re.compile(r'(?:role|database) ".*" does not exist|authentication failed|no pg_hba\.conf entry')
"""Whoever is not let in is told by these words alone: libpq gives no code for them."""


def lets_nobody_in(error: psycopg.Error) -> str | None:
    """Return why a connection was refused for who asks, so that to ask again would change nothing; else None.

    Of several hosts, each has a line: another one may be away.
    """
    refused = [line.strip() for line in str(error).splitlines() if _NOT_LET_IN.search(line)]
    return refused[0] if refused else None


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
