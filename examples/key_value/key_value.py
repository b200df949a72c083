"""A key-value store with leases: a key may belong to a lease, and ends with it unless that is kept alive.

    store = bankrmi.connect(KeyValue, "config.yaml")
    lease = store.grant(10.0)                       # ends in 10 s, or store.keep_alive(lease.id)
    store.compare_and_set("leader", "me", 0, lease.id)      # raises Conflict if there is one already
    store.scan("lea", limit=10)

Rule 1: a key whose lease has ended is not there, for reads and for writes alike, though its row is taken
        away by one of the next updates only, a few leases at a time: no update gets long. And an update that
        raises takes nothing away, so nothing may depend on that: what is counted is what lives.
Rule 2: each change of a key has a revision, higher than all before; `compare_and_set` and `delete` go by
        it.
Rule 3: everything has a limit, and answers fit into what a method may return.
Assumption: the clocks of the two machines agree (NTP). A lease that has ended by one clock may live again,
            for as long as they differ, when the other server leads. Whoever must not rely on that compares
            revisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

import bankrmi

__all__ = ["Conflict", "Entry", "Full", "KeyValue", "Lease", "LeaseEnded"]

MOST_KEYS = 10_000
MOST_KEYS_OF_A_LEASE = 1_000
MOST_LEASES = 10_000
ENDED_AT_ONCE = 3
LISTED_CHARACTERS = 10_000
"""In one answer: at most 40 kB, however they are encoded."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[str, Field(max_length=5_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Limit = Annotated[int, Field(ge=1, le=1_000)]

_LIVE_ENTRIES = (
    "SELECT name, value, revision, lease FROM entry"
    " WHERE (lease IS NULL OR lease IN (SELECT id FROM lease WHERE ends_us > :now))"
)


class Conflict(Exception):
    """The key is at another revision; 0 if there is none."""

    def __init__(self, name: str, revision: int) -> None:
        super().__init__(name, revision)
        self.revision = revision


class LeaseEnded(Exception):
    """There is no such lease, or none any more."""


class Full(Exception):
    """There is no room for more."""


@dataclass(frozen=True)
class Entry:
    """One key, as it is."""

    name: str
    value: str
    revision: int
    lease: str | None = None


@dataclass(frozen=True)
class Lease:
    """What keys may depend on."""

    id: str
    ends: str
    """In UTC, as ISO 8601 has it."""


class KeyValue(bankrmi.Service):
    """Keys, values, leases."""

    def create(self) -> None:
        """Begin with nothing."""
        self.db.execute(
            "CREATE TABLE lease (id TEXT PRIMARY KEY NOT NULL,"
            " seconds REAL NOT NULL, ends_us INTEGER NOT NULL)"
        )
        self.db.execute("CREATE INDEX lease_by_end ON lease (ends_us)")
        self.db.execute(
            "CREATE TABLE entry (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL,"
            " revision INTEGER NOT NULL, lease TEXT)"
        )
        self.db.execute("CREATE INDEX entry_by_lease ON entry (lease)")
        self.db.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL)")
        self.db.execute("INSERT INTO counter VALUES (1, 0)")

    # -- keys ------------------------------------------------------------------------------------

    @bankrmi.update(raises=[LeaseEnded, Full])
    def put(self, name: Name, value: Value, lease: str | None = None) -> int:
        """Set a key, whatever it was; return its revision."""
        self._end_leases()
        return self._set(name, value, lease)

    @bankrmi.update(raises=[Conflict, LeaseEnded, Full])
    def compare_and_set(self, name: Name, value: Value, revision: int, lease: str | None = None) -> int:
        """Set a key if it is at this revision (0: if it is not there); return its new one."""
        self._end_leases()
        self._check_revision(name, revision)
        return self._set(name, value, lease)

    @bankrmi.update(raises=[Conflict])
    def delete(self, name: Name, revision: int | None = None) -> bool:
        """Take a key away, if it is at this revision, where one is given; return whether there was one."""
        self._end_leases()
        if revision is not None:
            self._check_revision(name, revision)
        was_there = self._find(name) is not None
        self.db.execute("DELETE FROM entry WHERE name = ?", (name,))
        return was_there

    @bankrmi.query
    def get(self, name: Name) -> Entry | None:
        """Return a key; None if there is none."""
        return self._find(name)

    @bankrmi.query
    def scan(self, prefix: str = "", after: str = "", limit: Limit = 100) -> list[Entry]:
        """Return keys that begin with `prefix`, in the order of their names.

        At most `limit`, and fewer where they are long. To go on, say the last name as `after`; nothing is
        returned only if nothing is left.
        """
        rows = self.db.execute(
            _LIVE_ENTRIES + " AND name > :after AND substr(name, 1, length(:prefix)) = :prefix"
            " ORDER BY name LIMIT :limit",
            {"prefix": prefix, "after": after, "limit": limit, "now": self._now_us()},
        )
        entries: list[Entry] = []
        room = LISTED_CHARACTERS
        for row in rows:
            entry = Entry(*row)
            room -= len(entry.name) + len(entry.value)
            if entries and room < 0:
                break
            entries.append(entry)
        return entries

    # -- leases ----------------------------------------------------------------------------------

    @bankrmi.update(raises=[Full])
    def grant(self, seconds: Seconds) -> Lease:
        """Begin a lease that ends in so many seconds, and that much after each `keep_alive`."""
        self._end_leases()
        if self._leases() >= MOST_LEASES:
            raise Full(f"there are {MOST_LEASES} leases")
        lease, ends_us = self.new_id(), self._now_us() + round(seconds * 1e6)
        self.db.execute("INSERT INTO lease VALUES (?, ?, ?)", (lease, seconds, ends_us))
        return _lease(lease, ends_us)

    @bankrmi.update(raises=[LeaseEnded])
    def keep_alive(self, lease: str) -> Lease:
        """Have a lease begin again; one that has ended stays ended."""
        self._end_leases()
        self._check_lease(lease)
        ends_us = self.db.execute(
            "UPDATE lease SET ends_us = :now + CAST(round(seconds * 1e6) AS INTEGER) WHERE id = :lease"
            " RETURNING ends_us",
            {"now": self._now_us(), "lease": lease},
        ).value
        return _lease(lease, ends_us)

    @bankrmi.update
    def revoke(self, lease: str) -> int:
        """End a lease now; return how many keys went with it."""
        self._end_leases()
        keys = self.db.execute(_LIVE_ENTRIES + " AND lease = :lease", {"lease": lease, "now": self._now_us()})
        self._end(lease)
        return len(keys)

    # -- within ----------------------------------------------------------------------------------

    def _now_us(self) -> int:
        return (self.now - _EPOCH) // timedelta(microseconds=1)

    def _find(self, name: str) -> Entry | None:
        row = self.db.execute(
            _LIVE_ENTRIES + " AND name = :name", {"name": name, "now": self._now_us()}
        ).fetchone()
        return None if row is None else Entry(*row)

    def _check_revision(self, name: str, revision: int) -> None:
        found = self._find(name)
        actual = 0 if found is None else found.revision
        if actual != revision:
            raise Conflict(name, actual)

    def _check_lease(self, lease: str) -> None:
        ends_us = self.db.execute("SELECT ends_us FROM lease WHERE id = ?", (lease,)).value
        if ends_us is None or ends_us <= self._now_us():
            raise LeaseEnded(lease)

    def _set(self, name: str, value: str, lease: str | None) -> int:
        if lease is not None:
            self._check_lease(lease)
            others = self.db.execute(
                "SELECT count(*) FROM entry WHERE lease = ? AND name <> ?", (lease, name)
            )
            if others.value >= MOST_KEYS_OF_A_LEASE:
                raise Full(f"there are {MOST_KEYS_OF_A_LEASE} keys of this lease")
        if self._find(name) is None and self._count() >= MOST_KEYS:
            raise Full(f"there are {MOST_KEYS} keys")
        revision: int = self.db.execute("UPDATE counter SET revision = revision + 1 RETURNING revision").value
        self.db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", (name, value, revision, lease))
        return revision

    def _leases(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM lease WHERE ends_us > ?", (self._now_us(),)).value)

    def _count(self) -> int:
        """Return how many keys there are; if there may be too many, looked at more closely."""
        rows = int(self.db.execute("SELECT count(*) FROM entry").value)
        if rows < MOST_KEYS:
            return rows
        return int(
            self.db.execute(f"SELECT count(*) FROM ({_LIVE_ENTRIES})", {"now": self._now_us()}).value  # noqa: S608
        )

    def _end_leases(self) -> None:
        """Take away what a few leases that have ended have left behind (rule 1)."""
        ended = self.db.execute(
            "SELECT id FROM lease WHERE ends_us <= ? ORDER BY ends_us, id LIMIT ?",
            (self._now_us(), ENDED_AT_ONCE),
        )
        for (lease,) in ended.fetchall():
            self._end(lease)

    def _end(self, lease: str) -> None:
        self.db.execute("DELETE FROM entry WHERE lease = ?", (lease,))
        self.db.execute("DELETE FROM lease WHERE id = ?", (lease,))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _lease(lease: str, ends_us: int) -> Lease:
    return Lease(lease, (_EPOCH + timedelta(microseconds=ends_us)).isoformat())
