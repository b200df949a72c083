"""What a simulated disk may hold after a crash: what is durable, or any more of what was written since.

Rule 1: commits reach the disk in the order in which they were written; a crash keeps a beginning of them.
Rule 2: what is under way may be on the disk already, though nobody was told.
"""

from __future__ import annotations

from collections import deque

import apsw

from bankrmi.storage.database import open_in_memory
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Images", "database_of"]


class Images:
    """The durable content of one database, and that of each commit that is under way."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Begin with what is written there; all of it is durable."""
        self._images = deque([_image_of(journal)])

    @property
    def under_way(self) -> int:
        """How many commits are not durable yet."""
        return len(self._images) - 1

    def written(self, journal: SqliteJournal) -> None:
        """One more commit is under way."""
        self._images.append(_image_of(journal))

    def ended(self) -> None:
        """The oldest commit that was under way is durable."""
        self._images.popleft()

    def after_crash(self, kept: int) -> apsw.Connection:
        """Return what is there if so many of the commits under way have reached the disk."""
        return database_of(self._images[kept])


def _image_of(journal: SqliteJournal) -> bytes:
    return journal.database.serialize("main")


def database_of(image: bytes) -> apsw.Connection:
    """Return a database in memory with this content."""
    database = open_in_memory()
    database.deserialize("main", image)
    return database
