"""A server's database, made of a chain of backups, in a file beside its place.

Rule 1: it is the journal that decides: what an increment brings is applied as on a standby, and has to come
        out as it says.
Rule 2: what is above the end is undone, or never applied; nothing of it is kept.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import apsw

from bankrmi.backup.chain import Chain, ChainedBackup
from bankrmi.bank.accounts import Accounts
from bankrmi.errors import BrokenInvariant, OperationFailed
from bankrmi.replication.journal import Adopted
from bankrmi.storage.backup_label import remove_label
from bankrmi.storage.copying import remove_logs
from bankrmi.storage.database import DiskFailed, open_database, private_opener
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.storage.space import check_room
from bankrmi.storage.state_machine import StateMachine

__all__ = ["rebuild", "throw_away"]

_RECORDS_AT_ONCE = 1_000
_UNDONE_AT_ONCE = 10_000
"""Operations."""

Progress = Callable[[str], None]


def rebuild(
    chain: Chain,
    end: int,
    path: Path,
    adopted: Adopted,
    progress: Progress,
    machine: StateMachine | None = None,
) -> str:
    """Make the database at `path`, with the journal up to action id `end`; return its incarnation.

    `machine` is what is replicated, if that is not the accounts of a bank. The database is closed then, and
    not durable yet (see `storage.copying.put_in_place`). Raises OperationFailed.
    """
    check_room(path.parent, sum(link.path.stat().st_size for link in chain.links))
    try:
        throw_away(path)
        with chain.whole.path.open("rb") as source, open(path, "wb", opener=private_opener) as target:
            shutil.copyfileobj(source, target)
        journal = _opened(path, Accounts({}) if machine is None else machine)
        try:
            journal.keep_over()
            _bring_to(journal, chain, end, progress)
            journal.adopt(adopted)
            incarnation = secrets.token_hex(8)
            journal.make_own(incarnation, adopted)
            remove_label(journal.database)
            journal.commit()
        finally:
            journal.close()
    except BrokenInvariant as error:
        raise OperationFailed(f"nothing was restored: it cannot be brought back so far ({error})") from error
    except (DiskFailed, apsw.Error, OSError) as error:
        raise OperationFailed(f"nothing was restored: {path.parent} cannot take it ({error})") from error
    return incarnation


def throw_away(path: Path) -> None:
    """Remove what was made at `path`, if it is there."""
    path.unlink(missing_ok=True)
    remove_logs(path)


def _opened(path: Path, machine: StateMachine) -> SqliteJournal:
    database = open_database(path, as_copy=True)
    behind = WriteBehind() if isinstance(machine, Accounts) else WriteBehind(0, 0)
    return SqliteJournal(database, machine, new_incarnation=lambda: secrets.token_hex(8), behind=behind)


def _bring_to(journal: SqliteJournal, chain: Chain, end: int, progress: Progress) -> None:
    for link in chain.links[1:]:
        _append(journal, link, end, progress)
    while journal.tip.action_id > end:
        below = journal.before(max(end, journal.tip.action_id - _UNDONE_AT_ONCE) + 1)
        journal.roll_back(end if below is None else max(end, below.action_id))
        journal.commit()
        progress(f"back to action id {journal.tip.action_id} of {end}")


def _append(journal: SqliteJournal, link: ChainedBackup, end: int, progress: Progress) -> None:
    records = link.records(journal.tip.action_id, end)
    try:
        while piece := list(islice(records, _RECORDS_AT_ONCE)):
            journal.append(piece)
            journal.commit()
            progress(f"action id {journal.tip.action_id} of {end}")
    except BrokenInvariant as error:
        raise OperationFailed(
            f"{link.path} cannot be put upon what it continues, and nothing was restored: {error}"
        ) from error
