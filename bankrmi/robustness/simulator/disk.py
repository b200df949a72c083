"""A server's disk, simulated: slow, stalled, full, broken; what is on it is a real SQLite database.

Rule 1: a commit fails through SQLite itself (its commit hook), so the production code meets the real error.
Rule 2: of a commit that failed with an I/O error nobody can say whether it is durable: it is, or it is not.
"""

from __future__ import annotations

from bankrmi.robustness.simulator.world import World
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Disk"]


class Disk:
    """The disk of one machine."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.full = False
        self.slow_ms = 0.0

    def recover(self) -> None:
        """Be a good disk again."""
        self.full, self.slow_ms = False, 0.0

    def commit_ms(self) -> float:
        """Draw how long a commit takes."""
        chance = self._world.chance
        if self._world.happens(self._world.faults.stall):
            return chance.uniform(200, 2000)
        return chance.uniform(0.1, 1.0) + self.slow_ms * chance.random()

    def commit(self, journal: SqliteJournal) -> None:
        """Make what was written durable; raises DiskFailed if that fails."""
        broken = self._world.happens(self._world.faults.io_error)
        if broken and self._world.chance.random() < 0.5:
            journal.commit()
            raise DiskFailed("the disk reports an error, and has written everything")
        if broken or self.full:
            journal.database.set_commit_hook(lambda: True)
            try:
                journal.commit()
            finally:
                journal.database.set_commit_hook(None)
        else:
            journal.commit()
