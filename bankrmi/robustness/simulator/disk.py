"""A server's disk, simulated: slow, stalled, full, broken; what is written to it is a real SQLite database.

Rule 1: what cannot be written fails through SQLite itself (its commit hook), so the production code meets the
        real error.
Rule 2: of what was written and could not be synced nobody can say whether it is durable: it is, or it is not.
"""

from __future__ import annotations

from bankrmi.robustness.simulator.world import World
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.journal import SqliteJournal

__all__ = ["SimulatedDisk"]


class SimulatedDisk:
    """The disk of one machine."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.full = False
        self.slow_ms = 0.0
        self.hangs = False
        """No sync that begins now ever ends."""

    def recover(self) -> None:
        """Be a good disk again."""
        self.full, self.slow_ms = False, 0.0

    def sync_ms(self) -> float:
        """Draw how long it takes to make durable what was written."""
        chance = self._world.chance
        if self._world.happens(self._world.faults.stall):
            return chance.uniform(200, 2000)
        return chance.uniform(0.1, 1.0) + self.slow_ms * chance.random()

    def write(self, journal: SqliteJournal) -> None:
        """End a transaction; raises DiskFailed if that fails."""
        if self.full or self._breaks():
            journal.database.set_commit_hook(lambda: True)
            try:
                journal.write()
            finally:
                journal.database.set_commit_hook(None)
        else:
            journal.write()

    def sync(self, journal: SqliteJournal) -> None:
        """Make durable what was written; raises DiskFailed if that fails, or never would end."""
        if self.hangs:
            raise DiskFailed("the disk hangs")
        if self._breaks():
            raise DiskFailed("the disk reports an error, and nobody knows what it has written")
        journal.sync()

    def _breaks(self) -> bool:
        """Draw whether one of the two parts of a commit fails."""
        return self._world.happens(self._world.faults.io_error / 2)
