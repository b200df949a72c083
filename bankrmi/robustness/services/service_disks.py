"""What stopped servers of a service have on their disks, read without touching it (see `checker.disks`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from bankrmi.errors import ConfigurationError
from bankrmi.replication.record import Position, Record
from bankrmi.robustness.checker.disks import DATABASE, copy_files, damaged, names_of
from bankrmi.robustness.checker.verdict import Copy
from bankrmi.service.declaring import Description
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.served_services import HOME, ServedServices
from bankrmi.service.versions import classes_beside
from bankrmi.storage.about import served_class
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal, WriteBehind

__all__ = ["read_service_copies"]

_PIECE = 10_000


@contextmanager
def read_service_copies(
    directories: Sequence[Path], description: Description | ServedServices
) -> Iterator[tuple[list[Copy], list[SqliteJournal]]]:
    """Give the copies of this class, or of these services, in these data directories, and their journals,
    within the `with`.

    Raises ConfigurationError if a directory is not that of a stopped server of them; OperationFailed if its
    database is damaged.
    """
    services = ServedServices.of(description)
    with ExitStack() as stack:
        journals = []
        for directory in directories:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            journals.append(_open(directory, scratch, services, stack))
        names = names_of(directories)
        copies = [
            _copy(name, directory, journal)
            for name, directory, journal in zip(names, directories, journals, strict=True)
        ]
        yield copies, journals


def _open(directory: Path, scratch: Path, services: ServedServices, stack: ExitStack) -> SqliteJournal:
    copy_files(directory, scratch)
    try:
        database = open_database(scratch / DATABASE)
    except ConfigurationError as error:
        raise damaged(directory, error.__cause__ or error) from error
    stack.callback(database.close)
    try:
        _check_what_it_holds(directory, database, services)
        return SqliteJournal(
            database,
            ServiceMachine(services),
            new_incarnation=lambda: "made by the checker",
            behind=WriteBehind(0, 0),
        )
    except apsw.Error as error:
        raise damaged(directory, error) from error


def _check_what_it_holds(directory: Path, database: apsw.Connection, services: ServedServices) -> None:
    home = served_class(database)
    if home is None:
        held = "the accounts of a bank"
    else:
        beside = classes_beside(database)
        if home == services.home.name and beside == {name: one.name for name, one in services.beside.items()}:
            return
        held = f"the state of {_listed({HOME: home, **beside})}"
    wanted = _listed({name: one.name for name, one in services.each()})
    raise ConfigurationError(f"{directory} holds {held}, and not the state of {wanted}")


def _listed(classes: Mapping[str, str]) -> str:
    """Return classes with the names of the services that stand beside the first one."""
    return ", ".join(f"{kind} as {name}" if name else kind for name, kind in classes.items())


def _copy(name: str, directory: Path, journal: SqliteJournal) -> Copy:
    if journal.opening is None:
        raise ConfigurationError(f"the server of {directory} was never opened: it holds nothing")
    opening = Position(0, 0, journal.opening)
    return Copy(name=name, opening=opening, records=_records(directory, journal), values={})


def _records(directory: Path, journal: SqliteJournal) -> Iterator[Record]:
    after = 0
    try:
        while piece := journal.records(after, _PIECE):
            yield from piece
            after = piece[-1].action_id
    except apsw.Error as error:
        raise damaged(directory, error) from error
