"""One copy of services, and clients whose calls come one after the other: what a judge is given in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bankrmi.replication.record import Position, Record, unpacked
from bankrmi.robustness.checker.history import SHOWN, AnsweredOutcome, HistoryCall, OperationResult
from bankrmi.robustness.checker.verdict import Copy as CopyAtLast
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.judging import judge_calls
from bankrmi.robustness.services.outcomes import CallOutcome, outcome_told
from bankrmi.robustness.services.wanted import WantedCall
from bankrmi.service import Description, ServedServices
from bankrmi.service.calls import Raised
from bankrmi.storage.journal import SqliteJournal
from tests.service.copies import Copy

__all__ = ["World"]


@dataclass
class World:
    """`queries` are asked of the copy in the end."""

    copy: Copy
    description: Description | ServedServices
    queries: list[WantedCall]
    calls: list[HistoryCall] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    now_ns: int = 0

    def call(self, wanted: WantedCall, client: str = "c") -> HistoryCall:
        """Make a call, and note what came of it."""
        begins, self.now_ns = self.now_ns + 10, self.now_ns + 20
        if wanted.is_update:
            record = self.copy.decide(wanted.method.name, *wanted.called.args)
            self.records.append(record)
            [entry] = record.entries()
            came = outcome_told(unpacked(record.outcomes)[0])
            result = OperationResult(entry.action_id, entry.status, came)
        else:
            try:
                came = CallOutcome.returned(self.copy.ask(wanted.method.name, *wanted.called.args))
            except Raised as raised:
                came = CallOutcome.of(raised)
            result = OperationResult(len(self.records), SHOWN, came)
        made = HistoryCall(
            client=client,
            number=len(self.calls) + 1,
            kind="update" if wanted.is_update else "query",
            invoked_ns=begins,
            completed_ns=self.now_ns,
            request=self.records[-1].request if wanted.is_update else None,
            operations=(wanted.operation,) if wanted.is_update else (),
            query=None if wanted.is_update else wanted,
            outcome=AnsweredOutcome("h", (result,)),
        )
        self.calls.append(made)
        return made

    def change(self, number: int, **fields: Any) -> None:
        """Have the client of a call have been told something else."""
        self.calls[number] = replace(self.calls[number], **fields)

    def tell(self, number: int, **fields: Any) -> None:
        """Have another result in the answer to a call."""
        outcome = self.calls[number].outcome
        assert isinstance(outcome, AnsweredOutcome)
        result = outcome.results[0]._replace(**fields)
        self.change(number, outcome=AnsweredOutcome("h", (result,)))

    def violations(self, model: Callable[[], object] | None = None, records: Any = None) -> tuple[str, ...]:
        journal: SqliteJournal = self.copy.journal
        assert journal.opening is not None
        at_last = CopyAtLast(
            name="s1",
            opening=Position(0, 0, journal.opening),
            records=self.records if records is None else records,
            values={},
        )
        return judge_calls(
            self.calls,
            [at_last],
            [journal],
            ServiceByItself(self.description, model),
            queries=self.queries,
            begin_ns=0,
        ).violations
