"""The one order of all requests, made of the accounts' own orders and of the clock.

Action ids count for each account, so the database holds an order for each, and none for all. But a request is
done as a whole, so it stands in the orders of all its accounts at once; and whoever was answered before
another asked comes first. If there is an order of all that keeps to all of that, it is found here, and
everything was done in that order, one request after the other: the accounts are linearizable, and transfers
atomic. If there is none, that is what is found.

    a step   one request, or one read of one account; from when it may have happened, until when it has
    an edge  it stands before another in the order of an account

Rule 1: a step began no earlier than those that it follows, and was over no later than those that follow it.
        If some step must then be over before it began, there is no such order. (Two steps whose times exclude
        each other are enough for that: of a circle with more of them, one leads back to two.)
Rule 2: of the steps that may come next, the one comes that must be over first.
Source: Herlihy and Wing 1990, linearizability is local; here steps have several objects.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["NEVER_NS", "OneOrder", "OrderedStep", "in_one_order"]

NEVER_NS = 1 << 62
"""When a step is over of which nobody was told."""


@dataclass(slots=True, kw_only=True)
class OrderedStep:
    """Something that happened at one moment, from `begun_ns` (first asked) to `over_ns` (first answered)."""

    words: str
    begun_ns: int
    over_ns: int
    before: list[int] = field(default_factory=list)
    """Places of those that come right before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOrder:
    """What was found: the places of all steps in their order, and the times that are left for each."""

    places: Sequence[int]
    begun_ns: Sequence[int]
    over_ns: Sequence[int]
    contradictions: Sequence[str]


def in_one_order(steps: Sequence[OrderedStep]) -> OneOrder:
    """Return an order of all steps that keeps to every edge, and to the clock if that can be."""
    after: list[list[int]] = [[] for _ in steps]
    for place, step in enumerate(steps):
        for before in step.before:
            after[before].append(place)
    first = _sorted(steps, after, [0] * len(steps))
    contradictions = []
    if len(first) < len(steps):
        circle = _in_a_circle(steps, set(range(len(steps))) - set(first))
        contradictions.append(f"these stand before each other, so one was half done: {'; '.join(circle)}")
        first = [*first, *sorted(set(range(len(steps))) - set(first))]
    begun, over = list(range(len(steps))), list(range(len(steps)))  # By whom a time is set.
    for place in first:
        latest = max(
            (begun[before] for before in steps[place].before),
            key=lambda one: steps[one].begun_ns,
            default=place,
        )
        if steps[latest].begun_ns > steps[place].begun_ns:
            begun[place] = latest
    for place in reversed(first):
        soonest = min(
            (over[other] for other in after[place]), key=lambda one: steps[one].over_ns, default=place
        )
        if steps[soonest].over_ns < steps[place].over_ns:
            over[place] = soonest
    contradictions += _contradictions(steps, begun, over)
    over_ns = [steps[place].over_ns for place in over]
    ordered = _sorted(steps, after, over_ns)
    return OneOrder(
        places=ordered if len(ordered) == len(steps) else first,
        begun_ns=[steps[place].begun_ns for place in begun],
        over_ns=over_ns,
        contradictions=contradictions,
    )


def _sorted(steps: Sequence[OrderedStep], after: Sequence[Sequence[int]], rank: Sequence[int]) -> list[int]:
    """Return the places of those that no circle holds up, in an order that every edge allows."""
    waits_for = [len(step.before) for step in steps]
    ready = [(rank[place], place) for place, count in enumerate(waits_for) if not count]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, place = heapq.heappop(ready)
        ordered.append(place)
        for other in after[place]:
            waits_for[other] -= 1
            if not waits_for[other]:
                heapq.heappush(ready, (rank[other], other))
    return ordered


def _in_a_circle(steps: Sequence[OrderedStep], held_up: set[int]) -> list[str]:
    """Return the steps of one circle, in words."""
    place, seen = min(held_up), list[int]()
    while place not in seen:
        seen.append(place)
        place = next(before for before in steps[place].before if before in held_up)
    return [steps[one].words for one in seen[seen.index(place) :][:6]]


def _contradictions(steps: Sequence[OrderedStep], begun: Sequence[int], over: Sequence[int]) -> Iterable[str]:
    """Yield a sentence for each two steps whose order in the accounts is not that of the clock."""
    told = set()
    for place in range(len(steps)):
        later, earlier = begun[place], over[place]
        if steps[later].begun_ns > steps[earlier].over_ns and (later, earlier) not in told:
            told.add((later, earlier))
            yield (
                f"{steps[later].words} was asked for when {steps[earlier].words} was over, "
                "and stands before it in the order of the accounts"
            )
