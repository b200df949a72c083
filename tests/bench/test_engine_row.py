"""The row of servers on a database: how many at a time, and that no password is written anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bankrmi.bench.rows.engine import server_counts
from bankrmi.cli import run
from bankrmi.cli.database_option import without_password
from tests.engine.postgresql import PostgreSql, needs_postgresql


@pytest.mark.parametrize(
    ("servers", "clients", "counts"),
    [(2, 32, [1, 2]), (4, 32, [1, 2, 4]), (6, 32, [1, 2, 4, 6]), (4, 3, [1, 2])],
)
def test_servers_are_measured_by_doubling_them_and_each_has_a_client(
    servers: int, clients: int, counts: list[int]
) -> None:
    assert server_counts(servers, clients) == counts


def test_what_is_recorded_of_a_command_has_no_password_in_it() -> None:
    url = "postgresql://anna:secret@db1:5433/bank?sslmode=verify-full"
    assert without_password(url) == "bank at db1:5433"
    assert without_password(f"--engine={url}") == "--engine=bank at db1:5433"
    assert without_password("--rows") == "--rows"


@pytest.mark.long
@needs_postgresql
def test_it_is_measured_on_a_database_that_is_named_and_leaves_nothing_there(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    with PostgreSql() as database:
        asked = [
            "bench",
            "--engine",
            database.url,
            "--rows",
            "engine:4x1",
            "--rounds",
            "1",
            "--seconds",
            "0.3",
        ]
        assert run([*asked, "--json", str(file)]) == 0
        assert database.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bankrmi%'") == []
    found = json.loads(file.read_text())
    told = {(one["what"], one["unit"]): one["values"] for one in found["findings"]}
    for what in ("4x1", "4x1 on one account"):
        assert told[f"{what}: 1 server", "op/s"][0] > 0
        assert told[f"{what}: 2 servers to 1", "times"][0] > 0
    assert "postgres@" not in file.read_text()
