"""A histogram as plain numbers: a value is counted in one of a few buckets, and nothing else is kept of it.

Rule 1: to observe costs a search among the bounds and two additions, whoever reads it, or nobody.
Rule 2: bounds do not change, so two readings of one process can be subtracted from each other.
"""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["Histogram"]


class Histogram:
    """How often values were observed up to each of `bounds`, which ascend, and above all of them.

    Values and bounds are in the base unit of what is observed: seconds, bytes, or a count.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, *bounds: float) -> None:
        assert list(bounds) == sorted(set(bounds)), "the bounds of a histogram ascend"
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of values up to the bound in the same place and over the one before it; the last is of the rest."""
        self.total = 0.0
        """The sum of all values."""

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        """Return the same, as it is now."""
        taken = Histogram(*self.bounds)
        taken.counts[:], taken.total = self.counts, self.total
        return taken
