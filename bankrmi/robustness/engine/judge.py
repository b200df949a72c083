"""What clients were told, held against what the database holds at the end.

Rule 1: both members of the database hold the same.
Rule 2: each account has a journal without a gap: its entries are those of its requests, and no others.
Rule 3: there is one order of all requests and reads that is that of every account, and of the clock
        (`one_order`). In it, every outcome that is recorded is what the specification's model comes to, and
        every answer is what is recorded, under the action ids that were told.
Rule 4: a total is one that all accounts may have held together while it was asked for (`totals`).
Rule 5: what is unknown is resolved by the database, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bankrmi.bank.accounts import fingerprint
from bankrmi.bank.forms import DEPOSIT, WITHDRAW, Form, accounts_of
from bankrmi.bank.outcomes import is_done
from bankrmi.replication.record import CANCELLED, Position, Record, chained, unpacked
from bankrmi.robustness.chaos.summing_up import Judged, ReaderOfAccounts, RunFacts
from bankrmi.robustness.checker.answers import AnswerCheck, Became
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall, OperationResult
from bankrmi.robustness.checker.replay import Replay
from bankrmi.robustness.checker.sentences import Sentences, Violations, request_in_words
from bankrmi.robustness.checker.verdict import check_values
from bankrmi.robustness.engine.database_copy import DatabaseCopy, DatabaseRequest, copy_file, kept_copy
from bankrmi.robustness.engine.one_order import NEVER_NS, OneOrder, OrderedStep, in_one_order
from bankrmi.robustness.engine.totals import PossibleTotals
from bankrmi.verifying.model import BankModel

__all__ = ["EngineJudge", "EngineVerdict", "judge_database"]

RequestId = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineVerdict:
    """What was found, and in how much (see `checker.verdict.HistoryVerdict`)."""

    violations: tuple[str, ...]
    violation_count: int
    calls: int
    operations: int
    reads: int
    totals: int
    requests: int
    entries: int
    unknown: Mapping[Became, int]


class EngineJudge(ReaderOfAccounts):
    """The judge of a run on a database (see `chaos.summing_up.RunJudge`)."""

    def judged(self, facts: RunFacts, calls: Sequence[HistoryCall]) -> Judged:
        """Hold them against the members of the database that are evidence."""
        names = facts.finished.evidence
        if not names:
            return Judged(notes=("No database could be judged: nobody led when the run ended.",))
        copies = [kept_copy(copy_file(facts.directory, name)) for name in names]
        verdict = judge_database(calls, copies, self._opening, begin_ns=facts.finished.started_ns)
        return Judged(
            violations=verdict.violations,
            untold=verdict.violation_count - len(verdict.violations),
            checked=tuple(_checked(verdict, names)),
            counts=(
                ("in doubt, then found done", verdict.unknown[Became.DONE]),
                ("in doubt, then found cancelled", verdict.unknown[Became.CANCELLED]),
                ("in doubt, then found not done", verdict.unknown[Became.NOT_DONE]),
                ("requests in the database", verdict.requests),
                ("entries of accounts", verdict.entries),
            ),
            notes=() if len(names) > 1 else (f"Only what {names[0]} holds was judged.",),
        )


def _checked(verdict: EngineVerdict, names: Sequence[str]) -> Iterator[str]:
    yield (
        f"Each of {verdict.operations} operations and {verdict.reads} reads in {verdict.calls} calls against "
        "the database: what was answered stands there once, as it was told."
    )
    yield (
        f"One order of all {verdict.requests} requests and all reads, which is that of every account and of "
        "the clock (linearizable, transfers atomic); a replay in it gives every result."
    )
    yield f"Each of {verdict.totals} totals is what all accounts may have held together at some moment."
    yield f"{', '.join(names)}: equal; accounts and the sum of money as the requests add up to."


def judge_database(
    calls: Sequence[HistoryCall],
    copies: Sequence[DatabaseCopy],
    opening: Mapping[int, int],
    *,
    begin_ns: int | None = None,
) -> EngineVerdict:
    """Return the verdict; the first of the copies is the primary's."""
    if begin_ns is None:
        begin_ns = min((call.invoked_ns for call in calls), default=0)
    return _Judging(calls, copies, opening, begin_ns).verdict()


class _Judging:
    """One verdict in the making."""

    def __init__(
        self,
        calls: Sequence[HistoryCall],
        copies: Sequence[DatabaseCopy],
        opening: Mapping[int, int],
        begin_ns: int,
    ) -> None:
        self._calls = calls
        self._copies = copies
        self._copy = copies[0]
        self._opening = opening
        self._violations = Violations()
        self._add = self._violations.add
        self._model = BankModel(opening)
        self._sentences = Sentences(self._model, begin_ns)
        self._forms: dict[RequestId, tuple[Form, ...]] = {}
        self._by_request: dict[RequestId, dict[tuple[int, int], tuple[RequestId, int]]] = {}
        self._last_on: dict[int, list[RequestId]] = {}
        """Of each account, the request of each entry: the one at place n has action id n + 1."""

    def verdict(self) -> EngineVerdict:
        """Return what was found."""
        self._check_copies()
        self._check_journals()
        requests = [*self._copy.requests]
        reads = [call for call in self._calls if call.kind == "balance" and self._is_shown(call)]
        order = in_one_order(self._steps(requests, reads))
        records = self._records([requests[place] for place in order.places if place < len(requests)])
        replay = Replay(Position(0, 0, fingerprint(self._opening)), self._model, self._violations)
        for record in records.values():
            replay.take(record)
        replay.finish()
        answers = AnswerCheck(replay, self._sentences, self._violations)
        answers.check(self._translated(records))
        for sentence in order.contradictions:
            self._add(sentence)
        totals = self._check_totals(requests, order)
        for copy in self._copies:
            values = {
                account: balance for account, (balance, _) in copy.accounts.items() if balance is not None
            }
            check_values(copy.name, values, self._model, self._violations)
        return EngineVerdict(
            violations=tuple(self._violations.sentences),
            violation_count=self._violations.count,
            calls=len(self._calls),
            operations=answers.operations,
            reads=answers.reads,
            totals=totals,
            requests=len(requests),
            entries=sum(map(len, self._copy.entries.values())),
            unknown=answers.resolved,
        )

    # -- the database by itself ------------------------------------------------------------------

    def _check_copies(self) -> None:
        for other in self._copies[1:]:
            for what in ("accounts", "requests", "entries"):
                if getattr(other, what) != getattr(self._copy, what):
                    self._add(f"{self._copy.name} and {other.name} hold other {what}")

    def _check_journals(self) -> None:
        """Rule 2: what is in the journals of accounts is what their requests say, and nothing else."""
        expected: dict[tuple[int, int], tuple[RequestId, int]] = {}
        for request, kept in self._copy.requests.items():
            self._forms[request] = forms = unpacked(kept.operations)
            if len(kept.action_ids) != len(forms) or len(unpacked(kept.outcomes)) != len(forms):
                self._add(f"request {request_in_words(request)} has not one outcome for each operation")
        for account, entries in self._copy.entries.items():
            self._last_on[account] = [request for _, request, _ in entries]
            for number, (action_id, request, place) in enumerate(entries, 1):
                if action_id != number:
                    self._add(f"account {account} has no entry {number}: {action_id} comes next")
                    break
                if request not in self._forms:
                    self._add(
                        f"entry {action_id} of account {account} is of request {request_in_words(request)}, "
                        "which is not recorded"
                    )
                expected[account, action_id] = (request, place)
        for request, forms in self._forms.items():
            self._check_entries(request, forms, self._copy.requests[request], expected)
        for account, action_id in expected:
            request, place = expected[account, action_id]
            self._add(
                f"entry {action_id} of account {account} is operation {place + 1} of request "
                f"{request_in_words(request)}, which is about another account, or stands twice"
            )
        for account, (_, action_id) in self._copy.accounts.items():
            if action_id != len(self._last_on.get(account, ())):
                self._add(
                    f"account {account} says that its newest entry is {action_id}, "
                    f"and there are {len(self._last_on.get(account, ()))}"
                )

    def _check_entries(
        self,
        request: RequestId,
        forms: Sequence[Form],
        kept: DatabaseRequest,
        expected: dict[tuple[int, int], tuple[RequestId, int]],
    ) -> None:
        """Cross out the entries of one request; whatever is missing is told."""
        at = {
            (account, place): action_id
            for (account, action_id), (_, place) in self._entries_of(request).items()
        }
        for place, (form, action_id) in enumerate(zip(forms, kept.action_ids, strict=False)):
            if action_id == 0:
                continue  # There is no such account.
            for account in accounts_of(form):
                found = at.pop((account, place), None)
                if found is None:
                    self._add(f"request {request_in_words(request)} has no entry on account {account}")
                    continue
                expected.pop((account, found), None)
                if account == accounts_of(form)[0] and found != action_id:
                    self._add(
                        f"request {request_in_words(request)} was told action id {action_id} of account "
                        f"{account}, and its entry is {found}"
                    )

    def _entries_of(self, request: RequestId) -> dict[tuple[int, int], tuple[RequestId, int]]:
        if not self._by_request:
            for account, entries in self._copy.entries.items():
                for action_id, owner, place in entries:
                    self._by_request.setdefault(owner, {})[account, action_id] = (owner, place)
        return self._by_request.get(request, {})

    # -- the order of all ------------------------------------------------------------------------

    def _is_shown(self, call: HistoryCall) -> bool:
        return isinstance(call.outcome, AnsweredOutcome) and call.query in self._opening

    def _steps(self, requests: Sequence[RequestId], reads: Sequence[HistoryCall]) -> list[OrderedStep]:
        times = self._times()
        never = (0, NEVER_NS)
        steps = [
            OrderedStep(words=f"request {request_in_words(request)}", begun_ns=begun_ns, over_ns=over_ns)
            for request in requests
            for begun_ns, over_ns in [times.get(request, never)]
        ]
        places = {request: place for place, request in enumerate(requests)}
        for owners in self._last_on.values():
            known = [places[owner] for owner in owners if owner in places]
            for before, place in pairwise(known):
                if before != place and before not in steps[place].before:
                    steps[place].before.append(before)
        for call in reads:
            self._add_read(call, steps, places)
        return steps

    def _times(self) -> dict[RequestId, tuple[int, int]]:
        """Return when each request was first asked for, or asked about, and when somebody first knew."""
        times: dict[RequestId, tuple[int, int]] = {}
        for call in self._calls:
            if call.request is None:
                continue
            begun_ns, over_ns = times.get(call.request, (NEVER_NS, NEVER_NS))
            kept = self._copy.requests.get(call.request)
            if kept is not None and call.is_question == (not kept.operations):
                begun_ns = min(begun_ns, call.invoked_ns)
            if isinstance(call.outcome, AnsweredOutcome) and call.completed_ns is not None:
                over_ns = min(over_ns, call.completed_ns)
            times[call.request] = (begun_ns, over_ns)
        return {request: (0 if one[0] == NEVER_NS else one[0], one[1]) for request, one in times.items()}

    def _add_read(self, call: HistoryCall, steps: list[OrderedStep], places: Mapping[RequestId, int]) -> None:
        """Put a read between the request whose entry it saw last and the one whose entry comes next."""
        assert isinstance(call.outcome, AnsweredOutcome)
        assert call.completed_ns is not None
        owners, action_id = self._last_on.get(call.query, []), call.outcome.action_id
        if not 0 <= action_id <= len(owners):
            self._add(
                f"{self._sentences.who(call)}: read at action id {action_id}, and the newest of account "
                f"{call.query} is {len(owners)}"
            )
            return
        step = OrderedStep(
            words=self._sentences.who(call), begun_ns=call.invoked_ns, over_ns=call.completed_ns
        )
        if action_id > 0 and owners[action_id - 1] in places:
            step.before.append(places[owners[action_id - 1]])
        if action_id < len(owners) and owners[action_id] in places:
            if action_id > 0 and owners[action_id] == owners[action_id - 1]:
                return  # Within a request: that is told when answers are checked.
            steps[places[owners[action_id]]].before.append(len(steps))
        steps.append(step)

    def _records(self, order: Sequence[RequestId]) -> dict[RequestId, Record]:
        """Return all requests as the records of one journal, whose action ids count for all accounts."""
        records: dict[RequestId, Record] = {}
        tip = Position(0, 0, fingerprint(self._opening))
        for request in order:
            kept = self._copy.requests[request]
            decided = (max(1, len(self._forms[request])), kept.operations, kept.outcomes)
            records[request] = record = chained(tip, 0, request, decided, 0)
            tip = record.position
        return records

    # -- answers ---------------------------------------------------------------------------------

    def _translated(self, records: Mapping[RequestId, Record]) -> Iterator[HistoryCall]:
        """Yield calls as if they had been told action ids of that journal; what was told is checked here."""
        for call in self._calls:
            if call.kind == "total":
                continue
            outcome = call.outcome
            if isinstance(outcome, AnsweredOutcome):
                if call.request is None:
                    outcome = self._read_in(call, outcome, records)
                else:
                    outcome = self._told_in(call, outcome, records)
            yield replace(call, outcome=outcome)

    def _told_in(
        self, call: HistoryCall, outcome: AnsweredOutcome, records: Mapping[RequestId, Record]
    ) -> AnsweredOutcome:
        assert call.request is not None
        record = records.get(call.request)
        if record is None:
            return outcome
        ids = self._copy.requests[call.request].action_ids or (0,)
        told = tuple(result.action_id for result in outcome.results)
        if told != ids and not all(result.status == CANCELLED for result in outcome.results):
            self._add(f"{self._sentences.who(call)}: told action ids {told}, and recorded are {ids}")
        results = tuple(
            result._replace(action_id=record.first_id + place) for place, result in enumerate(outcome.results)
        )
        return replace(outcome, results=results)

    def _read_in(
        self, call: HistoryCall, outcome: AnsweredOutcome, records: Mapping[RequestId, Record]
    ) -> AnsweredOutcome:
        """Return a read's answer at the end of the request that it saw last."""
        [result] = outcome.results
        owners, number = self._last_on.get(call.query, []), result.action_id
        if not 0 < number <= len(owners) or owners[number - 1] not in records:
            return replace(outcome, results=(result._replace(action_id=0),)) if not number else outcome
        if number < len(owners) and owners[number] == owners[number - 1]:
            self._add(f"{self._sentences.who(call)}: read at action id {number}, within a request")
        at = records[owners[number - 1]].action_id
        return replace(outcome, results=(OperationResult(at, result.status, result.value),))

    # -- totals ----------------------------------------------------------------------------------

    def _check_totals(self, requests: Sequence[RequestId], order: OneOrder) -> int:
        """Check each total that was told; return how many there were."""
        possible = PossibleTotals(
            sum(self._opening.values()),
            [
                (order.begun_ns[place], order.over_ns[place], self._gained(request))
                for place, request in enumerate(requests)
            ],
        )
        count = 0
        for call in self._calls:
            if call.kind == "total" and isinstance(call.outcome, AnsweredOutcome):
                assert call.completed_ns is not None
                count += 1
                total = call.outcome.results[0].value
                if not possible.allow(total, call.invoked_ns, call.completed_ns):
                    self._add(
                        f"{self._sentences.who(call)}: told that all accounts hold {total}, "
                        "and they never did then"
                    )
        return count

    def _gained(self, request: RequestId) -> int:
        """Return by how much a request changed the sum of all."""
        outcomes = unpacked(self._copy.requests[request].outcomes)
        return sum(
            (form[0] == DEPOSIT and form[2]) - (form[0] == WITHDRAW and form[2])
            for form, outcome in zip(self._forms[request], outcomes, strict=False)
            if is_done(outcome)
        )
