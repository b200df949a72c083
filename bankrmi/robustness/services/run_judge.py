"""Who judges a run of chaos in which a class was served (see `chaos.summing_up`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bankrmi.errors import BankError
from bankrmi.robustness.chaos.summing_up import Judged, RunFacts, judged_as, nothing_judged, noting_epochs
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.call_history import QUERY, call_files, read_calls
from bankrmi.robustness.services.found import FoundService
from bankrmi.robustness.services.judging import as_changed, judge_calls, some_queries, why_unmigrated
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.service_disks import read_service_copies
from bankrmi.robustness.simulator.workload import MethodCounts
from bankrmi.service.calls import Called
from bankrmi.service.served_services import ServedServices

__all__ = ["ServiceJudge"]


class ServiceJudge:
    """The judge of one class, or of several together."""

    def __init__(self, found: FoundService) -> None:
        self._found = found
        self._description = found.description
        self._services = ServedServices.of(found.description)
        self.methods: dict[str, MethodCounts] = {}
        """What the calls of each method came to: updates in the journal, queries as clients were answered."""

    def calls(self, facts: RunFacts) -> Sequence[HistoryCall]:
        """Return all calls of all clients."""
        return read_calls(call_files([facts.directory / "history"]), self._description).calls

    def judged(self, facts: RunFacts, calls: Sequence[HistoryCall]) -> Judged:
        """Hold them against the copies that are evidence."""
        names, epochs = facts.finished.evidence, dict[int, int]()
        if not names:
            return nothing_judged()
        directories = [facts.directory / "data" / name for name in names]
        try:
            with read_service_copies(directories, self._description) as (copies, journals):
                begins_at = journals[0].version_at(0)
                model = ServiceByItself(self._description, self._found.model, begins_at=begins_at)
                unmigrated = why_unmigrated(self._services, journals[0])
                copies[0] = replace(copies[0], records=noting_epochs(copies[0].records, epochs))
                verdict = judge_calls(
                    as_changed(calls, self._services, begins_at),
                    copies,
                    journals,
                    model,
                    queries=some_queries(calls),
                    begin_ns=facts.finished.started_ns,
                    noted=self._note,
                    unix_ns_at_zero=facts.unix_ns_at_zero,
                )
        except BankError as error:
            return Judged(violations=(error.message,))
        self._note_queries(calls)
        judged = judged_as(verdict, facts, epochs, f"state and queries as in {model.name}")
        return replace(judged, violations=(*judged.violations, *unmigrated))

    def _note(self, _action_id: int, call: Called, came: CallOutcome) -> None:
        self.methods.setdefault(call.method, MethodCounts()).add(came.raised)

    def _note_queries(self, calls: Sequence[HistoryCall]) -> None:
        for call in calls:
            results = getattr(call.outcome, "results", ())
            if call.kind == QUERY and results:
                self._note(0, call.query.called, results[0].value)
