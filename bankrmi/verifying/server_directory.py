"""Is a stopped server's data directory sound?  SQLite's own check, page checksums, log, and all the content.

Rule: the first fault of each kind of check is told; what needs that which is damaged is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apsw

from bankrmi.counted import counted
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Position, Record
from bankrmi.service.served_services import HOME
from bankrmi.service.versions import classes_beside, noted_versions
from bankrmi.storage.about import served_class
from bankrmi.storage.folding import Anchor, anchor_in
from bankrmi.storage.pages import page_faults
from bankrmi.storage.tables import FORMAT, NEWEST_FORMAT
from bankrmi.verifying.journal_check import CopyFault, JournalCheck
from bankrmi.verifying.record_check import UNREADABLE
from bankrmi.verifying.service_check import ServiceCheck
from bankrmi.verifying.stopped_directory import opened_unchanged
from bankrmi.verifying.verdict import DatabaseVerdict
from bankrmi.verifying.write_ahead_log import read_log

__all__ = [
    "DATABASE",
    "VERIFIED_FORMATS",
    "anchor_of",
    "check_pages",
    "records_in",
    "verify_database",
]

DATABASE = "bank.db"
VERIFIED_FORMATS = (FORMAT, NEWEST_FORMAT)
_PROGRESS_EVERY = 20_000


def verify_database(path: Path, progress: Callable[[str], None] = lambda _: None) -> DatabaseVerdict:
    """Judge a server's database, and the log beside it."""
    faults = list(_faults_of_log(path))
    holds = "nothing that can be read"
    try:
        with opened_unchanged(path) as database:
            progress("the pages")
            check_pages(database)
            holds = _check_content(database, progress)
    except CopyFault as fault:
        faults.append(str(fault))
    except (apsw.Error, UnicodeDecodeError) as error:
        faults.append(f"{path.name} cannot be read: {error}")
    return DatabaseVerdict(path=path, holds=holds, faults=tuple(faults))


def _faults_of_log(path: Path) -> Iterator[str]:
    log = path.with_name(f"{path.name}-wal")
    found = read_log(log)
    if found.damaged_at is not None:
        place = f"frame {found.damaged_at}" if found.damaged_at else "its beginning"
        yield (
            f"{log.name} is damaged at {place}: commits from there on are lost, though they were synced; "
            f"if another server leads, move this directory away (keep it), and this one joins from there"
        )


def check_pages(database: apsw.Connection) -> None:
    """Have SQLite look at all pages, and their checksums; raises CopyFault."""
    if faults := page_faults(database):
        raise CopyFault(faults)
    if database.pragma("page_count") and database.pragma("checksum_verification") != "1":
        raise CopyFault("its pages have no checksums: a flipped bit would not be noticed")


def _check_content(database: apsw.Connection, progress: Callable[[str], None]) -> str:
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get:
        return "nothing yet"
    about = dict(database.execute("SELECT name, value FROM about"))
    if about.get("format") not in VERIFIED_FORMATS:
        raise CopyFault(
            f"it is of format {about.get('format')}, and this version verifies formats "
            f"{' and '.join(map(str, VERIFIED_FORMATS))}: a start brings it up to date"
        )
    adopted = _adopted(about.get("adopted"))
    if adopted is not None and "opening" not in about:
        raise CopyFault("an epoch was adopted, and there is no opening state")
    opening = Position(0, 0, about.get("opening", b""))
    served = served_class(database)
    if served is not None:
        return _check_service(database, served, opening, about.get("opened_with"), adopted, progress)
    written_to = about.get("written_to")
    if type(written_to) is not int:
        raise CopyFault("it does not say up to where the accounts are written")
    anchor = anchor_of(about)
    check = JournalCheck(
        opening,
        dict(database.execute("SELECT id, balance FROM accounts")),
        written_to,
        anchor=anchor,
        folded=_folded_sessions(database, 0 if anchor is None else anchor.position.action_id),
    )
    check.take(records_in(database, progress))
    check.finish(about.get("opened_with"), adopted)
    _check_requests(database, written_to)
    if adopted is None:
        return "nothing yet"
    holds = f"{counted(check.tip.action_id, 'operation')}, epoch {adopted.epoch} of history {adopted.history}"
    if anchor is not None and anchor.position.action_id:
        holds += f"; its journal begins after action id {anchor.position.action_id}"
    return holds


def _check_service(
    database: apsw.Connection,
    kind: str,
    opening: Position,
    opened_with: bytes | None,
    adopted: Adopted | None,
    progress: Callable[[str], None],
) -> str:
    check = ServiceCheck(opening)
    check.take(records_in(database, progress))
    check.finish(database, kind, opened_with, adopted, progress)
    _check_requests(database, check.tip.action_id)
    if adopted is None:
        return "nothing yet"
    calls = counted(check.tip.action_id, "call")
    return (
        f"{calls} of {_classes_in_words(database, kind)}, epoch {adopted.epoch} of history {adopted.history}"
    )


def _classes_in_words(database: apsw.Connection, kind: str) -> str:
    """Return the classes whose state it is, with their versions."""
    noted = noted_versions(database)
    versions = {row.service: row.version for row in noted}
    beside = [
        f"{its} ({name}), at version {versions[name]}"
        for name, its in sorted(classes_beside(database).items())
    ]
    return "; ".join([f"{kind}, at version {versions.get(HOME)}", *beside])


def anchor_of(about: Mapping[str, Any]) -> Anchor | None:
    """Return the anchor of a journal, None if it was never folded; raises CopyFault if it cannot be read."""
    try:
        return anchor_in(about["anchor"]) if "anchor" in about else None
    except ValueError as error:
        raise CopyFault(str(error)) from error


def _folded_sessions(database: apsw.Connection, up_to: int) -> dict[str, int]:
    """Check what is kept of folded requests; return the newest of each session."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sessions'").get:
        return {}
    newest = {}
    for row in database.execute(
        "SELECT action_id, epoch, session, sequence, operation_count, operations, outcomes, time_us, digest"
        " FROM sessions"
    ):
        session, sequence = row[2:4]
        newest[session] = sequence
        if not 0 < row[0] <= up_to:
            raise CopyFault(f"request {session}:{sequence} is kept as if it were folded, and it is not")
        if row[5] is not None:
            _check_readable(Record._make(row))
    return newest


def _check_readable(record: Record) -> None:
    try:
        if not record.cancelled or record.outcomes:
            record.entries()
    except UNREADABLE as error:
        request = f"{record.session}:{record.sequence}"
        raise CopyFault(f"what is kept of request {request} cannot be read") from error


def _adopted(text: object) -> Adopted | None:
    if text is None:
        return None
    try:
        return Adopted(**json.loads(str(text)))
    except (ValueError, TypeError) as error:
        raise CopyFault("the adopted epoch cannot be read") from error


def records_in(database: apsw.Connection, progress: Callable[[str], None]) -> Iterator[Record]:
    """Give all records, in order."""
    count = database.execute("SELECT count(*) FROM journal").get
    for number, row in enumerate(database.execute("SELECT * FROM journal ORDER BY action_id")):
        if number % _PROGRESS_EVERY == 0:
            progress(f"record {number} of {count}")
        yield Record._make(row)


def _check_requests(database: apsw.Connection, written_to: int) -> None:
    """The index of requests has to be that of the journal up to where it is written; raises CopyFault."""
    [(records,)] = database.execute("SELECT count(*) FROM journal WHERE action_id <= ?", (written_to,))
    [(indexed, right)] = database.execute(
        "SELECT count(*), count(journal.action_id) FROM requests LEFT JOIN journal"
        " ON journal.action_id = requests.action_id AND journal.action_id <= ?"
        " AND journal.session = requests.session AND journal.sequence = requests.sequence",
        (written_to,),
    )
    if not records == indexed == right:
        raise CopyFault(
            f"the index of requests names {indexed}, {right} of them rightly, and the journal has {records}"
        )
