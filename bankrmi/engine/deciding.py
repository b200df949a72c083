"""A group of requests on the balances that were read: what comes of each, and what is to be written.  Pure.

Rule 1: requests are decided one after the other, in the order in which they stand; operations, too.
Rule 2: what is declined changes no balance, and is an operation of its account all the same.
Rule 3: a request that is recorded already is not decided again; nor is one that stands twice in the group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bankrmi.bank.forms import WITHDRAW, Form
from bankrmi.bank.operations import LARGEST
from bankrmi.bank.outcomes import INSUFFICIENT, NO_ACCOUNT, TOO_LARGE
from bankrmi.engine.records import EngineRecord
from bankrmi.replication.record import packed, unpacked

__all__ = ["AccountState", "Decisions", "WantedRequest", "accounts_of", "decide"]

RequestId = tuple[str, int]


class WantedRequest(NamedTuple):
    """What somebody wants: operations, packed; or, without any, to know what became of the request (O4)."""

    request: RequestId
    operations: bytes


class AccountState(NamedTuple):
    """One account as the database has it."""

    balance: int
    action_id: int


@dataclass(slots=True)
class Decisions:
    """What came of a group: a record for each request id; which of them are new; and what changed."""

    records: dict[RequestId, EngineRecord]
    new: list[RequestId] = field(default_factory=list)
    changed: dict[int, AccountState] = field(default_factory=dict)
    entries: list[tuple[int, int, str, int, int]] = field(default_factory=list)
    """Account, action id, session, sequence, and place in the request, of each operation."""


def accounts_of(group: Iterable[WantedRequest]) -> list[int]:
    """Return the accounts that these operations are about, in the order of their ids."""
    return sorted({form[1] for wanted in group for form in unpacked(wanted.operations)})


def decide(
    group: Sequence[WantedRequest],
    recorded: Mapping[RequestId, EngineRecord],
    accounts: Mapping[int, AccountState],
) -> Decisions:
    """Decide those that are not recorded."""
    decisions = Decisions(dict(recorded))
    states = dict(accounts)
    for wanted in group:
        if wanted.request in decisions.records:
            continue
        session, sequence = wanted.request
        outcomes, ids = [], []
        for place, form in enumerate(unpacked(wanted.operations)):
            account = form[1]
            state = states.get(account)
            if state is None:
                outcomes.append((NO_ACCOUNT, None))
                ids.append(0)
                continue
            outcome, balance = _outcome(form, state.balance)
            states[account] = decisions.changed[account] = AccountState(balance, state.action_id + 1)
            outcomes.append(outcome)
            ids.append(state.action_id + 1)
            decisions.entries.append((account, state.action_id + 1, session, sequence, place))
        told = packed(outcomes) if wanted.operations else b""
        decisions.records[wanted.request] = EngineRecord(wanted.operations, told, tuple(ids))
        decisions.new.append(wanted.request)
    return decisions


def _outcome(form: Form, balance: int) -> tuple[Any, int]:
    """Return what comes of an operation, as the journal keeps it, and the balance after it."""
    kind, _, amount = form
    if kind == WITHDRAW:
        if amount > balance:
            return (INSUFFICIENT, balance), balance
        return balance - amount, balance - amount
    if amount > LARGEST - balance:
        return (TOO_LARGE, balance), balance
    return balance + amount, balance + amount
