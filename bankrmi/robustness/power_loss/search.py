"""Builds states of recorded disks, opens each, and counts what was found.

Rule 1: half of the states are directed: right after each answer nothing unsynced survives; and wherever names
        are pending, every way is tried. The rest is drawn from the seed.
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

__all__ = ["Findings", "Violation", "reference_of", "search"]

_THOROUGH_EVERY = 4
_SEEDS_FOR_NAMES = 3

Plan = dict[int, list[tuple[str, str]]]
"""Ways and seeds by the number of the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
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
class Findings:
    """What a search has done, and found."""

    states: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    intervals: int = 0
    intervals_tried: int = 0
    answers: int = 0
    answers_covered: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is known of an interval before its states are chosen."""

    number: int
    pending: int
    names: bool
    answers: int


def search(
    disks: Sequence[DiskStory],
    reference: Reference,
    configuration: Configuration,
    *,
    states: int,
    seed: str,
    say: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Judge about so many states of these disks."""
    findings, began = Findings(), time.monotonic()
    moments = [_moments(disk) for disk in disks]
    plans = _plans(moments, states, random.Random(seed))
    for disk, known, plan in zip(disks, moments, plans, strict=True):
        findings.intervals += len(known)
        findings.answers += sum(moment.answers for moment in known)
        judge: ServerJudge | WitnessJudge
        if disk.is_witness:
            judge = WitnessJudge(configuration.service)
        else:
            judge = ServerJudge(disk.name, configuration, reference, foreign=disk.foreign)
        try:
            for _ in _judge_disk(disk, plan, judge, findings):
                say(f"{findings.states} states, {len(findings.violations)} violations ({disk.name})")
        finally:
            judge.close()
    findings.seconds = time.monotonic() - began
    return findings


def reference_of(story: Story, ledger: Mapping[int, int]) -> Reference:
    """Return what the servers agreed on at the end."""
    found = [
        read_reference(end_of(disk.operations), disk.name, ledger, story.told)
        for disk in {disk.name: disk for disk in story.disks if not disk.is_witness}.values()
    ]
    assert all(each.entries == found[0].entries for each in found), "the servers do not agree at the end"
    return found[0]


def _moments(disk: DiskStory) -> list[_Moment]:
    return [
        _Moment(
            number=interval.number,
            pending=len(interval.pending),
            names=any(not isinstance(change, Written | Resized) for change in interval.pending),
            answers=interval.answers,
        )
        for interval in intervals(disk.operations)
        if interval.number >= disk.begins_after
    ]


# -- which states ------------------------------------------------------------------------------------


def _plans(moments: Sequence[Sequence[_Moment]], states: int, chance: random.Random) -> list[Plan]:
    plans: list[Plan] = [defaultdict(list) for _ in moments]
    directed = list(_directed(moments))
    if len(directed) > states // 2:
        directed = chance.sample(directed, states // 2)
    for disk, number, way, seed in directed:
        plans[disk][number].append((way, seed))
    busy = [[moment.number for moment in known if moment.pending] for known in moments]
    for index in range(states - len(directed)):
        disk = chance.choice([number for number, one in enumerate(busy) if one])
        plans[disk][chance.choice(busy[disk])].append((chance.choice(list(WAYS)), f"{index}"))
    return plans


def _directed(moments: Sequence[Sequence[_Moment]]) -> Iterator[tuple[int, int, str, str]]:
    for disk, known in enumerate(moments):
        for moment in known:
            if moment.answers:
                yield disk, moment.number, "nothing", ""
            if moment.names:
                for way in WAYS:
                    for seed in range(_SEEDS_FOR_NAMES):
                        yield disk, moment.number, way, f"names{seed}"


# -- judging -----------------------------------------------------------------------------------------


def _judge_disk(
    disk: DiskStory, plan: Plan, judge: ServerJudge | WitnessJudge, findings: Findings
) -> Iterator[None]:
    removed, since = _rolled_back(disk)
    for interval in intervals(disk.operations):
        seen: set[tuple[Fate, ...]] = set()
        for way, seed in plan.get(interval.number, ()):
            surviving = draw(interval, way, seed)
            if surviving.fates in seen and Fate.TORN not in surviving.fates:
                continue
            seen.add(surviving.fates)
            findings.states += 1
            findings.ways[way] += 1
            state = build(interval, surviving)
            what = judge.judge(
                state,
                interval.told,
                removed=removed if interval.number >= since else (),
                thorough=findings.states % _THOROUGH_EVERY == 0,
            )
            if what is not None:
                findings.violations.append(_violation(disk, interval, surviving, what, state))
            yield
        findings.intervals_tried += bool(seen)
        findings.answers_covered += interval.answers if seen else 0


def _violation(
    disk: DiskStory, interval: Interval, surviving: Surviving, what: str, state: State
) -> Violation:
    return Violation(disk=disk.name, interval=interval.number, surviving=surviving, what=what, state=state)


def _rolled_back(disk: DiskStory) -> tuple[list[Removed], int]:
    """Return what was rolled back on this disk, and the first interval in which the record is begun."""
    for interval in intervals(disk.operations):
        if any(isinstance(one, Named) and "/rolled-back-" in one.path for one in interval.pending):
            records = {Path(path).name: content for path, content in end_of(disk.operations).files.items()}
            return rolled_back(records), interval.number
    return [], 0
