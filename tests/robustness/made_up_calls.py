"""What clients of a very small bank were told, and its journal: a sound history, to plant lies in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    HistoryCall,
    OperationResult,
    Outcome,
    UnknownOutcome,
)
from bankrmi.robustness.checker.verdict import HistoryVerdict, judge
from bankrmi.verifying.model import BankModel
from tests.robustness.small_banks import copy_of, records_of

LEDGER = {1: 100, 2: 300}
TAKE = form_of(Withdraw(1, 10))
PUT = form_of(Deposit(2, 5))
TOO_MUCH = form_of(Withdraw(1, 1000))
SECOND = 1_000_000_000

JOURNAL = [(("a", 1), (TAKE,)), (("b", 1), (PUT, TOO_MUCH)), (("a", 2), ())]
"""Action id 1: 90 on account 1; 2 and 3: 305 on account 2, and a decline; 4: cancelled."""


def call(
    client: str,
    begin: int,
    end: int | None,
    outcome: Outcome,
    request: Any = None,
    *operations: Form,
    query: Any = None,
) -> HistoryCall:
    """Return a call; times in seconds."""
    return HistoryCall(
        client=client,
        number=begin,
        kind="balance" if request is None else "change" if operations else "outcome",
        invoked_ns=begin * SECOND,
        completed_ns=None if end is None else end * SECOND,
        request=request,
        operations=operations,
        query=query,
        outcome=outcome,
    )


def told(*results: tuple[int, str, int | None]) -> AnsweredOutcome:
    return AnsweredOutcome("h", tuple(OperationResult(*result) for result in results))


def read(client: str, begin: int, end: int, account: int, action_id: int, value: int | None) -> HistoryCall:
    return call(client, begin, end, told((action_id, SHOWN, value)), query=account)


TOOK = call("c1", 1, 2, told((1, "done", 90)), ("a", 1), TAKE)
BATCH = call("c2", 3, 5, told((2, "done", 305), (3, "insufficient", 90)), ("b", 1), PUT, TOO_MUCH)
LOST = call("c1", 5, None, UnknownOutcome(), ("a", 2), TAKE)
ASKED = call("c1", 6, 7, told((4, "cancelled", None)), ("a", 2))
GOOD = (TOOK, BATCH, LOST, ASKED, read("c3", 8, 9, 2, 4, 305), read("c3", 2, 4, 1, 1, 90))


def verdict(calls: Sequence[HistoryCall], journal: Any = JOURNAL, **options: Any) -> HistoryVerdict:
    records = records_of(journal, LEDGER)
    return judge(calls, [copy_of("s1", records, LEDGER)], BankModel(LEDGER), begin_ns=0, **options)


def only(found: HistoryVerdict) -> str:
    [sentence] = found.violations
    assert found.violation_count == 1
    return sentence
