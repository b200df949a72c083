"""A bank leaves a database for servers that keep it themselves.

    retire the database ──> read all of it ──> a backup of it ──> restored at one server ──> the first view
        └──────────────────────────────── the pause ────────────────────────────────────────────┘

Rule 1: what the servers begin with is checked as any backup is, and begins a history of its own
        (`backup.restoring`). That history is drawn before, and noted where the bank was: whoever runs the
        command again finds out by it whether the bank is open at the servers.
Rule 2: the first view is proposed while the row is locked that says where the bank has gone: nobody can have
        it stay in the database meanwhile.
Rule 3: a journal has one action id for each operation, and begins here with none: accounts and the newest
        request of each session come along, entries do not. A batch whose operations were of several accounts
        is told the same balances again, and other action ids.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from bankrmi.backup.draft import drafted
from bankrmi.backup.restoring import WantedPoint, restore, take_away
from bankrmi.backup.taking import Order, put_backup_in_place
from bankrmi.bank.accounts import fingerprint, sum_of
from bankrmi.config import Configuration
from bankrmi.coordination.keepers import asked_keeper, keeper_in_words
from bankrmi.coordination.restoring import holding_of
from bankrmi.counted import counted
from bankrmi.engine.moving import BankRow, KeptRequest, Leaving, MovingDatabase
from bankrmi.errors import InvalidRequest
from bankrmi.foreign_text import foreign
from bankrmi.relocation.failpoints import reached
from bankrmi.relocation.kinds import check_kind
from bankrmi.replication.journal import Adopted
from bankrmi.replication.pause import REASON_AT_MOST
from bankrmi.replication.record import DIGEST_BYTES, Position
from bankrmi.replication.sessions import HORIZON
from bankrmi.replication.view import View
from bankrmi.storage.backup_label import Label
from bankrmi.storage.folding import Anchor
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.server_directory import DATABASE

__all__ = ["MovedBack", "cancel_to_servers", "move_to_servers", "plan_to_servers"]

_ACCOUNTS_AT_ONCE = 10_000
_FILE = "from-a-database.backup"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedBack:
    """What was done; `pause_s`: for how long nobody was answered, if that was now."""

    action_id: int
    accounts: int | None
    history: str
    pause_s: float | None


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the bank opens with (see `backup.draft.Beginning`)."""

    opening: bytes
    opened_with: bytes | None
    anchor: Anchor | None


def plan_to_servers(configuration: Configuration, url: str, server: str) -> list[str]:
    """Return what would be done, in sentences; raise what `move_to_servers` raises. Nothing is changed."""
    check_kind(configuration)
    with MovingDatabase(url, configuration.service) as database:
        row, view = _looked(configuration, database)
        if view is not None:
            return [f"the bank is at the servers already (history {view.history}): there is nothing to do"]
        _check_directories(configuration, server)
        with database.read() as leaving:
            up_to = leaving.newest_action_id()
        retired = (
            "is retired already" if row.retired_for is not None else "is retired first, and clients wait"
        )
        where = f"{database.in_words} (action ids up to {up_to})"
        return [
            f"service {configuration.service}: from {where}, which {retired}",
            f"to {configuration.data_dir / server}, which begins with it; the other servers join",
        ]


def move_to_servers(
    configuration: Configuration, url: str, server: str, *, progress: Progress = lambda _: None
) -> MovedBack:
    """Move the bank; raises InvalidRequest, OperationFailed, Unreached or ConfigurationError."""
    check_kind(configuration)
    with MovingDatabase(url, configuration.service) as database:
        row, view = _looked(configuration, database)
        if view is not None:
            return MovedBack(action_id=row.base, accounts=None, history=view.history, pause_s=None)
        given_up = _check_directories(configuration, server)
        reached("migrate:before-retiring")
        began_s = time.monotonic()
        successor = row.successor or secrets.token_hex(8)
        if row.retired_for is None:
            database.retire(_words_of(configuration), successor)
        reached("migrate:retired")
        configuration.data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=configuration.data_dir, prefix=".migrate-") as folder:
            file = Path(folder) / _FILE
            with database.read() as leaving:
                written = _Written(configuration, server, row, leaving)
                written.write(file, progress)
            with ExitStack() as holding:

                def before_the_first_view() -> None:
                    reached("migrate:before-opening")
                    holding.enter_context(database.held(successor))

                restored = restore(
                    configuration,
                    server,
                    WantedPoint(files=(file,), history=successor),
                    given_up=given_up,
                    progress=progress,
                    before_the_first_view=before_the_first_view,
                )
        reached("migrate:opened")
        return MovedBack(
            action_id=restored.action_id,
            accounts=written.accounts,
            history=restored.view.history,
            pause_s=time.monotonic() - began_s,
        )


def cancel_to_servers(configuration: Configuration, url: str, server: str, *, force: bool = False) -> None:
    """Have the database keep the bank after all, unless it is open at the servers.

    What an interrupted try has left at `server` is taken away: no view has ever named it.

    `force`: whatever the servers say, or if they say nothing, on the operator's word that nobody used it
    there. For a word alone nothing is taken away.
    """
    with MovingDatabase(url, configuration.service) as database:
        row = _there(database)
        successor = row.successor
        if successor is None:
            raise InvalidRequest(f"the bank is in {database.in_words}, and has not left: nothing was changed")

        def check() -> None:
            if force:
                return
            view = asked_keeper(configuration).read()
            if view is not None and view.history == successor:
                raise InvalidRequest(
                    f"the bank is open at the servers (epoch {view.epoch}): nothing was changed. "
                    "`bankrmi migrate --to` brings it to a database"
                )
            take_away(configuration.data_dir / server, successor)

        database.reinstate(successor, check)


def _words_of(configuration: Configuration) -> str:
    """Return what servers of the database say of where the bank is."""
    names = ", ".join(f"{name} at {address}" for name, address in configuration.servers.items())
    return f"servers of its own: {names}"[:REASON_AT_MOST]


def _there(database: MovingDatabase) -> BankRow:
    row = database.look()
    if row is None:
        raise InvalidRequest(f"there is no bank in {database.in_words} (schema {database.schema})")
    if row.arriving is not None:
        raise InvalidRequest(
            f"the bank is on its way to {database.in_words}, and not there: `bankrmi migrate --to` goes on "
            "with "
            "that, or takes it back (--cancel)"
        )
    return row


def _looked(configuration: Configuration, database: MovingDatabase) -> tuple[BankRow, View | None]:
    """Return what there is to move, and the view of the servers if it is there already."""
    row, view = _there(database), asked_keeper(configuration).read()
    if view is not None and view.history == row.successor:
        return row, view
    if row.retired_for not in (None, _words_of(configuration)):
        raise InvalidRequest(
            f"the bank has left {database.in_words} for {foreign(row.retired_for)}: use the configuration "
            "of those"
        )
    if view is not None:
        raise InvalidRequest(
            f"{keeper_in_words(configuration)} holds a view (epoch {view.epoch}): there is, or was, a bank "
            "of these "
            "servers. If it is of no use any more (it may have been retired for this database), stop all of "
            "it, "
            "move the folders of the witness and of the servers away, and start the name server"
        )
    return row, None


def _check_directories(configuration: Configuration, server: str) -> list[str]:
    """Raise InvalidRequest if a server holds something; return those that do not run."""
    for name in configuration.servers:
        path = configuration.data_dir / name / DATABASE
        if path.exists() and name != server:
            raise InvalidRequest(f"{path} is there, of a bank before: move the folder of {name} away")
    others = [name for name in configuration.servers if name != server]
    if not others:
        return []
    with ThreadPoolExecutor(len(others)) as pool:
        told = list(pool.map(lambda name: holding_of(name, configuration, "holdings"), others))
    return [name for name, answer in zip(others, told, strict=True) if isinstance(answer, str)]


class _Written:
    """What is read of a database, as a whole backup of one that begins with its anchor."""

    def __init__(self, configuration: Configuration, server: str, row: BankRow, leaving: Leaving) -> None:
        self._service = configuration.service
        self._server = server
        self._row = row
        self._leaving = leaving
        self._time_us = 0
        self._most = 1
        self.accounts = 0

    def write(self, file: Path, progress: Progress) -> None:
        """Write it."""
        newest = self._leaving.newest_action_id()
        kept = [*self._kept(newest)]
        action_id = max(newest, self._most)
        epoch = self._row.through_epoch or 1
        digest = blake2b(f"{self._row.history} {action_id}".encode(), digest_size=DIGEST_BYTES).digest()
        at = Position(action_id, epoch, digest)
        if self._row.horizon_ms:
            kept.append((HORIZON, self._row.horizon_ms, action_id, epoch, 1, b"", b"", self._time_us, digest))
        history = self._row.history
        with drafted(file, at, whole=True) as draft:
            draft.take_sessions(kept)
            state = 0
            for page in _pages(self._leaving.accounts()):
                draft.take_accounts(dict(page))
                state = (state + sum_of(page)) % SUM_MODULUS
                self.accounts += len(page)
                progress(counted(self.accounts, "account"))
            anchor = Anchor(position=at, time_us=self._time_us, history=history, state=state)
            label = Label(
                kind="whole", service=self._service, server=self._server, history=history, epoch=epoch,
                since=at, tip=at, taken_us=self._time_us,
            )  # fmt: skip
            adopted = Adopted(
                history=history, epoch=epoch, primary=self._server, start_id="migrate", granted_ms=0
            )
            draft.finish(label, _Beginning(digest, fingerprint({}), anchor), adopted)
            put_backup_in_place(draft.path, Order(file=file))

    def _kept(self, newest: int) -> Iterator[tuple[Any, ...]]:
        for request in self._leaving.newest_requests():
            self._time_us = max(self._time_us, request.time_us)
            count = max(1, len(request.action_ids))
            action_id = _place_of(request, count, newest)
            self._most = max(self._most, action_id)
            content = (request.operations, request.outcomes)
            digest = bytes(DIGEST_BYTES)
            yield (request.session, request.sequence, action_id, 1, count, *content, request.time_us, digest)


def _place_of(request: KeptRequest, count: int, newest: int) -> int:
    """Return the action id of a request as a journal has it: its own if its operations follow each other."""
    ids = [*request.action_ids]
    if ids and ids[0] > 0 and ids == [*range(ids[0], ids[0] + count)]:
        return ids[-1]
    return max(count, newest)


def _pages(rows: Iterator[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    page: list[tuple[int, int]] = []
    for row in rows:
        page.append(row)
        if len(page) == _ACCOUNTS_AT_ONCE:
            yield page
            page = []
    if page:
        yield page
