"""Breadth first through every order of events; what goes wrong is found in the fewest steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bankrmi.robustness.checker.without_collector import without_collector
from tests.model import disks, follower, leader, leases, mover, witness
from tests.model.bounds import Bounds
from tests.model.laws import Laws, Step
from tests.model.promises import broken
from tests.model.rules import Rule
from tests.model.state import Disk, Message, Server, State, View

__all__ = ["Found", "beginning", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of a search; `steps` lead to what is `wrong`, if anything is."""

    states: int
    steps_tried: int
    seconds: float
    complete: bool
    wrong: str | None = None
    steps: tuple[str, ...] = ()


def beginning(laws: Laws) -> Iterator[State]:
    """Return the worlds to begin with: the first server leads epoch 1; each has a lease of its own."""
    bounds = laws.bounds
    count = bounds.servers
    members = tuple(int(place < (bounds.members or count)) for place in range(count))
    homes = members if bounds.changes else ()
    for drawn in _draws(bounds.leases or (0,), count):
        servers = tuple(
            Server(
                incarnation=1,
                disk=Disk((), 1, led=place == 0),
                waits=(0,) * count,
                lease=drawn[place],
                file=homes,
                knows=homes,
                granted_at=homes,
            )
            for place in range(count)
        )
        first = servers[0]._replace(leads=True, members=members, mandatory=(0,) * count)
        yield State(
            view=View(1, 0, members, homes=homes),
            proposals=frozenset(),
            servers=(first, *servers[1:]),
            sent=frozenset({Message(1, 0, 0, (), drawn[0])}),
            acknowledgements=frozenset(),
            acknowledged=frozenset(),
            leases=frozenset(),
            crashes=bounds.crashes,
            disks=bounds.disks,
            restores=bounds.restores,
            forces=bounds.forces,
            changes=bounds.changes,
        )


def _draws(lengths: tuple[int, ...], count: int) -> Iterator[tuple[int, ...]]:
    if not count:
        yield ()
        return
    for rest in _draws(lengths, count - 1):
        for length in lengths:
            yield (length, *rest)


def _happenings(laws: Laws, state: State) -> Iterator[Step]:
    yield from witness.happenings(laws, state)
    yield from mover.happenings(laws, state)
    for place in range(len(state.servers)):
        yield from disks.happenings(laws, state, place)
        yield from leases.happenings(laws, state, place)
        yield from leader.happenings(laws, state, place)
        yield from follower.happenings(laws, state, place)


def _forgetting(laws: Laws, state: State) -> State:
    """Drop what makes no difference any more: messages that nobody takes, words for a leader that is gone."""
    if laws.keep(Rule.A2_ADOPTED) and not state.disks:
        lowest = min([server.disk.adopted for server in state.servers])
        sent = [message for message in state.sent if message.epoch >= lowest]
        if len(sent) < len(state.sent):
            state = state._replace(sent=frozenset(sent))
    if not state.acknowledgements and not state.leases:
        return state
    led = {server.memory.adopted for server in state.servers if server.leads}
    if not laws.keep(Rule.V4_FRESH):
        led.add(state.view.epoch)
    heard = [one for one in state.acknowledgements if one.epoch in led or not laws.keep(Rule.A5_EPOCH)]
    if len(heard) < len(state.acknowledgements):
        state = state._replace(acknowledgements=frozenset(heard))
    held = [lease for lease in state.leases if lease.epoch in led]
    if len(held) < len(state.leases):
        state = state._replace(leases=frozenset(held))
    return state


@without_collector()  # States have no cycles, and there are millions.
def search(
    bounds: Bounds,
    *,
    without: Collection[Rule] = (),
    story: Sequence[str] = (),
    at_most: int = 3_000_000,
) -> Found:
    """Try every order of events, or `at_most` states; end with the first that breaks a promise.

    `story` are the sentences with which every order begins; the search goes on from there.
    """
    laws = Laws(bounds, frozenset(without))
    began = time.monotonic()
    cause: dict[State, tuple[State, tuple[str | int, ...]] | None] = {}
    queue: deque[State] = deque()
    tried = 0

    def found(*, complete: bool, wrong: str | None = None, steps: Iterable[str] = ()) -> Found:
        return Found(
            states=len(cause),
            steps_tried=tried,
            seconds=time.monotonic() - began,
            complete=complete,
            wrong=wrong,
            steps=tuple(steps),
        )

    for first in beginning(laws):
        told = _follow(laws, first, story, cause)
        if told is not None:
            queue.append(told)
    assert queue, "nothing begins like that"
    while queue:
        state = queue.popleft()
        for what, after in _happenings(laws, state):
            tried += 1
            reached = _forgetting(laws, after)
            known = len(cause)
            cause.setdefault(reached, (state, what))
            if len(cause) == known:
                continue
            wrong = broken(laws, reached)
            if wrong is not None:
                return found(complete=False, wrong=wrong, steps=_way_to(reached, cause))
            queue.append(reached)
        if len(cause) > at_most:
            return found(complete=False)
    return found(complete=True)


def _follow(
    laws: Laws,
    state: State,
    story: Sequence[str],
    cause: dict[State, tuple[State, tuple[str | int, ...]] | None],
) -> State | None:
    """Return the world after a story, None if that cannot be."""
    cause[state] = None
    for sentence in story:
        for what, after in _happenings(laws, state):
            if _sentence(what) == sentence:
                before, state = state, _forgetting(laws, after)
                cause[state] = (before, what)
                break
        else:
            return None
    return state


def _way_to(state: State, cause: dict[State, tuple[State, tuple[str | int, ...]] | None]) -> list[str]:
    steps = []
    before = cause[state]
    while before is not None:
        state, what = before
        steps.append(_sentence(what))
        before = cause[state]
    return steps[::-1]


def _sentence(what: tuple[str | int, ...]) -> str:
    verb, *numbers = what
    return f"{numbers[0]} {verb} {' '.join(map(str, numbers[1:]))}".rstrip()
