"""A group of requests on the balances that were read: what comes of each, and what is to be written.  Pure.

Rule 1: requests are decided one after the other, in the order in which they stand; operations, too.
Rule 2: what is declined changes no balance, and is an operation of its account all the same; of two accounts,
        if it is about two. What is about an account that there is not is no operation of any.
Rule 3: a request that is recorded already is not decided again; nor is one that stands twice in the group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bankrmi.bank.forms import CLOSE, DEPOSIT, OPEN, TRANSFER, WITHDRAW, Form
from bankrmi.bank.forms import accounts_of as accounts_of_form
from bankrmi.bank.operations import LARGEST
from bankrmi.bank.outcomes import EXISTS, INSUFFICIENT, NO_ACCOUNT, NOT_EMPTY, TOO_LARGE
from bankrmi.engine.records import EngineRecord
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.record import DONE, packed, unpacked

__all__ = ["AccountState", "Decisions", "WantedRequest", "accounts_of", "decide"]

RequestId = tuple[str, int]


class WantedRequest(NamedTuple):
    """What somebody wants: operations, packed; or, without any, to know what became of the request (O4)."""

    request: RequestId
    operations: bytes


class AccountState(NamedTuple):
    """One account as the database has it; one that was closed has no balance, and keeps its action ids."""

    balance: int | None
    action_id: int


_NEVER_THERE = AccountState(None, 0)


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
    forms = (form for wanted in group for form in unpacked(wanted.operations))
    return sorted({account for form in forms for account in accounts_of_form(form)})


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
            accounts_here = accounts_of_form(form)
            found = [states.get(account, _NEVER_THERE) for account in accounts_here]
            outcome, balances = _outcome(form, [state.balance for state in found])
            is_about_what_is_there = not any(
                before.balance is None and after is None
                for before, after in zip(found, balances, strict=True)
            )
            outcomes.append(outcome)
            ids.append(found[0].action_id + 1 if is_about_what_is_there else 0)
            if not is_about_what_is_there:
                continue
            for account, before, after in zip(accounts_here, found, balances, strict=True):
                state = AccountState(after, before.action_id + 1)
                states[account] = decisions.changed[account] = state
                decisions.entries.append((account, state.action_id, session, sequence, place))
        told = packed(outcomes) if wanted.operations else b""
        decisions.records[wanted.request] = EngineRecord(wanted.operations, told, tuple(ids))
        decisions.new.append(wanted.request)
    return decisions


def _outcome(form: Form, balances: list[int | None]) -> tuple[Any, list[int | None]]:
    """Return what comes of an operation, as a journal keeps it, and the balances of its accounts after it."""
    kind, _, more = form
    balance = balances[0]
    if kind == TRANSFER:
        return _of_transfer(more[1], balances)
    if kind == OPEN:
        return ((EXISTS, balance), balances) if balance is not None else (0, [0])
    if balance is None:
        return (NO_ACCOUNT, None), balances
    if kind == WITHDRAW:
        return ((INSUFFICIENT, balance), balances) if more > balance else (balance - more, [balance - more])
    if kind == DEPOSIT:
        is_too_large = more > LARGEST - balance
        return ((TOO_LARGE, balance), balances) if is_too_large else (balance + more, [balance + more])
    if kind == CLOSE:
        return ((NOT_EMPTY, balance), balances) if balance > 0 else (0, [None])
    raise BrokenInvariant(f"nobody can ask for an operation of kind {kind}")


def _of_transfer(amount: int, balances: list[int | None]) -> tuple[Any, list[int | None]]:
    has, there = balances
    if has is None or there is None:
        return (NO_ACCOUNT, None, has, there), balances
    if amount > has:
        return (INSUFFICIENT, has, has, there), balances
    if amount > LARGEST - there:
        return (TOO_LARGE, None, has, there), balances
    return (DONE, has - amount, has - amount, there + amount), [has - amount, there + amount]
