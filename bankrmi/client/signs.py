"""What the calls of one client learn of the servers for each other: who lives, and who leads.

Of a thousand calls that wait for one server, one has to ping it; of a thousand that wonder who leads, one has
to ask. So what one of them hears is written down here for all.

Rule 1: a sign of life of a server says nothing of another call's connection to it; `open_attempts` sees to
        that.
Rule 2: nothing here reads a clock; the caller brings the time.
Assumption: several threads may write at once; each thing remembered is replaced as a whole.
"""

from __future__ import annotations

from bankrmi.client.decisions import Candidate

__all__ = ["LONG_AGO_MS", "Signs"]

LONG_AGO_MS = -(1 << 60)


class Signs:
    """Times in milliseconds, of whatever clock the calls go by."""

    __slots__ = ("_enquired", "_heard", "_pinged", "leader", "leading_since_ms")

    def __init__(self) -> None:
        self._heard: dict[Candidate, int] = {}
        self._pinged: dict[Candidate, int] = {}
        self._enquired: dict[Candidate, int] = {}
        self.leader: Candidate | None = None
        """Who did last what only a primary does, or said that it leads."""
        self.leading_since_ms = LONG_AGO_MS
        """When that was."""

    def hear(self, candidate: Candidate, now_ms: int) -> None:
        """Note a sign of life."""
        self._heard[candidate] = now_ms

    def heard_ms(self, candidate: Candidate) -> int:
        """Return when anybody last heard this server."""
        return self._heard.get(candidate, LONG_AGO_MS)

    def ping(self, candidate: Candidate, now_ms: int) -> None:
        """Note that somebody waits for a sign of life."""
        self._pinged[candidate] = now_ms

    def pinged_ms(self, candidate: Candidate) -> int:
        """Return when anybody last pinged this server."""
        return self._pinged.get(candidate, LONG_AGO_MS)

    def enquire(self, candidate: Candidate, now_ms: int) -> None:
        """Note that somebody asks this server whether it leads."""
        self._enquired[candidate] = now_ms

    def enquired_ms(self, candidate: Candidate) -> int:
        """Return when anybody last asked this server whether it leads."""
        return self._enquired.get(candidate, LONG_AGO_MS)

    def lead(self, candidate: Candidate, now_ms: int) -> None:
        """Note who leads."""
        self.leader, self.leading_since_ms = candidate, now_ms
