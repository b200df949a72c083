"""From whom to whom; and which of these ways are held, by how many."""

from __future__ import annotations

from collections import Counter

__all__ = ["Hindered", "Way"]

Way = tuple[str, str]
"""From whom, to whom."""


class Hindered:
    """How many faults hold each way of each link: it is free again when the last of them is over."""

    def __init__(self) -> None:
        self._held: Counter[Way] = Counter()

    def __contains__(self, way: Way) -> bool:
        return self._held[way] > 0

    @property
    def ways(self) -> list[Way]:
        """All that are held."""
        return sorted(way for way, count in self._held.items() if count > 0)

    def hold(self, *ways: Way) -> list[Way]:
        """Count one more for each; return those that were free before."""
        self._held.update(ways)
        return [way for way in ways if self._held[way] == 1]

    def release(self, *ways: Way) -> list[Way]:
        """Count one less for each; return those that are free now."""
        self._held.subtract(ways)
        return [way for way in ways if self._held[way] == 0]
