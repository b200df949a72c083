"""One restore: a bank begins anew with a backup, in the data directory of one server.

    looked at ──> checked ──> built beside its place ──> looked at again ──> in its place ──> first view
       └─ refused, and nothing is changed: the bank may live, the directory is not empty, a file is damaged

Rule 1: nothing that is there is touched: the directory is empty, and stays locked until all is done.
Rule 2: the database is in its place, durably, before any view names it. If another view wins meanwhile, it is
        taken away again.
Rule 3: however it ends, it is said what is there, and what to do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bankrmi.backup.chain import Chain
from bankrmi.backup.point import at_action_id, at_time
from bankrmi.backup.rebuilding import rebuild, throw_away
from bankrmi.config import Configuration
from bankrmi.coordination.founding import EPOCHS_SINCE_A_BACKUP, check_that_none_lives, found
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.replication.cause import OPERATOR, Cause, CauseKind, named
from bankrmi.replication.journal import Adopted
from bankrmi.replication.view import View
from bankrmi.service.loading import load_services
from bankrmi.service.machine import ServiceMachine
from bankrmi.storage.copying import RESTORED, put_in_place
from bankrmi.storage.database import LOCK, DiskFailed, own_directory
from bankrmi.storage.state_machine import StateMachine
from bankrmi.verifying.server_directory import DATABASE

__all__ = ["Restored", "WantedPoint", "restore"]

_IN_USE = (
    "{directory} is in use by the running process {owner}: a server that runs is not restored, stop it first"
)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPoint:
    """What to restore: the files, and where the journal is to end; at most one of the last two is given."""

    files: Sequence[Path]
    to: int | None = None
    at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What there is now: where the journal ends, where the backups ended, and the view of the new history."""

    action_id: int
    ended_at: int
    view: View


def restore(
    configuration: Configuration,
    server: str,
    wanted: WantedPoint,
    *,
    given_up: Collection[str] = (),
    progress: Progress = lambda _: None,
) -> Restored:
    """Have the bank begin anew at `server`, with what these backups hold.

    Raises InvalidRequest or OperationFailed, which say why not, and what is there if anything is.
    """
    with Chain(wanted.files) as chain:
        if chain.services != {configuration.service}:
            raise InvalidRequest(
                f"these are backups of {', '.join(sorted(chain.services))}, and the service of the "
                f"configuration is {configuration.service}"
            )
        end = _end(chain, wanted)
        with _empty_directory(configuration.data_dir / server) as directory:
            _check_that_none_lives(configuration, server, given_up)
            chain.check(progress)
            adopted = _adopted(chain, server)
            machine = _machine(configuration, chain)
            incarnation = rebuild(chain, end, directory / RESTORED, adopted, progress, machine)
            _check_that_none_lives(configuration, server, given_up)  # It may have taken an hour.
            cause = Cause(
                kind=CauseKind.BACKUP_RESTORED,
                by=OPERATOR,
                of=tuple(sorted(given_up)),
                backup=named(next(link for link in chain.links if link.ends_at >= end).path.name),
                action_id=end,
            )
            view = _view(adopted, incarnation).because(cause)
            _put_in_place(directory)
            _begin(configuration, server, directory, view)
            return Restored(action_id=end, ended_at=chain.links[-1].ends_at, view=view)


def _machine(configuration: Configuration, chain: Chain) -> StateMachine | None:
    """Return the class whose state this is; None if it is a bank's.  Raises InvalidRequest if it is another
    one."""
    held, services = chain.served_class, None
    if configuration.services:
        services = load_services(configuration.services, configuration.path.parent)
    wanted = None if services is None else services.home.name
    if held != wanted:
        what, serves = _in_words(held), _in_words(wanted)
        raise InvalidRequest(f"these are backups of {what}, and the configuration serves {serves}")
    for service, kind in chain.classes_beside.items():
        found = None if services is None else services.find(service)
        if found is None or found.name != kind:
            raise InvalidRequest(
                f"these are backups of {kind}, too, as the service {service}, and the configuration serves "
                "no such thing: name it below `serves`"
            )
    return None if services is None else ServiceMachine(services)


def _in_words(kind: str | None) -> str:
    return "the accounts of a bank" if kind is None else f"the state of {kind}"


def _end(chain: Chain, wanted: WantedPoint) -> int:
    if wanted.to is not None:
        return at_action_id(chain.links, wanted.to)
    if wanted.at_us is not None:
        return at_time(chain.links, wanted.at_us)
    return chain.links[-1].ends_at


@contextmanager
def _empty_directory(directory: Path) -> Iterator[Path]:
    """Take a data directory in which nothing is; if nothing comes of it, leave it as it was."""
    was_there = directory.is_dir()
    lock = own_directory(directory, _IN_USE)
    try:
        ours = {LOCK, *(f"{RESTORED}{end}" for end in ("", "-wal", "-shm", "-journal"))}
        if held := sorted(one.name for one in directory.iterdir() if one.name not in ours):
            raise OperationFailed(
                f"{directory} is not empty ({', '.join(held[:3])}), and nothing in it is overwritten: if it "
                "is of no use any more, move it away (moved, not removed), and restore again"
            )
        yield directory
    finally:
        throw_away(directory / RESTORED)
        if not was_there and [one.name for one in directory.iterdir()] == [LOCK]:
            with suppress(OSError):
                (directory / LOCK).unlink()
                directory.rmdir()
        lock.close()


def _check_that_none_lives(configuration: Configuration, server: str, given_up: Collection[str]) -> None:
    check_that_none_lives(configuration, server, given_up=given_up)
    for other in given_up:
        path = configuration.data_dir / other / DATABASE
        if path.exists():
            raise OperationFailed(
                f"{path} is there, and may hold more than the backup: {other} is not lost; start it, or move "
                "its directory away"
            )


def _adopted(chain: Chain, server: str) -> Adopted:
    return Adopted(
        history=secrets.token_hex(8),
        epoch=chain.highest_epoch + EPOCHS_SINCE_A_BACKUP,
        primary=server,
        start_id=secrets.token_hex(8),
        granted_ms=0,
    )


def _view(adopted: Adopted, incarnation: str) -> View:
    """The first view of the new history: of this copy alone."""
    return View(
        history=adopted.history,
        epoch=adopted.epoch,
        primary=adopted.primary,
        start_id=adopted.start_id,
        in_sync=frozenset({adopted.primary}),
        incarnations={adopted.primary: incarnation},
        forced=True,
    )


def _put_in_place(directory: Path) -> None:
    try:
        put_in_place(directory / RESTORED, directory / DATABASE)
    except DiskFailed as error:
        raise OperationFailed(
            f"{error}: remove {directory} and restore again, on a disk that works"
        ) from error


def _begin(configuration: Configuration, server: str, directory: Path, view: View) -> None:
    """Have the witness take the first view; if it is certain that it did not, take the database away."""
    unknown = (
        f"it is not known whether the witness took the first view: start {server}; it "
        "leads if so, and otherwise says that there is no view, which `bankrmi witness restore` mends"
    )
    try:
        won = found(configuration, view)
    except KeyboardInterrupt as interruption:
        interruption.add_note(f"interrupted: the copy is in {directory}; {unknown}")
        raise
    if won is None:
        raise OperationFailed(f"the copy is in {directory}, and {unknown}")
    if not won:
        throw_away(directory / DATABASE)
        raise OperationFailed("the witness holds another view meanwhile, so nothing was restored")
