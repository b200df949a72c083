"""The verdict over a finished history: calls, and the copies that were in sync and at rest at the end.

Rule 1: the copies have to be equal, to the last entry, digests included: there is one journal, and every call
        is held against that. A copy that was out of sync when it was stopped is not evidence: leave it out.
Rule 2: each copy's state is what the journal adds up to.
Rule 3: answers of all histories (after a restore there is a new one) are held against that one journal. Only
        a forced takeover may lose what was acknowledged, and then the verdict says what was lost.
Rule 4: "no violation in N operations" is all that a verdict can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from bankrmi.replication.record import Position, Record
from bankrmi.robustness.checker.answers import AnswerCheck, Became
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.robustness.checker.real_time import Times
from bankrmi.robustness.checker.replay import Replay
from bankrmi.robustness.checker.sentences import Sentences, Violations
from bankrmi.robustness.checker.without_collector import without_collector
from bankrmi.verifying.model import Model

__all__ = ["Copy", "HistoryVerdict", "check_values", "judge", "unsound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A server's disk at the end: where its journal begins, all records (read once), every key's value."""

    name: str
    opening: Position
    records: Iterable[Record]
    values: Mapping[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryVerdict:
    """What was found, and in how much.

    `violations` are the first ones, in words. `operations` counts each request once; the unknown requests
    are those of which no client was told anything definite.
    """

    violations: tuple[str, ...]
    violation_count: int
    calls: int
    operations: int
    reads: int
    entries: int
    copies: tuple[str, ...]
    unknown_done: int
    unknown_cancelled: int
    unknown_not_done: int


@without_collector()
def judge(
    calls: Sequence[HistoryCall],
    copies: Sequence[Copy],
    model: Model,
    *,
    begin_ns: int | None = None,
    fresh_reads: bool = True,
    replayed: Callable[[Position, Model, Violations], Replay] = Replay,
) -> HistoryVerdict:
    """Return the verdict; `model` is the opening state, and `copies` at least one.

    `begin_ns` is the time that sentences count from (None: the first call). Without `fresh_reads` a read may
    be older than what others were told before it, as when clocks are further apart than is assumed (R2).
    `replayed` makes what takes the records: another one where an operation is not a key and its new value.
    """
    if begin_ns is None:
        begin_ns = min((call.invoked_ns for call in calls), default=0)
    violations, sentences = Violations(), Sentences(model, begin_ns)
    replay = _replay(copies, model, violations, replayed)
    answers = AnswerCheck(replay, sentences, violations)
    answers.check(calls)
    for sentence in _too_old(answers.times, sentences, fresh_reads=fresh_reads):
        violations.add(sentence)
    for copy in copies:
        check_values(copy.name, copy.values, model, violations)
    return HistoryVerdict(
        violations=tuple(violations.sentences),
        violation_count=violations.count,
        calls=len(calls),
        operations=answers.operations,
        reads=answers.reads,
        entries=replay.newest_action_id,
        copies=tuple(copy.name for copy in copies),
        unknown_done=answers.resolved[Became.DONE],
        unknown_cancelled=answers.resolved[Became.CANCELLED],
        unknown_not_done=answers.resolved[Became.NOT_DONE],
    )


def unsound(copy: Copy, model: Model) -> tuple[str, ...]:
    """Return what is wrong with a disk by itself, whoever was told what; `model` is the opening state."""
    violations = Violations()
    _replay([copy], model, violations)
    check_values(copy.name, copy.values, model, violations)
    return tuple(violations.sentences)


def _too_old(times: Times, sentences: Sentences, *, fresh_reads: bool) -> Iterator[str]:
    yield from times.check_requests(sentences.who, sentences.when)
    for one in [times] if fresh_reads else times.by_client():
        yield from one.check_reads(sentences.who, sentences.when)


def _replay(
    copies: Sequence[Copy],
    model: Model,
    violations: Violations,
    replayed: Callable[[Position, Model, Violations], Replay] = Replay,
) -> Replay:
    """Replay the journal that all copies have; where one ends too early, go on with the others."""
    for copy in copies[1:]:
        if copy.opening != copies[0].opening:
            violations.add(
                f"{copies[0].name} and {copy.name} were not opened with the same state and history"
            )
    replay = replayed(copies[0].opening, model, violations)
    ended: set[str] = set()
    for row in zip_longest(*(copy.records for copy in copies)):
        record = next(one for one in row if one is not None)
        if row.count(record) != len(row):
            for copy, one in zip(copies, row, strict=True):
                if one is None and copy.name not in ended:
                    ended.add(copy.name)
                    violations.add(
                        f"{copy.name}'s journal ends at action id {record.first_id - 1}, and another goes on"
                    )
                elif one is not None and one != record:
                    violations.add(
                        f"{copy.name} holds another record at action id {record.first_id} than the others"
                    )
        replay.take(record)
    replay.finish()
    return replay


def check_values(name: str, found: Mapping[Any, Any], model: Model, violations: Violations) -> None:
    """Hold the state of one copy against what its journal adds up to."""
    values = model.values
    for key, value in values.items():
        if key not in found:
            violations.add(f"{name} has no {key}, and the journal adds up to {value}")
        elif found[key] != value:
            violations.add(f"on {name}, {key} holds {found[key]}, and the journal adds up to {value}")
    for key in found:
        if key not in values:
            violations.add(f"on {name}, {key} holds {found[key]}, and was never opened")
    for sentence in model.audit(found):
        violations.add(f"on {name}, {sentence}")
