"""One client of ours that calls again and again: how is it answered while something happens?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

from bankrmi import connect
from bankrmi.bench.figures import percentile
from bankrmi.config import Configuration
from bankrmi.errors import BankError

__all__ = ["Calling", "OneClient", "withdrawing"]

_TIMEOUT_S = 20.0

Calling = Callable[[], AbstractContextManager[Callable[[], object]]]
"""What makes a client, until the context ends, and returns what calls once."""


@contextmanager
def withdrawing(configuration: Configuration) -> Iterator[Callable[[], object]]:
    """A client of a bank that withdraws nothing."""
    with connect(configuration, timeout=_TIMEOUT_S) as client:
        yield lambda: client.withdraw(1, 0)


class OneClient:
    """Calls from a thread of its own for as long as the context lasts."""

    def __init__(
        self, configuration: Configuration, *, rest_s: float = 0.0, calling: Calling | None = None
    ) -> None:
        """It rests for `rest_s` after each answer; it withdraws nothing, unless `calling` calls something
        else."""
        self._calling = calling or (lambda: withdrawing(configuration))
        self._rest_s = rest_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.answered: list[float] = []
        """When each call was answered, by `time.perf_counter`."""
        self.took_s: list[float] = []
        """How long each of them took."""
        self.errors: Counter[str] = Counter()

    def __enter__(self) -> OneClient:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def is_calling(self) -> bool:
        """Whether more answers can be expected."""
        return self._thread.is_alive()

    def median_ms(self) -> float:
        """Return the median of all calls so far."""
        return 1e3 * percentile(sorted(self.took_s), 50)

    def slowest_ms(self, since_s: float = 0.0) -> float:
        """Return the slowest call of those that were answered since then."""
        both = zip(list(self.answered), list(self.took_s), strict=False)
        return 1e3 * max((took for at, took in both if at >= since_s), default=0.0)

    def _call(self) -> None:
        with self._calling() as call:
            while not self._over.wait(self._rest_s):
                begun = time.perf_counter()
                try:
                    call()
                except BankError as error:
                    self.errors[type(error).__name__] += 1
                ended = time.perf_counter()
                self.took_s.append(ended - begun)
                self.answered.append(ended)
