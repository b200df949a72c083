"""Each row of a bank of ours alone, measured once and for a moment: does it find what it is there for?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.bench.rows.all import ROWS
from bankrmi.bench.rows.row import RowOptions


class Silent:
    def show(self, line: str) -> None: ...

    def say(self, line: str) -> None: ...


@pytest.fixture(autouse=True)
def _empty_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever was measured there is gone."""
    monkeypatch.setenv("BANKRMI_BENCH_DIR", str(tmp_path))
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "parts", "what"),
    [
        ("failover", ("kill",), "kill -9 to the next answer"),
        ("failover", ("stop",), "SIGSTOP to the next answer"),
        ("failover", ("cut",), "cut off to the next answer"),
        ("failover", ("switchover",), "switchover, longest between two answers"),
        ("growth", ("connections",), "1000 to 128 connections"),
        ("growth", ("records",), "20,000 to 10,000 operations"),
        ("slow-disk", (), "reads, slow to usual"),
        ("catching-up", ("2x10",), "2x10: while it joins from nothing, to the usual"),
        ("own-clients", ("4x1",), "4x1: dropped under a call"),
        ("crowds", ("slow",), "slow: meanwhile: slowest"),
        ("daemon", ("4x1",), "4 connections: bankrmi"),
    ],
)
def test_a_row_finds_what_it_is_there_for(name: str, parts: tuple[str, ...], what: str) -> None:
    missing = ROWS[name].missing()
    if missing is not None:
        pytest.skip(missing)
    asked = RowOptions(
        seconds=0.2,
        rounds=1,
        failovers=1,
        records=20_000,
        servers=2,
        engine=None,
        parts=parts,
        progress=Silent(),
    )
    found = {finding.what: finding for finding in ROWS[name].measure(asked)}
    assert what in found
    assert {finding.row for finding in found.values()} == {name}
    assert all(finding.values and min(finding.values) >= 0 for finding in found.values())
