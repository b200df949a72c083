"""What a simulated disk holds, and what it may hold after a crash: any more of what was written since.

Rule 1: commits reach the disk in the order in which they were written; a crash keeps a beginning of them.
Rule 2: what is under way may be on the disk already, though nobody was told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import apsw

from bankrmi.replication.record import Position
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Image", "Images"]


@dataclass(frozen=True, slots=True)
class Image:
    """A database as it was after one commit: where its journal ended, and which epoch it had adopted."""

    tip: Position
    epoch: int
    _content: bytes

    @classmethod
    def of(cls, journal: SqliteJournal) -> Image:
        """Return what is written; no transaction may be open."""
        adopted = journal.adopted
        epoch = adopted.epoch if adopted is not None else 0
        return cls(journal.tip, epoch, journal.database.serialize("main"))

    def database(self) -> apsw.Connection:
        """Return a database in memory with this content."""
        database = open_in_memory()
        database.deserialize("main", self._content)
        return database


class Images:
    """The durable content of one database, and that after each commit that is under way."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Begin with what is written there; all of it is durable."""
        self._images = deque([Image.of(journal)])

    @property
    def durable(self) -> Image:
        """What is on the disk for certain."""
        return self._images[0]

    @property
    def under_way(self) -> int:
        """How many commits are not durable yet."""
        return len(self._images) - 1

    def written(self, journal: SqliteJournal) -> None:
        """One more commit is under way."""
        self._images.append(Image.of(journal))

    def ended(self) -> None:
        """The oldest commit that was under way is durable."""
        self._images.popleft()

    def after_crash(self, kept: int) -> Image:
        """Return what is there if `kept` of the commits under way have reached the disk."""
        return self._images[kept]
