"""What a backup's file says about itself.  A backup is a SQLite file with a checksum on every page.

A *whole* backup has the tables of a server's database, and can become one. An *increment* has the records
that follow a position, and nothing else.

Rule 1: the label is a row of the table `about`, so the checksums of the pages guard it, too.
Rule 2: whoever opens a database to serve from it looks for the label first: a backup that somebody copied
        into a data directory by hand is an old copy (V9), and is refused there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import apsw

from bankrmi.errors import InvalidRequest
from bankrmi.replication.fields import epoch, identifier, number, position
from bankrmi.replication.record import Position
from bankrmi.storage.tables import TABLES

__all__ = ["FORMAT", "INCREMENT_TABLES", "Label", "label_of", "remove_label", "write_label"]

FORMAT = 1
"""Of the label, and of what an increment holds."""

INCREMENT_TABLES = TABLES[: TABLES.index("CREATE TABLE requests")]
"""An increment has no accounts, and no index: both follow from what it continues."""

_NAME = "backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Of what a backup is, and from where to where.

    `since` is the position that its first record follows: in a whole one action id 0, the opening ledger, or
    the anchor of what was backed up. `tip` is its newest record; `epoch` the newest that its source had
    adopted, of `history`. `taken_us` is the source's wall clock when it had given the last of it.
    """

    kind: Literal["whole", "increment"]
    service: str
    server: str
    history: str
    epoch: int
    since: Position
    tip: Position
    taken_us: int

    @property
    def is_whole(self) -> bool:
        """Whether a bank can begin with it."""
        return self.kind == "whole"


def write_label(database: apsw.Connection, label: Label) -> None:
    """Write it into the table `about`."""
    values = {
        "format": FORMAT,
        "kind": label.kind,
        "service": label.service,
        "server": label.server,
        "history": label.history,
        "epoch": label.epoch,
        "since": _plain(label.since),
        "tip": _plain(label.tip),
        "taken_us": label.taken_us,
    }
    database.execute("INSERT OR REPLACE INTO about VALUES (?,?)", (_NAME, json.dumps(values)))


def remove_label(database: apsw.Connection) -> None:
    """Make a whole backup a server's database."""
    database.execute("DELETE FROM about WHERE name = ?", (_NAME,))


def label_of(database: apsw.Connection) -> Label | None:
    """Return the label; None if this is no backup.

    Raises InvalidRequest if this version cannot read it, apsw.Error if the file is damaged.
    """
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get:
        return None
    text = database.execute("SELECT value FROM about WHERE name = ?", (_NAME,)).get
    if text is None:
        return None
    try:
        return _read(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequest(f"it is a backup whose label this version cannot read ({error})") from error


def _read(values: dict[str, Any]) -> Label:
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, and this version knows {FORMAT}")
    kind = values["kind"]
    if kind not in ("whole", "increment"):
        raise ValueError("neither whole nor an increment")
    return Label(
        kind=kind,
        service=identifier(values["service"]),
        server=identifier(values["server"]),
        history=identifier(values["history"]),
        epoch=epoch(values["epoch"]),
        since=_position(values["since"]),
        tip=_position(values["tip"]),
        taken_us=number(values["taken_us"]),
    )


def _plain(where: Position) -> list[Any]:
    return [where.action_id, where.epoch, where.digest.hex()]


def _position(form: Any) -> Position:
    action_id, at_epoch, digest = form
    return position([action_id, at_epoch, bytes.fromhex(digest)])
