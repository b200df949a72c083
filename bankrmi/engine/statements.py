"""The entries of one account, read from the database.

Rule 1: all of an answer is of one snapshot; it costs so many rows, and so many bytes of requests, at most.
Rule 2: whoever asks for an account's entries is told what that account had (see `bank.statements`).
Rule 3: entries are not forgotten in their order (see `sweeping`). Of those that count on from `base` each
        has the id after the one before; so where one is gone, what came before it is not told either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import psycopg

from bankrmi.bank.forms import TRANSFER, accounts_of, described
from bankrmi.bank.statements import NO_DIGEST, StatementPage
from bankrmi.engine.deciding import BANK_COLUMNS, BankState
from bankrmi.engine.tables import BEGIN_READING, COMMIT, Statements
from bankrmi.errors import OperationFailed
from bankrmi.replication.record import DONE, told, unpacked

__all__ = ["entry_in_words", "read_statement"]

_BYTES = 256 << 10
"""Of requests, for one answer; what it is beyond that a request may have of itself."""


class _Entry(NamedTuple):
    action_id: int
    session: str
    sequence: int
    place: int
    size_bytes: int | None


async def read_statement(
    connection: psycopg.AsyncConnection[Any], statements: Statements, account: int, since: int, limit: int
) -> tuple[BankState, int, StatementPage]:
    """Return the bank, the account's newest action id, and some of its entries above `since`."""
    async with connection.pipeline():
        await connection.execute(BEGIN_READING)
        now = await connection.execute(statements.account_now, (account,))
        found = await connection.execute(statements.entries, (account, since, limit))
        row = await now.fetchone()
        entries = [_Entry._make(one) for one in await found.fetchall()]
    if row is None:
        raise OperationFailed(
            "there is no bank in the database any more: its one row in the table `bank` is gone"
        )
    bank = BankState._make(row[:BANK_COLUMNS])
    balance, newest, begins_after, swept, oldest = row[BANK_COLUMNS:]
    taken = _within_bounds(entries)
    wanted = [*dict.fromkeys((one.session, one.sequence) for one in taken)]
    found = await connection.execute(statements.requests, (_column(wanted, 0), _column(wanted, 1)))
    requests = {(one[0], one[1]): one[2:] for one in await found.fetchall()}
    await connection.execute(COMMIT)
    newest = bank.base if newest is None else max(newest, bank.base)
    is_all = len(taken) == len(entries) < limit
    through = max(newest, since) if is_all else taken[-1].action_id
    if swept:
        begins_after = max(begins_after, newest if oldest is None else oldest - 1)
        ids = [one.action_id for one in taken]
        known = max(since, begins_after, bank.base)
        begins_after = max(begins_after, _last_gap([known, *ids, through + 1]))
        taken = [one for one in taken if one.action_id > begins_after]
    words = [one for entry in taken if (one := _in_words(entry, account, requests)) is not None]
    page = StatementPage(words, through, begins_after, balance)
    return bank, newest, page


def _last_gap(ids: Sequence[int]) -> int:
    """Return up to where the last ones are missing, of those above the first; 0 if none is."""
    gaps = [after - 1 for before, after in pairwise(ids) if after > max(before, ids[0]) + 1]
    return max(gaps, default=0)


def _column(rows: Sequence[tuple[Any, ...]], place: int) -> list[Any]:
    return [row[place] for row in rows]


def _within_bounds(entries: Sequence[_Entry]) -> list[_Entry]:
    """Return as many as an answer may cost: at least one."""
    taken: list[_Entry] = []
    seen: set[tuple[str, int]] = set()
    size_bytes = 0
    for entry in entries:
        request = (entry.session, entry.sequence)
        size_bytes += 0 if request in seen else entry.size_bytes or 0
        if taken and size_bytes > _BYTES:
            break
        seen.add(request)
        taken.append(entry)
    return taken


def _in_words(
    entry: _Entry, account: int, requests: Mapping[tuple[str, int], Sequence[Any]]
) -> dict[str, Any] | None:
    operations, outcomes, time_us = requests[entry.session, entry.sequence]
    if operations is None:
        return None
    form, outcome = unpacked(operations)[entry.place], unpacked(outcomes)[entry.place]
    about = entry.action_id, time_us, f"{entry.session}:{entry.sequence}"
    return entry_in_words(about, account, form, outcome)


def entry_in_words(
    about: tuple[int, int, str], account: int, form: Any, outcome: Any
) -> dict[str, Any] | None:
    """Return an entry as a statement has it; None if this account is not told of it.

    `about` is (action id, time, request id). No digest is in it: there is no journal that it would be of.
    """
    action_id, time_us, request_id = about
    status, balance, beside = told(outcome)
    what = described(form)
    payer = what.pop("account")
    if form[0] == TRANSFER and payer != account:
        if status != DONE:
            return None
        del what["to"]
        what["from"], balance = payer, beside[1]
    assert account in accounts_of(form)
    return {
        "action_id": action_id,
        "time_us": time_us,
        "request_id": request_id,
        **what,
        "status": status,
        "balance": balance,
        "digest": NO_DIGEST,
    }
