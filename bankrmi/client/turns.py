"""How many calls of a blocking client may be under way at once: each takes a turn, and gives it back.

Rule: no interruption, wherever it comes, may lose a turn, or leave others waiting for a lock. So turns are
      kept in a queue that is not written in Python, and one that nobody has any more goes back by itself.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from weakref import ref

__all__ = ["Turn", "Turns"]


class Turn:
    """The right to make one call.  It goes back when it is given back, or dropped.

    Who has it holds its queue; a queue does not hold itself by those that are in it.
    """

    __slots__ = ("_goes_to", "_queue")

    def __init__(self, queue: SimpleQueue[Turn]) -> None:
        self._goes_to: ref[SimpleQueue[Turn]] | None = ref(queue)
        self._queue: SimpleQueue[Turn] | None = None

    def begin(self, queue: SimpleQueue[Turn]) -> Turn:
        """Somebody has it now."""
        self._queue = queue
        return self

    def give_back(self) -> None:
        """Let another call have it; again does nothing."""
        if self._goes_to is None:
            return
        queue = self._queue or self._goes_to()
        if queue is not None:
            queue.put(Turn(queue))  # Interrupted after this, there is one more: better than one less.
        self._goes_to = self._queue = None

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
            return self._queue.get(timeout=seconds).begin(self._queue)
        except Empty:
            return None
