"""What stopped servers have on their disks, read without touching it.

Rule 1: the files are copied first, while no server can take them; what is opened is the copy.
Rule 2: the journal is read a piece at a time, by the production reader: what page checksums or SQLite find
        wrong with it is found here, too.
Assumption: what is in a data directory belongs to a bank of this version.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from bankrmi.bank.accounts import Accounts, fingerprint
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.replication.record import Record
from bankrmi.robustness.checker.verdict import Copy
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.stopped_directory import alone_in

__all__ = ["read_copies"]

_DATABASE = "bank.db"
_PIECE = 10_000


@contextmanager
def read_copies(directories: Sequence[Path], ledger: Mapping[int, int]) -> Iterator[list[Copy]]:
    """Give the copies in these data directories, to be read within the `with`; they opened with `ledger`.

    Raises ConfigurationError if a directory is not that of a stopped server, OperationFailed if its database
    is damaged.
    """
    resolved = [directory.resolve() for directory in directories]
    names = [one.name for one in resolved]
    with ExitStack() as stack:
        copies = []
        for directory, path in zip(directories, resolved, strict=True):
            if resolved.count(path) > 1:
                raise ConfigurationError(f"the data directory {directory} is given twice")
            name = path.name if names.count(path.name) == 1 else str(directory)
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            copies.append(_copy(name, directory, scratch, ledger, stack))
        yield copies


def _copy(name: str, directory: Path, scratch: Path, ledger: Mapping[int, int], stack: ExitStack) -> Copy:
    _copy_files(directory, scratch)
    try:
        database = open_database(scratch / _DATABASE)
    except ConfigurationError as error:
        raise _damaged(directory, error.__cause__ or error) from error
    stack.callback(database.close)
    try:
        journal = SqliteJournal(database, Accounts({}), new_incarnation=lambda: "made by the checker")
        values = dict(journal.export())
        opening, opened_with, anchor = journal.position(0), journal.opened_with, journal.anchor.action_id
    except apsw.Error as error:
        raise _damaged(directory, error) from error
    if anchor:
        raise ConfigurationError(
            f"the journal of {directory} is folded up to action id {anchor}: what clients were told can be "
            "judged by a whole journal only (journal.keep_operations and keep_days of 0)"
        )
    if opening is None:
        raise ConfigurationError(f"the server of {directory} was never opened: it holds no accounts")
    if opened_with != fingerprint(ledger):
        raise ConfigurationError(
            f"the server of {directory} was opened with another ledger than the history says: "
            f"they are not of one run"
        )
    return Copy(name=name, opening=opening, records=_records(journal, directory), values=values)


def _copy_files(directory: Path, scratch: Path) -> None:
    """Copy the database, its write-ahead log included, while the lock of the directory is ours."""
    if not (directory / _DATABASE).is_file():
        raise ConfigurationError(
            f"{directory} is not the data directory of a server: there is no {_DATABASE} in it"
        )
    try:
        with alone_in(directory):
            for file in directory.glob(f"{_DATABASE}*"):
                shutil.copy(file, scratch)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {directory} cannot be read: {error.strerror or error}"
        ) from error


def _records(journal: SqliteJournal, directory: Path) -> Iterator[Record]:
    after = 0
    try:
        while piece := journal.records(after, _PIECE):
            yield from piece
            after = piece[-1].action_id
    except apsw.Error as error:
        raise _damaged(directory, error) from error


def _damaged(directory: Path, error: BaseException) -> OperationFailed:
    return OperationFailed(f"the database in {directory} is damaged: {error}")
