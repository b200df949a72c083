"""One PostgreSQL for all tests of this folder: to make one takes seconds. Each test begins with no bank in
it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.postgresql import PostgreSql


@pytest.fixture(scope="session")
def _made() -> Iterator[PostgreSql]:
    with PostgreSql() as running:
        yield running


@pytest.fixture
def database(_made: PostgreSql) -> PostgreSql:
    """Return a database that runs, without a bank."""
    _made.ask("DROP SCHEMA IF EXISTS bankrmi_account CASCADE")
    return _made
