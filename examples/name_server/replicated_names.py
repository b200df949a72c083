"""Names, their URIs and their tags, replicated: what a name server keeps, and no name server yet (see
front.py).

Rule 1: what Pyro's name server does under its lock is one update here: `register(safe=True)` of two
        clients, at two fronts, succeeds for one of them.
Rule 2: everything has a limit, and answers come in pages that fit into what a method may return. A list of
        several pages is not of one moment: each name in it was there at some moment while it was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

from pydantic import Field
from Pyro5.errors import NamingError

import bankrmi

__all__ = ["Named", "Names"]

MOST_NAMES = 10_000
MOST_TAGS = 32
NAMES_AT_ONCE = 500
PAGE_CHARACTERS = 12_000
"""At most 48 kB, however they are encoded."""

Name = Annotated[str, Field(max_length=200)]
Uri = Annotated[str, Field(max_length=500)]
Tags = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=MOST_TAGS)]


_PAGE = """
    WITH few AS (
        SELECT name, uri FROM named
        WHERE name > ? AND substr(name, 1, length(?)) = ?{condition} ORDER BY name LIMIT {limit}
    )
    SELECT name, uri, tag FROM few LEFT JOIN tag USING (name) ORDER BY name, tag
"""
_TAGGED = " AND name IN (SELECT name FROM tag WHERE tag IN ({places}) GROUP BY name HAVING count(*) >= ?)"


@dataclass(frozen=True)
class Named:
    """One name."""

    name: str
    uri: str
    tags: list[str]


class Names(bankrmi.Service):
    """All of them."""

    def create(self) -> None:
        """Begin with none."""
        self.db.execute("CREATE TABLE named (name TEXT PRIMARY KEY NOT NULL, uri TEXT NOT NULL)")
        self.db.execute(
            "CREATE TABLE tag (name TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (name, tag)) WITHOUT ROWID"
        )
        self.db.execute("CREATE INDEX name_by_tag ON tag (tag, name)")

    @bankrmi.update(raises=[NamingError])
    def register(self, name: Name, uri: Uri, safe: bool, tags: Tags) -> None:
        """Register a name; with `safe` only if nobody has it."""
        is_new = self._uri(name) is None
        if safe and not is_new:
            raise NamingError(f"name already registered: {name}")
        if is_new and self._count() >= MOST_NAMES:
            raise NamingError(f"there are {MOST_NAMES} names, and there is no room for more")
        self.db.execute("INSERT OR REPLACE INTO named VALUES (?, ?)", (name, uri))
        self._tag(name, tags)

    @bankrmi.update(raises=[NamingError])
    def set_tags(self, name: Name, tags: Tags) -> None:
        """Give a name these tags, and no others."""
        self._known(name)
        self._tag(name, tags)

    @bankrmi.update
    def remove(self, names: Annotated[list[Name], Field(max_length=NAMES_AT_ONCE)]) -> int:
        """Forget names; return how many there were."""
        before = self._count()
        for name in names:
            self.db.execute("DELETE FROM named WHERE name = ?", (name,))
            self._tag(name, [])
        return before - self._count()

    @bankrmi.query(raises=[NamingError])
    def lookup(self, name: str) -> Named:
        """Return a name."""
        uri = self._known(name)
        tags = self.db.execute("SELECT tag FROM tag WHERE name = ? ORDER BY tag", (name,))
        return Named(name, uri, [tag for (tag,) in tags])

    @bankrmi.query
    def page(
        self, prefix: str = "", tags: Tags | None = None, every: bool = True, after: str = ""
    ) -> list[Named]:
        """Return names after `after`, in their order: none if that was the last one.

        Those that begin with `prefix`; and, where tags are given, that have all of them, or, without `every`,
        one of them.
        """
        wanted: list[str | int] = [*sorted(set(tags or []))]
        condition = ""
        if wanted:
            condition = _TAGGED.format(places=", ".join("?" * len(wanted)))
            wanted.append(len(wanted) if every else 1)
        rows = self.db.execute(
            _PAGE.format(condition=condition, limit=NAMES_AT_ONCE), [after, prefix, prefix, *wanted]
        )
        found: list[Named] = []
        room = PAGE_CHARACTERS
        for (name, uri), with_tags in groupby(rows, lambda row: row[:2]):
            one = Named(name, uri, [tag for _, _, tag in with_tags if tag is not None])
            room -= len(name) + len(uri) + sum(map(len, one.tags))
            if found and room < 0:
                break
            found.append(one)
        return found

    @bankrmi.query
    def count(self) -> int:
        """Return how many names there are."""
        return self._count()

    # -- within ----------------------------------------------------------------------------------

    def _count(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM named").value)

    def _uri(self, name: str) -> str | None:
        uri: str | None = self.db.execute("SELECT uri FROM named WHERE name = ?", (name,)).value
        return uri

    def _known(self, name: str) -> str:
        uri = self._uri(name)
        if uri is None:
            raise NamingError(f"unknown name: {name}")
        return uri

    def _tag(self, name: str, tags: list[str]) -> None:
        self.db.execute("DELETE FROM tag WHERE name = ?", (name,))
        self.db.executemany("INSERT INTO tag VALUES (?, ?)", [(name, tag) for tag in sorted(set(tags))])
