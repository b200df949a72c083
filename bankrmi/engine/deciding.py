"""A group of requests on the balances that were read: what comes of each, and what is to be written.  Pure.

Rule 1: requests are decided one after the other, in the order in which they stand; operations, too.
Rule 2: what is declined changes no balance, and is an operation of its account all the same; of two accounts,
        if it is about two. What is about an account that there is not is no operation of any.
Rule 3: a request that is recorded already is not decided again; nor is one that stands twice in the group.
Rule 4: one that is not, and is older than what its session has recorded, is decided by nobody (O2); nor is
        one that may be among what was forgotten (O5): of each session what is deleted is the oldest.
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
from bankrmi.replication.effects import IsForgotten, IsStale
from bankrmi.replication.record import DONE, packed, unpacked
from bankrmi.replication.sessions import began_ms

__all__ = [
    "BANK_COLUMNS",
    "AccountState",
    "BankState",
    "Decisions",
    "Known",
    "WantedRequest",
    "accounts_of",
    "decide",
]

RequestId = tuple[str, int]


class WantedRequest(NamedTuple):
    """What somebody wants: operations, packed; or, without any, to know what became of the request (O4)."""

    request: RequestId
    operations: bytes


class AccountState(NamedTuple):
    """One account as the database has it; one that was closed has no balance, and keeps its action ids."""

    balance: int | None
    action_id: int

    def above(self, base: int) -> AccountState:
        """Return the same, whose action ids count on from `base`."""
        return self if self.action_id >= base else AccountState(self.balance, base)


class BankState(NamedTuple):
    """What the database says of the bank as a whole.

    Action ids of accounts count on from `base`, whatever their rows say below it; sessions that began by
    `horizon_ms` are over; `retired_for` is where the bank has gone. `history` tells it from any other bank,
    and `arriving` names the try that brings it, as long as it is not here.
    """

    base: int = 0
    horizon_ms: int = 0
    retired_for: str | None = None
    history: str = ""
    arriving: str | None = None


BANK_COLUMNS = len(BankState._fields)
"""With which the rows begin that say it."""


class Known(NamedTuple):
    """What was read for a group: its requests that are recorded, its accounts, the bank.

    `spans` has the oldest and the newest sequence number that each session has recorded. What came of a
    request that is recorded as None is forgotten.
    """

    recorded: Mapping[RequestId, EngineRecord | None]
    accounts: Mapping[int, AccountState]
    spans: Mapping[str, tuple[int, int]] = {}
    bank: BankState = BankState()


@dataclass(slots=True)
class Decisions:
    """What came of a group: a record for each request id, or why there is none; and what changed."""

    records: dict[RequestId, EngineRecord]
    refused: dict[RequestId, IsStale | IsForgotten] = field(default_factory=dict)
    new: list[RequestId] = field(default_factory=list)
    payee_ids: dict[RequestId, list[int]] = field(default_factory=dict)
    """The action id of each transfer at the account that is paid; 0 where it is no operation of any."""
    changed: dict[int, AccountState] = field(default_factory=dict)
    entries: list[tuple[int, int, str, int, int]] = field(default_factory=list)
    """Account, action id, session, sequence, and place in the request, of each operation."""


def accounts_of(group: Iterable[WantedRequest]) -> list[int]:
    """Return the accounts that these operations are about, in the order of their ids."""
    forms = (form for wanted in group for form in unpacked(wanted.operations))
    return sorted({account for form in forms for account in accounts_of_form(form)})


def decide(group: Sequence[WantedRequest], known: Known) -> Decisions:
    """Decide those that are not recorded."""
    decisions = Decisions({request: one for request, one in known.recorded.items() if one is not None})
    base, newest = known.bank.base, {session: span[1] for session, span in known.spans.items()}
    states = {account: state.above(base) for account, state in known.accounts.items()}
    never_there = AccountState(None, base)
    for wanted in group:
        if wanted.request in decisions.records:
            continue
        session, sequence = wanted.request
        refused = _decided_by_nobody(wanted.request, newest.get(session), known)
        if refused is not None:
            decisions.refused[wanted.request] = refused
            continue
        newest[session] = sequence
        outcomes, ids, payee_ids = [], [], []
        for place, form in enumerate(unpacked(wanted.operations)):
            accounts_here = accounts_of_form(form)
            found = [states.get(account, never_there) for account in accounts_here]
            outcome, balances = _outcome(form, [state.balance for state in found])
            is_about_what_is_there = not any(
                before.balance is None and after is None
                for before, after in zip(found, balances, strict=True)
            )
            outcomes.append(outcome)
            now_at = [state.action_id + 1 if is_about_what_is_there else 0 for state in found]
            ids.append(now_at[0])
            payee_ids += now_at[1:]
            if not is_about_what_is_there:
                continue
            for account, after, action_id in zip(accounts_here, balances, now_at, strict=True):
                states[account] = decisions.changed[account] = AccountState(after, action_id)
                decisions.entries.append((account, action_id, session, sequence, place))
        told = packed(outcomes) if wanted.operations else b""
        decisions.records[wanted.request] = EngineRecord(wanted.operations, told, tuple(ids))
        decisions.payee_ids[wanted.request] = payee_ids
        decisions.new.append(wanted.request)
    return decisions


def _decided_by_nobody(request: RequestId, newest: int | None, known: Known) -> IsStale | IsForgotten | None:
    """O2, O5: return why a request without a record is not decided; None if it is new."""
    session, sequence = request
    if request in known.recorded:
        return IsForgotten()
    began = began_ms(session)
    if began is not None and began <= known.bank.horizon_ms:
        return IsForgotten()
    if newest is None or newest < sequence:
        return None
    oldest = known.spans[session][0] if session in known.spans else sequence
    return IsForgotten() if sequence < oldest else IsStale(newest)


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
