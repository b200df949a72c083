"""What a rule is there for, as two histories of one seed: with the rule taken out, and with it in.

Rule 1: the history without the rule goes wrong, in the way that the bug is there for; with it nothing does.
Rule 2: what is told is bounded: where the two part, and what came before the harm was done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bankrmi.replication.messages import Acknowledged, Checkpoint
from bankrmi.robustness.mutants.hunting import SEEDS, mutant_named, planted
from bankrmi.robustness.mutants.mutant import Mutant
from bankrmi.robustness.simulator.chart import described, noted
from bankrmi.robustness.simulator.simulation import SimulationResult, simulate
from bankrmi.robustness.simulator.trace import COMMITTED, Arrival, Happening, Loss, Note

__all__ = ["TwoHistories", "two_histories"]

BEFORE_PARTING, AFTER_PARTING = 6, 40
BEFORE_FAILURE = 160
AFTERWARDS_MS = 400.0
"""How much longer the history with the rule in is told than the one that goes wrong."""

_LIVES = {"dies": "crash", "starts": "start", "pauses": "pause", "resumes": "resume", "leaves:": "crash"}
_ROLES = ("primary", "standby", "joining", "view")
_ROUTINE = ("ping", "who leads?", "read the view", "Heard", "Answered")
"""What is said all the time, and means nothing by itself."""

_TIMES = re.compile(r"\bat ([0-9.]+) s\b")
_PLACES = re.compile(r"(, s\d+ at s\d+(@\d+)?)+")
_SESSION = re.compile(r"\bt[0-9a-f]{19}([0-9a-f]{8})\b")

Step = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoHistories:
    """One seed, twice."""

    mutant: Mutant
    seed: int
    servers: int
    sentence: str
    """What the simulator saw."""
    parties: Sequence[str]
    without: Sequence[Step]
    with_rule: Sequence[Step]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.mutant.name,
            "rule": self.mutant.rule,
            "goes_wrong": self.mutant.goes_wrong,
            "kind": self.mutant.kind,
            "seed": self.seed,
            "servers": self.servers,
            "sentence": self.sentence,
            "parties": list(self.parties),
            "without": list(self.without),
            "with": list(self.with_rule),
        }


def two_histories(
    name: str, *, first: int = 0, seeds: int = SEEDS, on_seed: Callable[[int], None] = lambda _: None
) -> TwoHistories | None:
    """Return the first of `seeds` seeds that goes wrong without the rule, and not with it; None if none does.

    Each seed is told before it is tried.  Raises InvalidRequest if there is no such bug.
    """
    mutant_named(name)
    for seed in range(first, first + seeds):
        on_seed(seed)
        found = _tried(name, seed)
        if found is not None:
            return found
    return None


def _tried(name: str, seed: int) -> TwoHistories | None:
    with planted(name) as mutant:
        if not _goes_wrong(_run(mutant, seed), mutant):
            return None
        without = _run(mutant, seed, whole_trace=True)
    with_rule = _run(mutant, seed, whole_trace=True)
    if with_rule.failure is not None or without.failure is None:
        return None
    sentence = without.failure.rule.partition("\n")[0]
    wrong, right = _until_harm(_steps(without), sentence), _steps(with_rule)
    parting = _parting(wrong, right)
    last = max(0, len(wrong) - BEFORE_FAILURE)
    begins_ms, ends_ms = (wrong[last]["t_ms"], wrong[-1]["t_ms"]) if wrong else (0.0, 0.0)
    right = [step for step in right if step["t_ms"] <= ends_ms + AFTERWARDS_MS]
    since = next((at for at, step in enumerate(right) if step["t_ms"] >= begins_ms), len(right))
    return TwoHistories(
        mutant=mutant,
        seed=seed,
        servers=without.servers,
        sentence=_shortened(sentence),
        parties=without.parties,
        without=_told(wrong, parting, last),
        with_rule=_told(right, parting, since),
    )


def _until_harm(steps: list[Step], sentence: str) -> list[Step]:
    """Return the steps up to when the harm was done, where that is told: it may be seen only at the end."""
    times = [1000 * float(told) for told in _TIMES.findall(sentence)]
    if not times:
        return steps
    return [step for step in steps if step["t_ms"] <= max(times) + 2] or steps


def _shortened(words: str) -> str:
    """Leave out where everybody lives, and all of a session's name but its end."""
    return _SESSION.sub(r"t…\1", _PLACES.sub("", words))


def _run(mutant: Mutant, seed: int, *, whole_trace: bool = False) -> SimulationResult:
    return simulate(
        seed,
        servers=mutant.servers_for(seed),
        clocks_apart=mutant.clocks_apart,
        under_load=mutant.under_load,
        workload=mutant.workload_for(seed),
        duration_ms=mutant.duration_ms,
        whole_trace=whole_trace,
    )


def _goes_wrong(result: SimulationResult, mutant: Mutant) -> bool:
    return result.failure is not None and result.failure.kind == mutant.kind


def _steps(result: SimulationResult) -> list[Step]:
    servers = {party for party in result.parties if party.startswith("s")}
    heartbeats: set[tuple[int, int]] = set()
    return [_step(one, servers, heartbeats) for one in result.trace]


def _step(happening: Happening, servers: set[str], heartbeats: set[tuple[int, int]]) -> Step:
    """Return one as the page draws it; `heartbeats` are the checkpoints so far that carried nothing."""
    step: Step
    match happening:
        case Note(who=who, sentence=sentence, details=details):
            kind = _kind_of(sentence)
            step = {"kind": kind, "who": who, "words": noted(sentence, details)}
            if kind == "role" and details:
                step["words"] = _role_in_words(sentence, details[0])
        case Arrival(sender=sender, receiver=receiver, what=what, sent_ms=sent_ms):
            kind = "answer" if receiver[0] not in "sw" and sender in servers else "message"
            step = {"kind": kind, "from": sender, "to": receiver, "words": described(what)}
            step["sent_ms"] = round(sent_ms, 3)
        case Loss(sender=sender, receiver=receiver, what=what):
            step = {"kind": "lost", "from": sender, "to": receiver, "words": described(what)}
    if not isinstance(happening, Note) and _is_routine(happening.what, heartbeats):
        step["routine"] = True
    return {**step, "words": _shortened(step["words"]), "t_ms": round(happening.now_ms, 3)}


def _kind_of(sentence: str) -> str:
    """Return what a note is about."""
    if sentence == COMMITTED:
        return "commit"
    first = sentence.partition(" ")[0].rstrip(",")
    return "role" if first in _ROLES else _LIVES.get(first, "note")


def _role_in_words(role: str, told: Mapping[str, Any]) -> str:
    """Return what a server has become, and why."""
    was = f" (was {told['was']})" if "was" in told else ""
    epoch = f", epoch {told['epoch']}" if "epoch" in told else ""
    cause = told.get("cause", told.get("why"))
    return f"{'is' if was else ''} {role}{was}{epoch}{f': {cause}' if cause else ''}".strip()


def _is_routine(what: Any, heartbeats: set[tuple[int, int]]) -> bool:
    match what:
        case Checkpoint(epoch=epoch, number=number, records=records):
            if not records:
                heartbeats.add((epoch, number))
            return not records
        case Acknowledged(epoch=epoch, number=number):
            return (epoch, number) in heartbeats
        case _:
            return described(what) in _ROUTINE


def _parting(wrong: Sequence[Step], right: Sequence[Step]) -> int:
    """Return the place of the first step that differs."""
    pairs = zip(wrong, right, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(wrong), len(right)))


def _told(steps: Sequence[Step], parting: int, last: int) -> list[Step]:
    """Return what is told: where the histories part, and the last of it; what is between is counted."""
    begin, parted = max(0, parting - BEFORE_PARTING), min(len(steps), parting + AFTER_PARTING)
    marked = [{**step, "parts": True} if at == parting else step for at, step in enumerate(steps)]
    if last <= parted:  # It is one piece.
        return marked[min(begin, last) :]
    return [*marked[begin:parted], _gap(steps, parted, last), *marked[last:]]


def _gap(steps: Sequence[Step], from_: int, to: int) -> Step:
    lasted_ms = steps[to]["t_ms"] - steps[from_ - 1]["t_ms"] if to < len(steps) else 0.0
    words = f"{to - from_} steps, {lasted_ms / 1000:.1f} s"
    return {"kind": "gap", "words": words, "t_ms": steps[from_]["t_ms"]}
