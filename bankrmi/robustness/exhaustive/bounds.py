"""How far a search goes: which troubles may come, how often, and how time passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bankrmi.robustness.exhaustive.state import TimeModel

__all__ = ["LADDER", "THE_ISSUE_S", "SearchBounds"]

_MOMENT_MS, _LONG_MS = 600.0, 30_000.0
_LANDMARKS_MS = (0.0, _MOMENT_MS, _LONG_MS)
_HEARTBEAT_MS = 20
"""Whatever is counted in heartbeats (the longest: looking for news, 20 of them) is over in a moment."""

_EACH_BY_ITSELF = {
    "heartbeat_ms": _HEARTBEAT_MS,
    "lease_ms": 0,
    "drift_ms": 0,
    "checkpoint_timeout_ms": 5_000,
    "switchover_timeout_ms": 5_000,
}

_HALF_LEASE_MS = 500.0
_HALF_LEASES_MS = tuple(count * _HALF_LEASE_MS for count in range(6))
_TOGETHER = {"heartbeat_ms": _HEARTBEAT_MS, "lease_ms": 1000, "drift_ms": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBounds:
    """What may happen at most.

    `losses`: a message that is lost, a connection that breaks, an answer of the witness, of a probe or to the
    client that never comes. `retries`: requests that the client takes for lost though they are not. `haste`:
    times that a server's time runs out while something is under way that it waits for, or that a long timeout
    ends. With `leases`, all clocks go on together, by half a lease; without, each by itself. `joining`: it
    begins with two processes that have just started, one of them outside `in_sync`; else with a settled bank.
    """

    crashes: int = 1
    losses: int = 1
    retries: int = 1
    switchovers: int = 0
    haste: int = 0
    leases: bool = False
    joining: bool = False

    def timing(self) -> tuple[dict[str, Any], tuple[float, ...], TimeModel]:
        """Return the servers' settings, the ages that make a difference in them, and how time passes."""
        if self.leases:
            return _TOGETHER, _HALF_LEASES_MS, TimeModel(everywhere=True, moment_ms=_HALF_LEASE_MS)
        return (
            _EACH_BY_ITSELF,
            _LANDMARKS_MS,
            TimeModel(everywhere=False, moment_ms=_MOMENT_MS, long_ms=_LONG_MS),
        )

    def __str__(self) -> str:
        count = [
            (self.crashes, "crash and restart", "crashes and restarts"),
            (self.losses, "loss", "losses"),
            (self.retries, "early retry", "early retries"),
            (self.switchovers, "switchover", "switchovers"),
        ]
        troubles = [f"{number} {one if number == 1 else many}" for number, one, many in count if number]
        clocks = (
            "leases, clocks that go together" if self.leases else "no leases, clocks that go by themselves"
        )
        began = "; two processes just started, one to be let in" if self.joining else ""
        haste = f"; haste up to {self.haste}" if self.haste else ""
        return f"{', '.join(troubles) or 'no trouble'}; {clocks}{began}{haste}"


_NO_TROUBLE = SearchBounds(crashes=0, losses=0, retries=0)

THE_ISSUE_S = SearchBounds(retries=0)
"""One crash-and-restart and one lost message, whatever their order, and everything else in any order."""

LADDER = (
    replace(_NO_TROUBLE, losses=1),
    replace(_NO_TROUBLE, joining=True),
    replace(_NO_TROUBLE, leases=True),
    replace(_NO_TROUBLE, retries=1, switchovers=1),
    replace(_NO_TROUBLE, haste=1),
    replace(_NO_TROUBLE, crashes=1),
    THE_ISSUE_S,
    SearchBounds(),
)
"""Searched one after the other, what ends soon first; the last one is for those who have a night."""
