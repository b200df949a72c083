"""How many calls of a client may be under way at once: each has a permit.

Rule: no interruption of a blocking client, wherever it comes, may lose a permit, or leave others waiting
      for a lock. So its permits are kept in a queue that is not written in Python, and one that nobody
      has any more goes back by itself.
"""

from __future__ import annotations

from asyncio import CancelledError, Future, get_running_loop
from collections import deque
from queue import Empty, SimpleQueue
from weakref import ref

__all__ = ["LoopPermits", "Permit", "Permits"]


class Permit:
    """The right to make one call.  It goes back when it is given back, or dropped.

    Who has it holds its queue; a queue does not hold itself by those that are in it.
    """

    __slots__ = ("_goes_to", "_queue")

    def __init__(self, queue: SimpleQueue[Permit]) -> None:
        self._goes_to: ref[SimpleQueue[Permit]] | None = ref(queue)
        self._queue: SimpleQueue[Permit] | None = None

    def begin(self, queue: SimpleQueue[Permit]) -> Permit:
        """Somebody has it now."""
        self._queue = queue
        return self

    def give_back(self) -> None:
        """Let another call have it; again does nothing."""
        if self._goes_to is None:
            return
        queue = self._queue or self._goes_to()
        if queue is not None:
            queue.put(Permit(queue))  # Interrupted after this, there is one more: better than one less.
        self._goes_to = self._queue = None

    def __del__(self) -> None:
        self.give_back()


class Permits:
    """Those of one client in one process."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[Permit] = SimpleQueue()
        for _ in range(count):
            self._queue.put(Permit(self._queue))

    def __len__(self) -> int:
        """Return how many nobody has."""
        return self._queue.qsize()

    def take(self, seconds: float) -> Permit | None:
        """Return a permit, waiting for `seconds` at most; None if there was none."""
        try:
            return self._queue.get(timeout=seconds).begin(self._queue)
        except Empty:
            return None


class LoopPermits:
    """Those of one client in one event loop, in the order in which they are asked for."""

    __slots__ = ("_free", "_waiting")

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[Future[None]] = deque()

    def take(self) -> bool:
        """Take a permit if nobody has to wait for one."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Take a permit when somebody gives one back."""
        turn = get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except CancelledError:
            if turn.done() and not turn.cancelled():  # It was this one's turn all the same.
                self.give_back()
            raise

    def give_back(self) -> None:
        """Let the next call have it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
