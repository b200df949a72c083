"""Builds states of recorded disks, opens each, and counts what was found.

Rule 1: up to three quarters of the states are directed: right after each answer nothing unsynced survives;
        and wherever names are pending, every way is tried. The rest is drawn from the seed.
Rule 2: no state is judged twice; a moment at which nothing is pending has one.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bankrmi.config import Configuration
from bankrmi.robustness.power_loss.disk import Interval, intervals
from bankrmi.robustness.power_loss.judge import Removed, ServerJudge, WitnessJudge, rolled_back
from bankrmi.robustness.power_loss.operations import Named, Resized, Written
from bankrmi.robustness.power_loss.reference import Reference, read_reference
from bankrmi.robustness.power_loss.states import WAYS, Fate, State, Surviving, build, draw
from bankrmi.robustness.power_loss.story import DiskStory, Story, end_of

__all__ = ["PowerLossFindings", "UnsoundState", "reference_of", "search"]

_THOROUGH_EVERY = 4
_SEEDS_FOR_NAMES = 3
_MOST_DIRECTED = 0.75
_BARREN_ROUNDS = 5

Plan = dict[int, list[tuple[str, str]]]
"""Ways and seeds by the number of the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsoundState:
    """A state in which something is wrong; with the same recording it can be built again."""

    disk: str
    interval: int
    surviving: Surviving
    what: str
    state: State

    def __str__(self) -> str:
        lost = sum(fate is Fate.LOST for fate in self.surviving.fates)
        return (
            f"{self.disk}, after sync {self.interval}: {self.surviving.way} survives "
            f"({lost} of {len(self.surviving.fates)} changes lost, seed {self.surviving.seed}): {self.what}"
        )


@dataclass(slots=True, kw_only=True)
class PowerLossFindings:
    """What a search has done, and found."""

    states: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    intervals: int = 0
    intervals_tried: int = 0
    answers: int = 0
    answers_covered: int = 0
    seconds: float = 0.0
    violations: list[UnsoundState] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is known of an interval before its states are chosen."""

    number: int
    pending: int
    names: bool
    """Whether a change of names has come to those that are pending; some stay so for ever."""
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """One disk, and what of it was tried."""

    disk: DiskStory
    judge: ServerJudge | WitnessJudge
    moments: Sequence[_Moment]
    removals: Sequence[tuple[int, list[Removed]]]
    seen: set[tuple[int, tuple[object, ...]]] = field(default_factory=set)


def search(
    disks: Sequence[DiskStory],
    reference: Reference,
    configuration: Configuration,
    *,
    states: int,
    seed: str,
    say: Callable[[str], None] = lambda _: None,
) -> PowerLossFindings:
    """Judge `states` states of these disks (fewer if there are no more)."""
    findings, began = PowerLossFindings(), time.monotonic()
    trials = []
    for disk in disks:
        judge: ServerJudge | WitnessJudge
        if disk.is_witness:
            judge = WitnessJudge(configuration.service)
        else:
            judge = ServerJudge(disk.name, configuration, reference, foreign=disk.foreign)
        trials.append(_Trial(disk=disk, judge=judge, moments=_moments(disk), removals=_removals(disk)))
    try:
        for plans in _rounds(trials, findings, states, random.Random(seed)):
            for trial, plan in zip(trials, plans, strict=True):
                for _ in _judge_disk(trial, plan, findings):
                    say(
                        f"{findings.states} states, {len(findings.violations)} violations ({trial.disk.name})"
                    )
    finally:
        for trial in trials:
            trial.judge.close()
    _count(trials, findings)
    findings.seconds = time.monotonic() - began
    return findings


def _count(trials: Sequence[_Trial], findings: PowerLossFindings) -> None:
    for trial in trials:
        tried = {number for number, _ in trial.seen}
        findings.intervals += len(trial.moments)
        findings.intervals_tried += len(tried)
        findings.answers += sum(moment.answers for moment in trial.moments)
        findings.answers_covered += sum(moment.answers for moment in trial.moments if moment.number in tried)


def reference_of(story: Story, ledger: Mapping[int, int]) -> Reference:
    """Return what the servers agreed on at the end."""
    found = [
        read_reference(end_of(disk.operations), disk.name, ledger, story.told)
        for disk in {disk.name: disk for disk in story.disks if not disk.is_witness}.values()
    ]
    assert all(each.records == found[0].records for each in found), "the servers do not agree at the end"
    return found[0]


def _moments(disk: DiskStory) -> list[_Moment]:
    moments, known = [], set[int]()
    for interval in intervals(disk.operations):
        names = {id(one) for one in interval.pending if not isinstance(one, Written | Resized)}
        moments.append(
            _Moment(
                number=interval.number,
                pending=len(interval.pending),
                names=not names <= known,
                answers=interval.answers,
            )
        )
        known = names
    return moments[disk.begins_after :]


# -- which states ------------------------------------------------------------------------------------


def _rounds(
    trials: Sequence[_Trial], findings: PowerLossFindings, states: int, chance: random.Random
) -> Iterator[list[Plan]]:
    """Give plans until there are as many states, or no new ones are found: those drawn twice count once."""
    directed = _directed(trials, int(_MOST_DIRECTED * states), chance)
    busy = [[moment.number for moment in trial.moments if moment.pending] for trial in trials]
    barren = 0
    while findings.states < states and barren < _BARREN_ROUNDS:
        before = findings.states
        plans: list[Plan] = [defaultdict(list) for _ in trials]
        for disk, number, way, seed in directed:
            plans[disk][number].append((way, seed))
        for _ in range(states - before - len(directed)):
            disk = chance.choice([number for number, one in enumerate(busy) if one])
            drawn = (chance.choice(list(WAYS)), str(chance.randrange(1 << 32)))
            plans[disk][chance.choice(busy[disk])].append(drawn)
        yield plans
        directed = []
        barren = barren + 1 if findings.states == before else 0


Choice = tuple[int, int, str, str]
"""Number of the disk, of the interval, way and seed."""


def _directed(trials: Sequence[_Trial], limit: int, chance: random.Random) -> list[Choice]:
    """Return all that is to be tried in any case; where there is no room for all, some of each kind."""
    answers: list[Choice] = []
    names: list[Choice] = []
    for disk, trial in enumerate(trials):
        for moment in trial.moments:
            if moment.answers:
                answers.append((disk, moment.number, "nothing", ""))
            if moment.names:
                names += [
                    (disk, moment.number, way, f"names{seed}")
                    for way in WAYS
                    for seed in range(_SEEDS_FOR_NAMES)
                ]
    for_answers = min(len(answers), max(limit // 2, limit - len(names)))
    for_names = min(len(names), limit - for_answers)
    return chance.sample(answers, for_answers) + chance.sample(names, for_names)


# -- judging -----------------------------------------------------------------------------------------


def _judge_disk(trial: _Trial, plan: Plan, findings: PowerLossFindings) -> Iterator[None]:
    for interval in intervals(trial.disk.operations):
        for way, seed in plan.get(interval.number, ()):
            surviving = draw(interval, way, seed)
            # Two states that are torn differ in where they are torn.
            drawn = (*surviving.fates, seed) if Fate.TORN in surviving.fates else surviving.fates
            if (interval.number, drawn) in trial.seen:
                continue
            trial.seen.add((interval.number, drawn))
            findings.states += 1
            findings.ways[way] += 1
            state = build(interval, surviving)
            removed = [
                one for since, entries in trial.removals if since <= interval.number for one in entries
            ]
            what = trial.judge.judge(
                state, interval.told, removed=removed, thorough=findings.states % _THOROUGH_EVERY == 0
            )
            if what is not None:
                findings.violations.append(_violation(trial.disk, interval, surviving, what, state))
            yield


def _violation(
    disk: DiskStory, interval: Interval, surviving: Surviving, what: str, state: State
) -> UnsoundState:
    return UnsoundState(disk=disk.name, interval=interval.number, surviving=surviving, what=what, state=state)


def _removals(disk: DiskStory) -> list[tuple[int, list[Removed]]]:
    """Return what each record of what was rolled back holds at the end, and where it begins."""
    found = []
    begun: set[str] = set()
    for interval in intervals(disk.operations):
        for one in interval.pending:
            if isinstance(one, Named) and "/rolled-back-" in one.path and one.path not in begun:
                begun.add(one.path)
                content = end_of(disk.operations).files[one.path]
                found.append((interval.number, rolled_back({Path(one.path).name: content})))
    return found
