"""Opens a disk after a power loss as a starting process does, and says what was lost.

Rule 1: it is opened by the product's own code, all of it: folder, lock, database, leftovers of copies.
Rule 2: everything told by then is there: the entry (by its digest), the epoch acted in, the view.
Rule 3: what is there agrees with itself: digests, requests, accounts, page checksums; and it can be written.
Assumption: the digests at the end of the recording are those of the one history that was acknowledged; what
        a server acknowledged and rolled back later, as the rules have it, is not asked for.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit
from bankrmi.config import Configuration
from bankrmi.coordination.view_store import ViewStore
from bankrmi.replication.record import Position, Record, packed
from bankrmi.replication.view import View
from bankrmi.robustness.power_loss.operations import Told, ToldEntry, ToldEpoch, ToldView
from bankrmi.robustness.power_loss.reference import Reference
from bankrmi.robustness.power_loss.states import State
from bankrmi.server.copying import remove_leftovers
from bankrmi.server.data_directory import DATABASE, DataDirectory
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.pages import page_faults
from bankrmi.verifying.journal_check import CopyFault, check_all
from bankrmi.verifying.server_directory import verify_database

__all__ = ["FOREIGN_HISTORY", "Removed", "ServerJudge", "WitnessJudge", "rolled_back"]

FOREIGN_HISTORY = "of-another-bank"

_ALL_RECORDS = "SELECT * FROM journal ORDER BY action_id"

Row = tuple[Any, ...]
"""A record as SQLite gives it: there are many, and comparing them needs no more."""

Removed = tuple[int, str]
"""Action id and digest of an entry that was rolled back."""

_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
_CHECKSUM_BYTES = 8
_CHECKSUM_BYTES_AT = 20


class _Machine:
    """A folder in memory that becomes one disk after the other."""

    def __init__(self) -> None:
        self._folder = Path(
            tempfile.mkdtemp(prefix="bankrmi-power-", dir=_MEMORY if _MEMORY.is_dir() else None)
        )
        self.root = self._folder / "disk"
        self.root.mkdir()
        self.ledger = self._folder / "ledger.csv"
        self.ledger.write_text("1,1\n")  # A short one: every start reads it, and only compares.

    def close(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def becomes(self, state: State) -> None:
        """Put this disk in the place of the one before."""
        for left in self.root.iterdir():
            shutil.rmtree(left)
        for directory in sorted(state.directories - {""}):
            (self.root / directory).mkdir()
        for path, content in state.files.items():
            (self.root / path).write_bytes(content)


class ServerJudge:
    """Judges disks of one server."""

    def __init__(
        self, name: str, configuration: Configuration, reference: Reference, *, foreign: bool = False
    ) -> None:
        """`foreign` if the disk begins with another bank's database."""
        self._name = name
        self._foreign = foreign
        self._machine = _Machine()
        self._configuration = configuration.model_copy(
            update={"data_dir": self._machine.root / "data", "ledger": self._machine.ledger}
        )
        self._reference = reference

    def close(self) -> None:
        """Leave nothing behind."""
        self._machine.close()

    def judge(
        self, state: State, told: Sequence[Told], *, removed: Sequence[Removed] = (), thorough: bool = False
    ) -> str | None:
        """Return what is wrong with this disk, None if nothing is; `thorough` writes to it, too.

        `removed` are entries that were rolled back, or are about to be.
        """
        self._machine.becomes(state)
        with capture_logs():  # What a start has to say of another bank's ledger is not for here.
            return self._opened_and_judged(told, removed, thorough=thorough)

    def _opened_and_judged(
        self, told: Sequence[Told], removed: Sequence[Removed], *, thorough: bool
    ) -> str | None:
        try:
            directory = DataDirectory(self._configuration, self._name)
            try:
                journal = directory.open_journal()
                try:
                    remove_leftovers(directory.path)
                    rows = list(journal.database.execute(_ALL_RECORDS))
                    self._check_told(journal, rows, told)
                    self._check_content(journal, rows)
                    _check_kept(directory.path, journal, rows, removed, foreign=self._foreign)
                    if thorough:
                        _write(journal)
                finally:
                    journal.close()
                if thorough:
                    _read_again(directory)
            finally:
                directory.release()
        except CopyFault as fault:
            return str(fault)
        except Exception as error:  # Whatever it is: a start would have ended with it.
            return f"it cannot be opened: {type(error).__name__}: {error}"
        return None

    def _check_told(self, journal: SqliteJournal, rows: Sequence[Row], told: Sequence[Told]) -> None:
        reference, adopted = self._reference, journal.adopted
        newest = epoch = 0
        for each in told:
            if isinstance(each, ToldEntry) and reference.holds(each.action_id, each.digest):
                newest = max(newest, each.action_id)
            elif isinstance(each, ToldEpoch) and each.history == reference.history:
                epoch = max(epoch, each.epoch)
        if epoch and (adopted is None or adopted.history != reference.history or adopted.epoch < epoch):
            raise CopyFault(f"it acted in epoch {epoch}, and has adopted {adopted}")
        if newest > journal.tip.action_id:
            raise CopyFault(f"it told of action id {newest}, and ends at {journal.tip.action_id}")
        if newest and _digests(rows)[newest] != reference.digests[newest]:
            raise CopyFault(f"at action id {newest} there is another record than it told of")

    def _check_content(self, journal: SqliteJournal, rows: list[Row]) -> None:
        if journal.database.pragma("checksum_verification") != "1":
            raise CopyFault("its pages have no checksums")
        balances = dict(journal.export())
        if not rows and journal.adopted is None:
            return
        known = self._reference.balances_after(rows)
        if known is not None:
            if balances != known:
                raise CopyFault(f"the accounts are not what the {len(rows)} records add up to")
            return
        opening = journal.position(0)
        assert opening is not None
        check_all(
            Position(*opening),
            map(Record._make, rows),
            balances,
            journal.opened_with,
            journal.adopted,
            written_to=journal.tip.action_id,
        )


def _check_kept(
    directory: Path,
    journal: SqliteJournal,
    rows: Sequence[Row],
    removed: Sequence[Removed],
    *,
    foreign: bool,
) -> None:
    """What was rolled back is on record, another bank's database is kept, half copies are not."""
    leftovers = [file.name for file in directory.glob("copy-*")]
    if leftovers:
        raise CopyFault(f"{leftovers[0]} is left behind, and nobody will ever remove it")
    recorded = set(rolled_back({file.name: file.read_bytes() for file in directory.glob("rolled-back-*")}))
    held = _digests(rows)
    for action_id, digest in removed:
        if held.get(action_id) != bytes.fromhex(digest) and (action_id, digest) not in recorded:
            raise CopyFault(f"action id {action_id} was rolled back, and is not on record")
    if foreign and (journal.adopted is None or journal.adopted.history != FOREIGN_HISTORY):
        kept = list(directory.glob("replaced-*.db"))
        if not kept or not verify_database(kept[0]).sound:
            raise CopyFault("the database of another bank was replaced, and is not kept")


def _digests(rows: Sequence[Row]) -> dict[int, bytes]:
    """Return the digest of the record that holds an operation, by action id."""
    return {
        action_id: record.digest
        for record in map(Record._make, rows)
        for action_id in range(record.first_id, record.action_id + 1)
    }


def rolled_back(records: Mapping[str, bytes]) -> list[Removed]:
    """Return what the records `rolled-back-<epoch>.jsonl` hold; a last line that was cut off is ignored."""
    found = []
    for name, content in records.items():
        if name.startswith("rolled-back-"):
            for line in content.split(b"\n")[:-1]:
                with suppress(ValueError):
                    entry = json.loads(line)
                    found.append((int(entry["action_id"]), str(entry["digest"])))
    return found


def _write(journal: SqliteJournal) -> None:
    """Go on: one more request, committed."""
    if journal.adopted is not None:
        operations = packed([form_of(Deposit(1, 1))])
        journal.decide(journal.adopted.epoch, ("after-the-power-loss", 1), 1, operations, 1)
        journal.commit()


def _read_again(directory: DataDirectory) -> None:
    """After a stop in good order: all pages are sound, and what was written last is there."""
    if (directory.path / DATABASE).read_bytes()[_CHECKSUM_BYTES_AT] != _CHECKSUM_BYTES:
        raise CopyFault("its pages have no room for checksums")
    journal = directory.open_journal()
    try:
        if faults := page_faults(journal.database, at_most=1):
            raise CopyFault(f"after one more commit and a stop: {faults}")
        if journal.adopted is not None and not journal.recorded("after-the-power-loss", 1):
            raise CopyFault("one more commit is lost after a stop in good order")
    finally:
        journal.close()


class WitnessJudge:
    """Judges disks of the witness."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._machine = _Machine()

    def close(self) -> None:
        """Leave nothing behind."""
        self._machine.close()

    def judge(
        self, state: State, told: Sequence[Told], *, removed: Sequence[Removed] = (), thorough: bool = False
    ) -> str | None:
        """Return what is wrong with this disk, None if nothing is; `thorough` proposes one more view, too."""
        assert not removed, "a witness rolls nothing back"
        self._machine.becomes(state)
        try:
            store = ViewStore(self._machine.root / "data" / "witness")
            try:
                self._check(store, told)
                if thorough:
                    self._propose(store)
            finally:
                store.close()
        except CopyFault as fault:
            return str(fault)
        except Exception as error:  # Whatever it is: a start would have ended with it.
            return f"it cannot be opened: {type(error).__name__}: {error}"
        return None

    def _check(self, store: ViewStore, told: Sequence[Told]) -> None:
        views = {(view.history, view.epoch): view for view in _all_views(store, self._service)}
        current = store.current(self._service)
        for each in told:
            if not isinstance(each, ToldView):
                continue
            if views.get((each.history, each.epoch)) != each.view:
                raise CopyFault(
                    f"it told of epoch {each.epoch}, and holds {views.get((each.history, each.epoch))}"
                )
            if current is None or current.epoch < each.epoch:
                raise CopyFault(f"it told of epoch {each.epoch}, and the view is {current}")

    def _propose(self, store: ViewStore) -> None:
        current = store.current(self._service)
        if current is None:
            return
        won, _ = store.propose(
            self._service, (current.history, current.epoch), current.started_again("after-the-power-loss")
        )
        if not won:
            raise CopyFault("a proposal that follows the view does not win")


def _all_views(store: ViewStore, service: str) -> Iterator[View]:
    newest = None
    while views := store.history(service, newest):
        yield from views
        newest = views[-1].history, views[-1].epoch
