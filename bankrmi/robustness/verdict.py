"""The verdict over a finished history: what clients were told against the final journal.

Rule 1: every reply carries its action id, so real time is checked by comparing ids.
Rule 2: the journal is replayed with a plain dictionary, not with the production state machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgpack

from bankrmi.bank.accounts import DONE, INSUFFICIENT, NO_ACCOUNT, TOO_LARGE
from bankrmi.bank.operations import LARGEST
from bankrmi.errors import Stale
from bankrmi.replication.effects import Decided, Read
from bankrmi.replication.entry import CANCELLED, Entry
from bankrmi.robustness.simulated_client import Asked

__all__ = ["check_calls", "check_journal"]


def _expected(balances: dict[int, int], operation: bytes) -> tuple[str, int | None]:
    """What this operation must come to, by the issue's words and nobody's code."""
    deposit, account, amount = msgpack.unpackb(operation)
    if account not in balances:
        return NO_ACCOUNT, None
    balance = balances[account]
    if deposit and balance + amount > LARGEST:
        return TOO_LARGE, balance
    if not deposit and amount > balance:
        return INSUFFICIENT, balance
    balances[account] = balance + amount if deposit else balance - amount
    return DONE, balances[account]


def check_journal(
    entries: Sequence[Entry], ledger: Mapping[int, int], read: Callable[[int], int | None]
) -> Iterator[str]:
    """Yield what is wrong with a journal and the accounts beside it."""
    balances = dict(ledger)
    requests: dict[tuple[str, int], int] = {}
    for number, entry in enumerate(entries, 1):
        if entry.action_id != number:
            yield f"action id {number} is missing from the journal"
        if entry.place == 0 and requests.setdefault((entry.session, entry.sequence), number) != number:
            yield f"request {entry.session}:{entry.sequence} is in the journal twice"
        if entry.status == CANCELLED:
            continue
        expected = _expected(balances, entry.operation)
        if (entry.status, entry.result) != expected:
            yield f"action id {number} says {(entry.status, entry.result)}, and replay says {expected}"
    for account, balance in balances.items():
        if balance < 0 or read(account) != balance:
            yield f"account {account} holds {read(account)}, and the journal adds up to {balance}"


def check_calls(calls: Sequence[Asked], entries: Sequence[Entry], ledger: Mapping[int, int]) -> Iterator[str]:
    """Yield every call whose reply the journal does not bear out, or that real time contradicts."""
    changes = _balances_over_time(entries, ledger)
    by_request: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        by_request.setdefault((entry.session, entry.sequence), []).append(entry)
    for call in calls:
        who = f"{call.client} at {call.invoked_ms:.1f} ms"
        recorded = by_request.get(call.request) if call.request else None
        if isinstance(call.reply, Decided):
            if recorded != list(call.reply.entries):
                yield f"{who} was told another outcome of {call.request} than the journal holds"
            elif call.operations and recorded and recorded[0].action_id <= call.floor:
                yield f"{who} was decided at action id {recorded[0].action_id}, before it was asked"
        elif isinstance(call.reply, Read):
            ids, values = changes.get(call.account, ([], []))
            true = values[bisect_right(ids, call.reply.action_id) - 1] if ids else None
            if call.reply.value != true:
                yield f"{who} read {call.reply.value} at action id {call.reply.action_id}; it was {true}"
            if call.reply.action_id < call.floor:
                yield f"{who} read at action id {call.reply.action_id}; {call.floor} was acknowledged before"
        elif isinstance(call.error, Stale) and recorded:
            yield f"{who} was told that {call.request} is stale, and it is in the journal"


def _balances_over_time(
    entries: Sequence[Entry], ledger: Mapping[int, int]
) -> dict[int, tuple[list[int], list[int]]]:
    """For each account: the action ids at which its balance changed, and the balance from there on."""
    changes = {account: ([0], [balance]) for account, balance in ledger.items()}
    for entry in entries:
        if entry.status == DONE:
            account = msgpack.unpackb(entry.operation)[1]
            assert isinstance(entry.result, int)
            changes[account][0].append(entry.action_id)
            changes[account][1].append(entry.result)
    return changes
