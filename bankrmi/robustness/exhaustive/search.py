"""Every order of events within bounds, breadth first, over production's rules and journal.

Rule 1: what is found first is found with the least haste, and then in the fewest events.
Rule 2: a search is complete when nothing new can happen within its bounds; else it says how far it got.
Assumption: two states of a bank do not share a hash of 64 bits (among ten million states, one chance in
        three hundred thousand); states are recognized by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bankrmi.robustness.exhaustive import client
from bankrmi.robustness.exhaustive.bank import MoveGenerator
from bankrmi.robustness.exhaustive.beginning import first_state
from bankrmi.robustness.exhaustive.bounds import SearchBounds
from bankrmi.robustness.exhaustive.promises import PromiseCheck
from bankrmi.robustness.exhaustive.server import Servers
from bankrmi.robustness.exhaustive.state import BrokenPromise, Label, State
from bankrmi.robustness.exhaustive.words import in_words

__all__ = ["Counterexample", "Explored", "explore"]

_LOOK_AT_THE_CLOCK_EVERY = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """A promise that was broken, and how it came to that: one event a line."""

    sentence: str
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """How far a search got.

    `haste` is the greatest number of hasty events up to which it is complete (None: not even without);
    `depth` the most events in a row; `server_states` and `steps` count what production's code was asked.
    """

    bounds: SearchBounds
    states: int = 0
    transitions: int = 0
    depth: int = 0
    haste: int | None = None
    complete: bool = False
    seconds: float = 0.0
    server_states: int = 0
    steps: int = 0
    violation: Counterexample | None = None


def explore(
    bounds: SearchBounds,
    seconds: float = float("inf"),
    progress: Callable[[Explored], None] = lambda _: None,
) -> Explored:
    """Search until there is nothing new, a promise is broken, or the time is over."""
    return _Search(bounds, seconds, progress).run()


@dataclass(slots=True)
class _Search:
    bounds: SearchBounds
    time_s: float
    progress: Callable[[Explored], None]
    began_s: float = field(default_factory=time.monotonic)
    transitions: int = 0
    depth: int = 0
    haste: int | None = None
    parents: dict[int, int] = field(default_factory=dict)  # By hash; the first state has itself.
    later: dict[int, tuple[State, int]] = field(default_factory=dict)  # What comes in haste, and its parent.
    servers: Servers = field(init=False)
    bank: MoveGenerator = field(init=False)
    promises: PromiseCheck = field(init=False)

    def __post_init__(self) -> None:
        settings, landmarks_ms, pace = self.bounds.timing()
        self.servers = Servers(settings, landmarks_ms, client.asked)
        self.bank = MoveGenerator(self.servers, pace)
        self.promises = PromiseCheck(self.servers)

    def run(self) -> Explored:
        try:
            first = first_state(self.bank, self.bounds)
        except BrokenPromise as broken:
            line = in_words(self.servers, broken.label)
            return self._explored(Counterexample(sentence=broken.sentence, trace=("while it begins:", line)))
        self.parents[hash(first)] = hash(first)
        layer = [first]
        try:
            for haste in range(self.bounds.haste + 1):
                if not self._exhaust(layer):
                    return self._explored()
                self.haste = haste
                layer = self._begin_haste()
        except _Found as found:
            trace = self._trace(first, found)
            return self._explored(violation=Counterexample(sentence=found.sentence, trace=trace))
        return replace(self._explored(), complete=True)

    def _exhaust(self, layer: list[State]) -> bool:
        """Follow everything that costs no haste; return whether there was time for that."""
        depth = 0
        while layer:
            depth += 1
            self.depth = max(self.depth, depth)
            following: list[State] = []
            for number, state in enumerate(layer):
                self._expand(state, following)
                if number % _LOOK_AT_THE_CLOCK_EVERY == 0 and self._time_is_over():
                    return False
            layer = following
        return True

    def _expand(self, state: State, following: list[State]) -> None:
        parents, parent = self.parents, hash(state)
        try:
            moves = self.bank.moves(state)
            if (self.haste or 0) + (self.haste is not None) < self.bounds.haste:
                self._keep_for_later(self.bank.hasty_moves(state), parent)
        except BrokenPromise as broken:
            raise _Found(parent, broken.label, broken.sentence) from broken
        self.transitions += len(moves)
        for label, after in moves:
            known = hash(after)
            if known not in parents:
                parents[known] = parent
                self._check(parent, label, after)
                following.append(after)

    def _keep_for_later(self, hasty: list[tuple[Label, State]], parent: int) -> None:
        self.transitions += len(hasty)
        for label, after in hasty:
            known = hash(after)
            if known not in self.parents and known not in self.later:
                self._check(parent, label, after)
                self.later[known] = (after, parent)

    def _begin_haste(self) -> list[State]:
        later, self.later = self.later, {}
        fresh = [
            (known, state, parent) for known, (state, parent) in later.items() if known not in self.parents
        ]
        for known, _, parent in fresh:
            self.parents[known] = parent
        return [state for _, state, _ in fresh]

    def _check(self, parent: int, label: Label, after: State) -> None:
        why = self.promises.broken(after)
        if why:
            raise _Found(parent, label, why)

    def _time_is_over(self) -> bool:
        self.progress(self._explored())
        return time.monotonic() - self.began_s > self.time_s

    def _explored(self, violation: Counterexample | None = None) -> Explored:
        return Explored(
            bounds=self.bounds,
            states=len(self.parents),
            transitions=self.transitions,
            depth=self.depth,
            haste=self.haste,
            seconds=time.monotonic() - self.began_s,
            server_states=len(self.servers),
            steps=self.servers.steps,
            violation=violation,
        )

    def _trace(self, first: State, found: _Found) -> tuple[str, ...]:
        """Walk again from the first state to where it went wrong: only hashes were kept."""
        way = [found.parent]
        while way[-1] != self.parents[way[-1]]:
            way.append(self.parents[way[-1]])
        state, lines = first, []
        for known in reversed(way[:-1]):
            moves = self.bank.moves(state) + self.bank.hasty_moves(state)
            label, state = next(move for move in moves if hash(move[1]) == known)
            lines.append(in_words(self.servers, label))
        return (*lines, in_words(self.servers, found.label))


class _Found(Exception):
    """A promise is broken by what happens to the state with the hash `parent`."""

    def __init__(self, parent: int, label: Label, sentence: str) -> None:
        super().__init__(sentence)
        self.parent, self.label, self.sentence = parent, label, sentence
