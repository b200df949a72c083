"""What pgbench is told, and what its log tells.

Rule: what counts are the calls that ended in the time that is measured: by then all are connected, and have
      done for the first time what is slower then.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path

from bankrmi.bench.load.order import ACCOUNTS
from bankrmi.bench.shapes import Shape

__all__ = ["WARM_SECONDS", "calls_between", "pgbench_scripts", "seconds_of_pgbench"]

WARM_SECONDS = 0.7
_CONNECTING_SECONDS = 0.02
"""Of each client, on a busy machine; pgbench has to go on until all is measured."""

_BATCH = Path(__file__).with_name("postgresql_batch.pgbench")
_DRAWN = f"\\set account random(1, {ACCOUNTS})\n"
_NAMED = "\\set sequence :sequence + 1\n\\set own :session + :client_id\n"
_LOOK = "SELECT balance FROM account WHERE id = :account;\n"
_ONE = (
    "WITH taken AS (UPDATE account SET balance = balance - 1 WHERE id = :account AND balance >= 1"
    " RETURNING balance) INSERT INTO request (session, sequence, balance)"
    " SELECT :own::bigint, :sequence::bigint, (SELECT balance FROM taken) RETURNING balance;\n"
)


def pgbench_scripts(shape: Shape) -> Iterable[tuple[str, int]]:
    """Return what pgbench does in a call, each with how often in ten."""
    reads = round(10 * shape.reads)
    if reads:
        yield f"{_DRAWN}{_LOOK}", reads
    if reads < 10:
        yield _NAMED + (f"{_DRAWN}{_ONE}" if shape.operations == 1 else _many(shape)), 10 - reads


def _many(shape: Shape) -> str:
    if shape.loop:
        return f"SELECT withdraw_in_a_loop({shape.operations}, {ACCOUNTS}, :own, :sequence);\n"
    return _BATCH.read_text().format(operations=shape.operations, accounts=ACCOUNTS)


def seconds_of_pgbench(shape: Shape, seconds: float) -> int:
    """Return how many whole seconds it has to go on, so that `seconds` of them can be measured."""
    return ceil(WARM_SECONDS + _CONNECTING_SECONDS * shape.clients + seconds)


def calls_between(logs: Iterable[Path], from_s: float, to_s: float) -> list[float]:
    """Return how long each call took, in seconds, of those that ended then; a line is

    client, number, microseconds, script, seconds since 1970, and microseconds of that.
    """
    took = []
    for log in logs:
        for line in log.read_text().splitlines():
            words = line.split()
            if from_s <= int(words[4]) + int(words[5]) / 1e6 < to_s:
                took.append(int(words[2]) / 1e6)
    return took
