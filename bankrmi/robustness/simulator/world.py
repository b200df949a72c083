"""Time, chance and the network of a simulated cluster: one heap of events, one seeded generator.

Rule 1: everything that happens is an event of this heap; the same seed and code give the same events.
Rule 2: a message is delayed, and may be lost, doubled or overtaken; a cut stops one direction. Where nothing
        goes wrong, none overtakes another on its way.
Rule 3: what happens leaves a trace of values; it becomes text only when somebody wants to read it.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from bankrmi.robustness.simulator.faults import Faults
from bankrmi.robustness.simulator.trace import Arrival, Happening, Loss, Note

__all__ = ["FARTHEST_MS", "TRACE_LENGTH", "World", "both_ways"]

TRACE_LENGTH = 400

FARTHEST_MS = 65.0
"""One way. An answer of the witness that takes longer comes too late."""

LATE_AT_MOST_MS = 8000.0
"""How late a duplicate may come: long after whoever sent it has given up."""


class World:
    """The simulated time and network."""

    def __init__(
        self,
        seed: int,
        *,
        trace_length: int | None = TRACE_LENGTH,
        faultless: bool = False,
        haste: float = 1.0,
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.faults = Faults.none() if faultless else Faults.drawn(self.chance).hurried(haste)
        self.now_ms = 0.0
        self.events = 0
        self.quiet = False  # Faults have stopped.
        self.trace: deque[Happening] = deque(maxlen=trace_length)
        self._heap: list[tuple[float, int, Callable[[], None], Happening | None]] = []
        self._order = 0
        self._cuts: Counter[tuple[str, str]] = Counter()
        self._cuts_made: set[int] = set()
        self._distances: dict[tuple[str, str], float] = {}
        self._lags: dict[tuple[str, str], float] = {}
        self._ids = 0
        self._arrivals_ms: dict[tuple[str, str], float] | None = {} if faultless else None

    def after(self, delay_ms: float, action: Callable[[], None], happening: Happening | None = None) -> None:
        """Do something later; `happening` is what the trace says of it then."""
        self._order += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._order, action, happening))

    def run_until(self, end_ms: float, stop: Callable[[], bool] | None = None) -> None:
        """Let events happen until the time is over, or `stop` says so."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= end_ms and not (stop is not None and stop()):
            self.now_ms, _, action, happening = pop(heap)
            self.events += 1
            if happening is not None:
                self.trace.append(happening.at(self.now_ms))
            action()

    def note(self, who: str, sentence: str, *details: Any) -> None:
        """Add what happened to somebody to the trace."""
        self.trace.append(Note(self.now_ms, who, sentence, details))

    def new_id(self) -> str:
        """Return an id of this world."""
        self._ids += 1
        return f"id{self._ids}"

    def happens(self, probability: float) -> bool:
        """Draw, unless faults have stopped."""
        return probability > 0 and not self.quiet and self.chance.random() < probability

    # -- network ---------------------------------------------------------------------------------

    def place_far(self, pairs: set[tuple[str, str]], distance_ms: float) -> None:
        """Let messages in these directions take `distance_ms` longer for ever: nothing is wrong with that."""
        self._distances.update(dict.fromkeys(pairs, distance_ms))
        self.lag(pairs, 0)

    def delay_ms(self) -> float:
        """Draw how long a message takes, besides the distance."""
        if self.happens(self.faults.slow):
            return self.chance.uniform(5, 1500)
        return 0.05 + 0.95 * self.chance.random()

    def travel_ms(self, sender: str, receiver: str) -> float:
        """Draw how long something takes in this direction, with the distance."""
        return self.delay_ms() + self._lags.get((sender, receiver), 0.0)

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether messages in this direction get lost now."""
        return self._cuts[sender, receiver] > 0

    def are_apart(self, one: str, other: str) -> bool:
        """Whether a question or its answer gets lost between these two now."""
        return self.is_cut(one, other) or self.is_cut(other, one)

    def send(self, sender: str, receiver: str, what: Any, deliver: Callable[[], None]) -> None:
        """Carry a message; it may be lost, doubled, overtaken.  `what` is for the trace."""
        if (self._cuts and self.is_cut(sender, receiver)) or self.happens(self.faults.loss):
            self.trace.append(Loss(self.now_ms, sender, receiver, what))
            return
        arrival = Arrival(self.now_ms, self.now_ms, sender, receiver, what)
        lag_ms = self._lags.get((sender, receiver), 0.0) if self._lags else 0.0
        delay_ms = self.delay_ms() + lag_ms
        if self._arrivals_ms is not None:
            delay_ms = max(delay_ms, self._arrivals_ms.get((sender, receiver), 0.0) - self.now_ms)
            self._arrivals_ms[sender, receiver] = self.now_ms + delay_ms
        self.after(delay_ms, deliver, arrival)
        if self.happens(self.faults.doubling):
            self.after(self.delay_ms() + lag_ms + self._lateness_ms(), deliver, arrival)

    def _lateness_ms(self) -> float:
        late = self.faults.late_doubles and self.chance.random() < self.faults.late_doubles
        return self.chance.uniform(0, LATE_AT_MOST_MS if late else 300)

    def lag(self, pairs: set[tuple[str, str]], lag_ms: float) -> None:
        """Let messages in these directions take `lag_ms` longer from now on, besides the distance."""
        for pair in pairs:
            if later_ms := lag_ms + self._distances.get(pair, 0.0):
                self._lags[pair] = later_ms
            else:
                self._lags.pop(pair, None)

    def cut(self, pairs: set[tuple[str, str]]) -> Callable[[], None]:
        """Lose every message in these directions from now on; return what heals this cut and no other."""
        self._order += 1
        number = self._order
        self._cuts_made.add(number)
        self._cuts.update(pairs)

        def heal() -> None:
            if number in self._cuts_made:
                self._cuts_made.discard(number)
                self._cuts.subtract(pairs)

        return heal

    def heal_all(self) -> None:
        """Let every message through again."""
        self._cuts.clear()
        self._cuts_made.clear()
        self._lags = dict(self._distances)


def both_ways(some: set[str], others: set[str]) -> set[tuple[str, str]]:
    """Return every direction between the two sides."""
    return {pair for one in some for other in others for pair in ((one, other), (other, one))}
