"""How fast a caller may make the journals grow: token buckets, for each caller and each address.

Pure; the caller brings the time.

Rule 1: a bucket holds two full batches, so nobody is told to wait who asks now and then; of our own clients
        it holds two seconds' worth, so that many of them may begin together.
Rule 2: who asks for too much is told when it will fit, and has used up nothing.
Rule 3: an address is what counts as one for seats, too: of IPv6 a whole network (`origin`).
Rule 4: buckets are few, however many addresses come and go: a full one says no more than none.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from bankrmi.rmi import origin

__all__ = ["Buckets", "EntryRates", "Rate"]

BUCKETS_AT_MOST = 4096
"""Over it the one that was used least recently is forgotten: it has had the most time to fill."""

BURST = 2
"""Full batches that a bucket holds; of our own clients, seconds of their rate."""


class Buckets:
    """Buckets of one kind, by name."""

    def __init__(self, per_second: int, burst: int) -> None:
        self.per_ms = per_second / 1_000
        self.burst = float(burst)
        self._by_name: OrderedDict[str, list[float]] = OrderedDict()  # Entries left, and since when.

    def __len__(self) -> int:
        return len(self._by_name)

    def filled(self, name: str, now_ms: float) -> list[float]:
        """Return the bucket of this name as it is now; its first value are the entries left."""
        bucket = self._by_name.get(name)
        if bucket is None:
            bucket = self._by_name[name] = [self.burst, now_ms]
            if len(self._by_name) > BUCKETS_AT_MOST:
                self._by_name.popitem(last=False)
            return bucket
        self._by_name.move_to_end(name)
        bucket[0] = min(self.burst, bucket[0] + self.per_ms * (now_ms - bucket[1]))
        bucket[1] = now_ms
        return bucket

    def wait_ms(self, left: float, entries: int) -> float:
        """Return how long to wait until `entries` fit into a bucket with `left`; 0 is now."""
        return max(0.0, (min(float(entries), self.burst) - left) / self.per_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Entries a second; 0 is without limit."""

    per_caller: int
    per_address: int


class EntryRates:
    """What callers that speak our protocol may add, and what all others may."""

    def __init__(self, ours: Rate, strangers: Rate, *, full_batch: int) -> None:
        batches = BURST * full_batch
        self._ours = _both(ours, batches, seconds=BURST)
        self._strangers = _both(strangers, batches)

    def wait_ms(self, caller: str, entries: int, now_ms: float, *, ours: bool) -> float:
        """Take `entries` for a caller (host:port) if they fit, and return 0; else how long to wait."""
        buckets = self._ours if ours else self._strangers
        if buckets == (None, None):
            return 0.0
        of_caller, of_address = buckets
        filled = []
        wait_ms = 0.0
        for kind, name in (
            (of_caller, caller),
            (of_address, origin(caller) if of_address is not None else ""),
        ):
            if kind is not None:
                bucket = kind.filled(name, now_ms)
                filled.append(bucket)
                if bucket[0] < entries:
                    wait_ms = max(wait_ms, kind.wait_ms(bucket[0], entries))
        if wait_ms == 0:
            for bucket in filled:
                bucket[0] -= entries
        return wait_ms


def _both(rate: Rate, batches: int, *, seconds: int = 0) -> tuple[Buckets | None, Buckets | None]:
    """Return the buckets of callers and of addresses; None is without limit."""

    def buckets(per_second: int) -> Buckets | None:
        return Buckets(per_second, max(batches, seconds * per_second)) if per_second else None

    return buckets(rate.per_caller), buckets(rate.per_address)
