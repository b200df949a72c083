"""What each client was told, against what the journal says.

Rule 1: an answer, a decline or a cancellation included, is in the journal exactly as it was told, and all
        calls of one request were told the same.
Rule 2: a definite refusal stays true: what was refused is not in the journal. `stale` says besides that
        something newer of its session is.
Rule 3: nothing is in the journal that nobody asked for, but for the horizon; `cancelled` only where somebody
        asked for an outcome.
Rule 4: what is unknown is resolved by the journal, and by nothing else.
Rule 5: a read saw the state after some whole request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum, auto

from bankrmi.errors import InvalidRequest, Stale
from bankrmi.replication.code_versions import migration_of
from bankrmi.replication.sessions import HORIZON
from bankrmi.robustness.checker.history import (
    AnsweredOutcome,
    HistoryCall,
    RefusedOutcome,
    RequestId,
    UnknownOutcome,
    UnreachedOutcome,
)
from bankrmi.robustness.checker.real_time import Times
from bankrmi.robustness.checker.replay import Replay
from bankrmi.robustness.checker.sentences import (
    Sentences,
    Violations,
    request_in_words,
    result_in_words,
    results_in_words,
)

__all__ = ["AnswerCheck", "Became"]


_MAY_HAVE_HAPPENED = (AnsweredOutcome, UnknownOutcome)
_DEFINITE = (AnsweredOutcome, RefusedOutcome)


class Became(Enum):
    """What became of a request whose clients were told nothing definite."""

    DONE = auto()
    CANCELLED = auto()
    NOT_DONE = auto()


class AnswerCheck:
    """Goes through all calls, once; notes on the way when everything began and was told."""

    def __init__(self, replay: Replay, sentences: Sentences, violations: Violations) -> None:
        self.times = Times()
        self.resolved: Counter[Became] = Counter()
        self.operations = 0
        self.reads = 0
        self._replay = replay
        self._who = sentences.who
        self._add = violations.add

    def check(self, calls: Iterable[HistoryCall]) -> None:
        """Check every call, and that every request in the journal has one."""
        by_request: dict[RequestId, tuple[HistoryCall, ...]] = {}
        for call in calls:
            if call.request is None:
                self._check_read(call)
            else:
                by_request[call.request] = (*by_request.get(call.request, ()), call)
        begins = self._replay.requests
        for request, group in by_request.items():
            first = begins.get(request)
            changes = next((call for call in group if call.operations), None)
            self.operations += len(changes.operations) if changes is not None else 0
            if first is None:
                self._check_absent(group)
            else:
                self._check_present(group, first)
            self._resolve(group, first)
        for request, first in begins.items():
            is_the_banks_own = request[0] == HORIZON or migration_of(request[0]) is not None
            if request not in by_request and not is_the_banks_own:
                self._add(f"request {request_in_words(request)} at action id {first} was never asked for")

    # -- reads -----------------------------------------------------------------------------------

    def _check_read(self, call: HistoryCall) -> None:
        outcome = call.outcome
        if not isinstance(outcome, AnsweredOutcome):
            return
        self.reads += 1
        replay, action_id, value = self._replay, outcome.action_id, outcome.results[-1].value
        if not 0 <= action_id <= replay.newest_action_id:
            end = replay.newest_action_id
            self._add(f"{self._who(call)}: read at action id {action_id}, and the journal ends at {end}")
            return
        is_total = call.kind == "total"
        true = replay.total_at(action_id) if is_total else replay.value_at(call.query, action_id)
        if value != true:
            self._add(f"{self._who(call)}: read {value} at action id {action_id}; it was {true}")
        end = replay.end_of(action_id)
        if end != action_id:
            self._add(
                f"{self._who(call)}: read at action id {action_id}, within a request that ends at {end}"
            )
        self.times.reads_begun.append((call.invoked_ns, action_id, call))
        self._note_told(call, action_id)

    def _note_told(self, call: HistoryCall, action_id: int) -> None:
        assert call.completed_ns is not None, "an answer without a time"
        self.times.told.append((call.completed_ns, action_id, call))

    # -- requests --------------------------------------------------------------------------------

    def _check_absent(self, group: Sequence[HistoryCall]) -> None:
        for call in group:
            if isinstance(call.outcome, AnsweredOutcome):
                told = result_in_words(call.outcome.results[0])
                self._add(f"{self._who(call)}: told {told}, and the request is not in the journal")
            self._check_stale(call)

    def _check_stale(self, call: HistoryCall) -> None:
        if call.outcome == RefusedOutcome(Stale.code) and call.request is not None:
            session, sequence = call.request
            if self._replay.newest.get(session, 0) < sequence:
                self._add(
                    f"{self._who(call)}: told that it is stale, and nothing newer of its session was done"
                )

    def _check_present(self, group: Sequence[HistoryCall], first: int) -> None:
        replay = self._replay
        last = replay.end_of(first)
        cancelled = replay.is_cancelled(first)
        operations = tuple(replay.operations[first - 1 : last])
        true = replay.results(first, last)
        causes = []
        for call in group:
            asked_for_this = call.is_question if cancelled else tuple(call.operations) == operations
            settles = cancelled and call.may_be_settled
            may_be_cause = isinstance(call.outcome, _MAY_HAVE_HAPPENED) or (
                settles and call.outcome == RefusedOutcome(InvalidRequest.code)
            )
            if may_be_cause and (asked_for_this or settles):
                causes.append(call)
            if isinstance(call.outcome, AnsweredOutcome):
                self._check_answer(call, true, right=cancelled or call.is_question or asked_for_this)
            elif isinstance(call.outcome, RefusedOutcome):
                self._check_refusal(call, first, never=asked_for_this or call.is_question)
        if causes:
            cause = min(causes, key=lambda call: call.invoked_ns)
            self.times.requests_begun.append((cause.invoked_ns, first, cause))
        else:
            self._add(self._never_asked(group, first, cancelled))

    def _check_answer(
        self, call: HistoryCall, true: Sequence[tuple[int, str, object]], *, right: bool
    ) -> None:
        assert isinstance(call.outcome, AnsweredOutcome)
        if call.outcome.results != true:
            told, held = results_in_words(call.outcome.results, true)
            self._add(f"{self._who(call)}: told {told}, and the journal holds {held}")
        elif not right:
            self._add(f"{self._who(call)}: told the outcome of other operations, at action id {true[0][0]}")
        self._note_told(call, call.outcome.action_id)

    def _check_refusal(self, call: HistoryCall, first: int, *, never: bool) -> None:
        assert isinstance(call.outcome, RefusedOutcome)
        if never or call.outcome.code == Stale.code:
            self._add(
                f"{self._who(call)}: refused ({call.outcome.code}), and the request is at action id {first}"
            )

    def _never_asked(self, group: Sequence[HistoryCall], first: int, cancelled: bool) -> str:
        request = group[0].request
        assert request is not None
        where = f"request {request_in_words(request)} at action id {first}"
        if cancelled:
            return f"{where} is cancelled, and nobody was asking for its outcome"
        if all(isinstance(call.outcome, UnreachedOutcome) for call in group if call.operations):
            return f"{where} was never sent: {self._who(group[0])}"
        return f"{where} is not what was asked for: {self._who(group[0])}"

    def _resolve(self, group: Sequence[HistoryCall], first: int | None) -> None:
        """Count what became of a request of which nobody was told."""
        outcomes = [call.outcome for call in group]
        if any(isinstance(outcome, _DEFINITE) for outcome in outcomes):
            return
        if not any(isinstance(outcome, UnknownOutcome) for outcome in outcomes):
            return
        if first is None:
            self.resolved[Became.NOT_DONE] += 1
        else:
            cancelled = self._replay.is_cancelled(first)
            self.resolved[Became.CANCELLED if cancelled else Became.DONE] += 1
