"""A database and its clients, made up: whatever is done is done right, and a test makes one thing wrong.

made = MadeUp({1: 100, 2: 0})
made.does("a:1", Withdraw(1, 10), at=(0, 5))        # asked for at 0, answered at 5
made.reads(1, at=(6, 7))                            # sees what is there by now
made.verdict()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bankrmi.bank.forms import accounts_of, form_of
from bankrmi.bank.operations import Operation
from bankrmi.replication.record import CANCELLED, DONE, packed
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    HistoryCall,
    OperationResult,
    UnknownOutcome,
)
from bankrmi.robustness.engine.database_copy import DatabaseCopy, DatabaseRequest
from bankrmi.robustness.engine.judge import EngineVerdict, judge_database
from bankrmi.verifying.model import BankModel

Times = tuple[int, int]


class MadeUp:
    """All that there is; `copy` and `calls` may be changed."""

    def __init__(self, opening: Mapping[int, int]) -> None:
        self.opening = dict(opening)
        self.calls: list[HistoryCall] = []
        self.copy = DatabaseCopy(
            name="db1", accounts={one: (value, 0) for one, value in opening.items()}, requests={}, entries={}
        )
        self._model = BankModel(opening)

    def does(self, request_id: str, *operations: Operation, at: Times, told: bool = True) -> None:
        """Have a request done, and its caller told, or left in doubt."""
        request, forms = self._id(request_id), tuple(form_of(operation) for operation in operations)
        outcomes, ids, results = [], [], []
        for place, form in enumerate(forms):
            status, value, *beside = self._model.apply(form)
            is_plain = status == DONE and not beside
            outcomes.append(value if is_plain else (status, value, *beside))
            is_there = all(account in self.copy.accounts for account in accounts_of(form))
            for account in accounts_of(form) if is_there else ():
                _, newest = self.copy.accounts[account]
                self.copy.accounts[account] = (self._model.values[account], newest + 1)
                self.copy.entries.setdefault(account, []).append((newest + 1, request, place))
            ids.append(self.copy.accounts[form[1]][1] if is_there else 0)
            results.append(OperationResult(ids[-1], status, value))  # type: ignore[arg-type]
        self.copy.requests[request] = DatabaseRequest(packed(forms), packed(outcomes), tuple(ids))
        outcome = AnsweredOutcome(None, tuple(results)) if told else UnknownOutcome()
        self._call(at, request=request, operations=forms, outcome=outcome, kind="batch")

    def cancels(self, request_id: str, *, at: Times) -> None:
        """Have somebody ask for the outcome of a request that never came."""
        request = self._id(request_id)
        self.copy.requests[request] = DatabaseRequest(b"", b"", ())
        outcome = AnsweredOutcome(None, (OperationResult(0, CANCELLED, None),))
        self._call(at, request=request, outcome=outcome, kind="outcome")

    def reads(self, account: int, *, at: Times) -> None:
        """Have somebody look up a balance."""
        balance, action_id = self.copy.accounts.get(account, (None, 0))
        outcome = AnsweredOutcome(None, (OperationResult(action_id, SHOWN, balance),))
        self._call(at, query=account, outcome=outcome, kind="balance")

    def totals(self, total: int, *, at: Times) -> None:
        """Have somebody be told a total."""
        outcome = AnsweredOutcome(None, (OperationResult(0, SHOWN, total),))
        self._call(at, outcome=outcome, kind="total")

    def tell_last(self, **changed: Any) -> None:
        """Have the newest call be told something else of its first operation."""
        last = self.calls[-1]
        assert isinstance(last.outcome, AnsweredOutcome)
        first, *others = last.outcome.results
        outcome = replace(last.outcome, results=(first._replace(**changed), *others))
        self.calls[-1] = replace(last, outcome=outcome)

    def _call(self, at: Times, **what: Any) -> None:
        usual = {"request": None, "operations": (), "query": None}
        self.calls.append(
            HistoryCall(
                client="c", number=len(self.calls) + 1, invoked_ns=at[0], completed_ns=at[1], **usual | what
            )
        )

    @staticmethod
    def _id(request_id: str) -> tuple[str, int]:
        session, _, sequence = request_id.partition(":")
        return session, int(sequence)

    def verdict(self, *others: DatabaseCopy) -> EngineVerdict:
        """Return the verdict, over this copy and perhaps others."""
        return judge_database(self.calls, [self.copy, *others], self.opening)
