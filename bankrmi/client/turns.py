"""How many calls of a blocking client may be under way at once: each takes a turn, and gives it back.

Rule: no interruption, wherever it comes, may lose a turn, or leave others waiting for a lock. So turns are
      kept in a queue that is not written in Python, and one that nobody has any more goes back by itself.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from weakref import ref

__all__ = ["Turn", "Turns"]


class Turn:
    """The right to make one call.  It goes back when it is given back, or dropped."""

    __slots__ = ("_goes_to",)

    def __init__(self, queue: SimpleQueue[Turn]) -> None:
        self._goes_to: ref[SimpleQueue[Turn]] | None = ref(queue)

    def give_back(self) -> None:
        """Let another call have it; again does nothing."""
        queue = self._goes_to() if self._goes_to is not None else None
        if queue is not None:
            queue.put(Turn(queue))  # Interrupted after this, there is one more: better than one less.
        self._goes_to = None

    def __del__(self) -> None:
        self.give_back()


class Turns:
    """Those of one client in one process."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[Turn] = SimpleQueue()
        for _ in range(count):
            self._queue.put(Turn(self._queue))

    def __len__(self) -> int:
        """Return how many nobody has."""
        return self._queue.qsize()

    def take(self, seconds: float) -> Turn | None:
        """Return a turn, waiting for so long at most; None if there was none."""
        try:
            return self._queue.get(timeout=seconds)
        except Empty:
            return None
