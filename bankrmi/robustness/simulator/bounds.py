"""How much may wait at a simulated server, and how fast callers may make its journal grow."""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.server.rates import BURST, Rate

__all__ = ["AdmissionBounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionBounds:
    """What may wait at each server of a world, and how fast a caller may add entries."""

    waiting_bytes: int
    rate: Rate
    full_batch: int

    def at_most(self, per_second: int, passed_ms: float) -> float:
        """Return how many entries one of ours may have added after `passed_ms`; per caller, or address."""
        return max(BURST * self.full_batch, BURST * per_second) + per_second * passed_ms / 1000
