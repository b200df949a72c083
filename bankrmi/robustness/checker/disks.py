"""What stopped servers have on their disks, read without touching it.

Rule 1: the files are copied first, while no server can take them; what is opened is the copy.
Rule 2: the journal is read a piece at a time, by the production reader: what page checksums or SQLite find
        wrong with it is found here, too.
Rule 3: of a journal that is folded, what is gone is read from one that is whole; where the two meet, they
        have to be one.
Assumption: what is in a data directory belongs to a bank of this version.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from bankrmi.bank.accounts import Accounts, fingerprint
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.replication.record import Position, Record
from bankrmi.robustness.checker.verdict import Copy
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.stopped_directory import alone_in

__all__ = ["DATABASE", "copy_files", "damaged", "names_of", "read_copies"]

DATABASE = "bank.db"
"""In the data directory of a server."""
_PIECE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """One server's disk, open."""

    name: str
    directory: Path
    journal: SqliteJournal
    opening: Position
    values: Mapping[Any, Any]


@contextmanager
def read_copies(directories: Sequence[Path], ledger: Mapping[int, int]) -> Iterator[list[Copy]]:
    """Give the copies in these data directories, to be read within the `with`; they opened with `ledger`.

    Raises ConfigurationError if a directory is not that of a stopped server, or if none has a whole journal;
    OperationFailed if its database is damaged.
    """
    with ExitStack() as stack:
        opened = []
        for name, directory in zip(names_of(directories), directories, strict=True):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            opened.append(_open(name, directory, scratch, ledger, stack))
        whole = next((one for one in opened if not one.journal.anchor.action_id), None)
        yield [_copy(one, whole) for one in opened]


def names_of(directories: Sequence[Path]) -> list[str]:
    """Return what to call the copies in these; raises ConfigurationError if one is given twice."""
    resolved = [directory.resolve() for directory in directories]
    for directory, path in zip(directories, resolved, strict=True):
        if resolved.count(path) > 1:
            raise ConfigurationError(f"the data directory {directory} is given twice")
    names = [path.name for path in resolved]
    return [
        name if names.count(name) == 1 else str(directory)
        for name, directory in zip(names, directories, strict=True)
    ]


def _open(name: str, directory: Path, scratch: Path, ledger: Mapping[int, int], stack: ExitStack) -> _Opened:
    copy_files(directory, scratch)
    try:
        database = open_database(scratch / DATABASE)
    except ConfigurationError as error:
        raise damaged(directory, error.__cause__ or error) from error
    stack.callback(database.close)
    try:
        journal = SqliteJournal(database, Accounts({}), new_incarnation=lambda: "made by the checker")
        values = dict(journal.export())
        opening, opened_with = journal.opening, journal.opened_with
    except apsw.Error as error:
        raise damaged(directory, error) from error
    if opening is None:
        raise ConfigurationError(f"the server of {directory} was never opened: it holds no accounts")
    if opened_with != fingerprint(ledger):
        raise ConfigurationError(
            f"the server of {directory} was opened with another ledger than the history says: "
            f"they are not of one run"
        )
    at = Position(0, 0, opening)
    return _Opened(name=name, directory=directory, journal=journal, opening=at, values=values)


def _copy(opened: _Opened, whole: _Opened | None) -> Copy:
    records = _records(opened, 0)
    anchor = opened.journal.anchor
    if anchor.action_id:
        if whole is None:
            raise ConfigurationError(
                f"the journal of {opened.directory} is folded up to action id {anchor.action_id}, and so are "
                "all: what clients were told can be judged if one of the servers has kept all of its own "
                "(journal.keep_operations and keep_days of 0)"
            )
        if whole.journal.tip.action_id < anchor.action_id:
            raise ConfigurationError(
                f"the journal of {whole.directory} ends before that of {opened.directory} begins: they were "
                "not in sync when they were stopped"
            )
        records = chain(_folded(whole, anchor), _records(opened, anchor.action_id))
    return Copy(name=opened.name, opening=opened.opening, records=records, values=opened.values)


def _folded(whole: _Opened, anchor: Position) -> Iterator[Record]:
    """Yield what a copy has folded, from one that has it; the last one is as the anchor has it."""
    for record in _records(whole, 0):
        if record.action_id >= anchor.action_id:
            if record.action_id == anchor.action_id:
                yield record._replace(epoch=anchor.epoch, digest=anchor.digest)
            return
        yield record


def copy_files(directory: Path, scratch: Path) -> None:
    """Copy the database, its write-ahead log included, while the lock of the directory is ours."""
    if not (directory / DATABASE).is_file():
        raise ConfigurationError(
            f"{directory} is not the data directory of a server: there is no {DATABASE} in it"
        )
    try:
        with alone_in(directory):
            for file in directory.glob(f"{DATABASE}*"):
                shutil.copy(file, scratch)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {directory} cannot be read: {error.strerror or error}"
        ) from error


def _records(opened: _Opened, after: int) -> Iterator[Record]:
    try:
        while piece := opened.journal.records(after, _PIECE):
            yield from piece
            after = piece[-1].action_id
    except apsw.Error as error:
        raise damaged(opened.directory, error) from error


def damaged(directory: Path, error: BaseException) -> OperationFailed:
    """Return what to raise for a database that cannot be read."""
    return OperationFailed(f"the database in {directory} is damaged: {error}")
