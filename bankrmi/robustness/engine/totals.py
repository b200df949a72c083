"""What all accounts may have held together at some moment within a stretch of time.

Rule: whoever was done before it counts, whoever was asked for after it does not; of those in between, any
may. So a total that no choice of them gives is wrong: half a transfer is in it, or it is of no moment at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from operator import itemgetter

__all__ = ["PossibleTotals"]

_MOST = 200_000
"""More sums than that are not told apart: then all is possible between the smallest and the largest."""


class PossibleTotals:
    """Made of all that changed the sum, each with the time from when, and by when, it did."""

    def __init__(self, opening: int, changes: Iterable[tuple[int, int, int]]) -> None:
        """`changes` are (begun_ns, over_ns, by how much)."""
        kept = [one for one in changes if one[2]]
        by_over = sorted(kept, key=itemgetter(1))
        self._over = [over_ns for _, over_ns, _ in by_over]
        self._sums = list(accumulate((gained for _, _, gained in by_over), initial=opening))
        self._by_begun = sorted(kept)
        self._begun = [begun_ns for begun_ns, _, _ in self._by_begun]
        self._latest_over = list(accumulate((over_ns for _, over_ns, _ in self._by_begun), max))

    def allow(self, total: int, from_ns: int, to_ns: int) -> bool:
        """Whether it may have been the total at a moment of this time."""
        surely = self._sums[bisect_left(self._over, from_ns)]
        return self._reaches(total - surely, self._in_between(from_ns, to_ns))

    def _in_between(self, from_ns: int, to_ns: int) -> list[int]:
        """Return what those change of which nobody knows whether they came before it."""
        found, place = [], bisect_right(self._begun, to_ns) - 1
        while place >= 0 and self._latest_over[place] >= from_ns:
            _, over_ns, gained = self._by_begun[place]
            if over_ns >= from_ns:
                found.append(gained)
            place -= 1
        return found

    @staticmethod
    def _reaches(wanted: int, gains: list[int]) -> bool:
        sums = {0}
        for gained in gains:
            sums |= {one + gained for one in sums}
            if len(sums) > _MOST:
                least, most = sum(one for one in gains if one < 0), sum(one for one in gains if one > 0)
                return least <= wanted <= most
        return wanted in sums
