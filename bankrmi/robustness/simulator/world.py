"""Time, chance and the network of a simulated cluster: one heap of events, one seeded generator.

Rule 1: everything that happens is an event of this heap; the same seed and code give the same events.
Rule 2: a message is delayed, and may be lost, doubled or overtaken; a cut stops one direction.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable

from bankrmi.robustness.simulator.faults import Faults

__all__ = ["World"]

TRACE_LENGTH = 400


class World:
    """The simulated time and network."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.faults = Faults.drawn(self.chance)
        self.now_ms = 0.0
        self.events = 0
        self.quiet = False  # Faults have stopped.
        self.trace: deque[str] = deque(maxlen=TRACE_LENGTH)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._cuts: set[tuple[str, str]] = set()
        self._lags: dict[tuple[str, str], float] = {}
        self._ids = 0

    def after(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self._order += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._order, action))

    def run_until(self, end_ms: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let events happen until the time is over, or `stop` says so."""
        while self._heap and self._heap[0][0] <= end_ms and not stop():
            self.now_ms, _, action = heapq.heappop(self._heap)
            self.events += 1
            action()

    def note(self, sentence: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.now_ms:10.3f}  {sentence}")

    def new_id(self) -> str:
        """Return an id of this world."""
        self._ids += 1
        return f"id{self._ids}"

    def happens(self, probability: float) -> bool:
        """Draw, unless faults have stopped."""
        return not self.quiet and probability > 0 and self.chance.random() < probability

    # -- network ---------------------------------------------------------------------------------

    def delay_ms(self) -> float:
        """Draw how long a message takes."""
        if self.happens(self.faults.slow):
            return self.chance.uniform(5, 1500)
        return self.chance.uniform(0.05, 1.0)

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether messages in this direction get lost now."""
        return (sender, receiver) in self._cuts

    def send(self, sender: str, receiver: str, deliver: Callable[[], None]) -> None:
        """Carry a message; it may be lost, doubled, overtaken."""
        if self.is_cut(sender, receiver) or self.happens(self.faults.loss):
            return
        lag_ms = self._lags.get((sender, receiver), 0.0) if self._lags else 0.0
        self.after(self.delay_ms() + lag_ms, deliver)
        if self.happens(self.faults.doubling):
            self.after(self.delay_ms() + lag_ms + self.chance.uniform(0, 300), deliver)

    def lag(self, pairs: set[tuple[str, str]], lag_ms: float) -> None:
        """Let messages in these directions take so much longer from now on."""
        for pair in pairs:
            if lag_ms:
                self._lags[pair] = lag_ms
            else:
                self._lags.pop(pair, None)

    def cut(self, pairs: set[tuple[str, str]]) -> None:
        """Lose every message in these directions from now on."""
        self._cuts |= pairs

    def heal(self, pairs: set[tuple[str, str]] | None = None) -> None:
        """Let messages through again."""
        self._cuts = self._cuts - pairs if pairs is not None else set()
        if pairs is None:
            self._lags.clear()
