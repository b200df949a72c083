"""Is a backup's file sound?  Its pages, all that it holds, and that its label says what is in it.

A whole backup is judged as a server's database is, accounts and all. An increment has no accounts to begin
with: its records are checked for their order, their requests and their digests from the position on that it
continues; what comes of them is checked when it is put back upon what it continues.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from bankrmi.counted import counted
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.moments import in_words
from bankrmi.replication.record import Position, Record
from bankrmi.storage.backup_label import Label, label_of
from bankrmi.verifying.journal_check import CopyFault
from bankrmi.verifying.model import BankModel
from bankrmi.verifying.record_check import RecordCheck
from bankrmi.verifying.server_directory import (
    VERIFIED_FORMATS,
    anchor_of,
    check_pages,
    records_in,
    verify_database,
)
from bankrmi.verifying.stopped_directory import opened_unchanged
from bankrmi.verifying.verdict import DatabaseVerdict

__all__ = ["check_that_it_is_a_backup", "read_label", "verify_backup"]

Progress = Callable[[str], None]

_BEGINNING = b"SQLite format 3\0"
_PAGE_BYTES = 4096
"""A database is made of whole pages; hardly any other file is."""


def read_label(path: Path) -> Label:
    """Return the label of a backup.

    Raises InvalidRequest if this is none, or of another version; OperationFailed if it is damaged.
    """
    if not path.is_file():
        raise InvalidRequest(f"{path} is not a file")
    try:
        with opened_unchanged(path) as database:
            label = label_of(database)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error.message}") from error
    except apsw.NotADBError as error:
        raise _no_backup(path) from error
    except (apsw.Error, UnicodeDecodeError) as error:
        raise OperationFailed(f"{path} is damaged, or its disk is: {error}") from error
    if label is None:
        raise _no_backup(path)
    return label


def check_that_it_is_a_backup(path: Path) -> None:
    """Raise InvalidRequest if this is certainly none; a damaged file may be one."""
    try:
        with opened_unchanged(path) as database:
            is_another = label_of(database) is None
    except apsw.NotADBError:
        is_another = not _may_have_been_a_database(path)
    except (InvalidRequest, apsw.Error, UnicodeDecodeError):
        return
    if is_another:
        raise _no_backup(path)


def _may_have_been_a_database(path: Path) -> bool:
    """Return whether what begins as no database does may only have lost its beginning."""
    try:
        with path.open("rb") as file:
            is_one = file.read(len(_BEGINNING)) == _BEGINNING
        return is_one or path.stat().st_size % _PAGE_BYTES == 0
    except OSError:
        return True


def _no_backup(path: Path) -> InvalidRequest:
    return InvalidRequest(
        f"{path} is no backup: `bankrmi backup` makes one; of a server's database, name the directory"
    )


def verify_backup(path: Path, progress: Progress = lambda _: None) -> DatabaseVerdict:
    """Judge a backup, whole or an increment."""
    label, faults = None, []
    try:
        with opened_unchanged(path) as database:
            progress("the pages")
            check_pages(database)
            label = label_of(database)
            if label is None:
                raise CopyFault("it has no label, and so is no backup")
            _check_label(database, label, progress)
    except CopyFault as fault:
        faults.append(str(fault))
    except (apsw.Error, UnicodeDecodeError) as error:
        faults.append(f"{path.name} cannot be read: {error}")
    except InvalidRequest as error:
        faults.append(error.message)
    if label is not None and label.is_whole and not faults:
        faults.extend(verify_database(path, progress).faults)
    holds = "nothing that can be read" if label is None else _in_words(label)
    return DatabaseVerdict(path=path, holds=holds, faults=tuple(faults))


def _check_label(database: apsw.Connection, label: Label, progress: Progress) -> None:
    row = database.execute("SELECT action_id, epoch, digest FROM journal ORDER BY action_id DESC LIMIT 1").get
    tip = label.since if row is None else Position._make(row)
    if tip != label.tip:
        raise CopyFault(
            f"its label says that it ends at action id {label.tip.action_id}, not {tip.action_id}"
        )
    if label.is_whole:
        about = dict(database.execute("SELECT name, value FROM about"))
        anchor = anchor_of(about)
        if label.since != (Position(0, 0, about.get("opening", b"")) if anchor is None else anchor.position):
            raise CopyFault("its label does not fit the state that it begins with")
        return
    found = database.execute("SELECT value FROM about WHERE name = 'format'").get
    if found not in VERIFIED_FORMATS:
        known = " and ".join(map(str, VERIFIED_FORMATS))
        raise CopyFault(f"its records are of format {found}, and this version knows {known}")
    check = RecordCheck(label.since, BankModel({}), _raise)
    for record in records_in(database, progress):
        _check_entries(check, record)


def _check_entries(check: RecordCheck, record: Record) -> None:
    for entry in check.take_place(record):
        if not isinstance(entry.operation, tuple | None):
            raise CopyFault(f"the operation at action id {entry.action_id} cannot be read")


def _raise(sentence: str) -> None:
    raise CopyFault(sentence)


def _in_words(label: Label) -> str:
    what = counted(label.tip.action_id - label.since.action_id, "operation")
    if not label.is_whole or label.since.action_id:
        what += f" since action id {label.since.action_id}"
    return (
        f"{what}, up to action id {label.tip.action_id}, epoch {label.epoch} of history {label.history}; "
        f"taken of {label.server} on {in_words(label.taken_us // 1_000_000 * 1_000_000)}"
    )
