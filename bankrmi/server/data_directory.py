"""A server's folder on the disk: taken for this process alone, and its database opened, as every start does.

Rule 1: one process at a time; the lock ends with it.
Rule 2: what a power loss leaves half made is nothing to complain of: an empty copy is made whole at the next
        start, and joins or opens the bank like any other.
Rule 3: a disk that cannot be used is one sentence, which says what to do, and never to throw away what may
        be the only copy.
Rule 4: the folder and what is in it are for their owner only; what is not is made so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import apsw
import structlog

from bankrmi.bank.accounts import Accounts
from bankrmi.config import Configuration
from bankrmi.errors import ConfigurationError, InvalidRequest, OperationFailed
from bankrmi.replication.settings import GROUP_SHARE
from bankrmi.server.measured_service import CallCosts, MeasuredService
from bankrmi.server.method_figures import MethodFigures
from bankrmi.server.opening_ledger import OpeningLedger
from bankrmi.service.machine import LIMIT_MS
from bankrmi.service.served_services import ServedServices
from bankrmi.service.versions import classes_beside
from bankrmi.storage.about import SERVES, served_class
from bankrmi.storage.backup_label import label_of
from bankrmi.storage.database import BEFORE_REPLACING, DiskFailed, open_database, own_directory
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.storage.migration import waits_for_migration
from bankrmi.storage.place import Place, make_private
from bankrmi.storage.state_machine import StateMachine

__all__ = ["DATABASE", "DataDirectory"]

log = structlog.get_logger("bankrmi.server")

DATABASE = "bank.db"
_DAY_US = 86_400_000_000


class DataDirectory:
    """`data_dir/<server>`, ours until `release`."""

    def __init__(
        self, configuration: Configuration, name: str, services: ServedServices | None = None
    ) -> None:
        """`services`: the classes that are replicated; without, it is the accounts of a bank."""
        self.path = configuration.data_dir / name
        self.database = self.path / DATABASE
        self._services = services
        self.call_costs = CallCosts()
        self.methods = None if services is None else MethodFigures(services)
        """Of a class."""
        self._limit_ms = min(LIMIT_MS, GROUP_SHARE * configuration.checkpoint_timeout_ms)
        self.ledger = None if services is not None else OpeningLedger(configuration.ledger)
        settings = configuration.journal
        self._behind = _behind(configuration, services)
        self._keeping = Keeping(
            operations=settings.keep_operations,
            age_us=round(settings.keep_days * _DAY_US),
            session_us=round(settings.session_days * _DAY_US),
        )
        self._lock = own_directory(self.path)
        changed = make_private(self.path, self.path.iterdir())
        if changed:
            log.info("others could read the data directory; they no longer can", files=len(changed))

    def release(self) -> None:
        """Let the next process have it."""
        self._lock.close()

    def open_journal(self) -> SqliteJournal:
        """Open the database; an empty one needs a sound ledger, any other ignores what it has become."""
        journal = self.journal_at(self.database)
        if self.ledger is None:
            if journal.adopted is None and self._services is not None:
                journal.note(SERVES, self._services.home.name)
        elif journal.adopted is None:
            balances = self.ledger.read(journal)
            journal.close()
            return self.journal_at(self.database, balances)
        else:
            self.ledger.compare(journal)
        return journal

    def find_out(self, journal: Callable[[], SqliteJournal]) -> None:
        """Have it found out, beside the loop, whether a ledger that was edited says something else now."""
        if self.ledger is not None:
            self.ledger.find_out(journal)

    def stop_looking(self) -> None:
        """Give that up."""
        if self.ledger is not None:
            self.ledger.close()

    def journal_at(
        self, path: Path, ledger: dict[int, int] | None = None, *, as_copy: bool = False
    ) -> SqliteJournal:
        """Open the journal in this file; `ledger` is what an empty one would open with."""
        try:
            database = open_database(path, as_copy=as_copy)
            _check_that_it_is_no_backup(database, path)
            self._check_what_it_holds(database, path)
            if operations := waits_for_migration(database):
                log.info("bringing the database into the present format", operations=operations)
            return SqliteJournal(
                database,
                self._machine(ledger or {}),
                new_incarnation=lambda: secrets.token_hex(8),
                rolled_back_to=self.path,
                place=None if as_copy else Place(path, Path(database.filename_wal)),
                behind=self._behind,
                keeping=self._keeping,
            )
        except (DiskFailed, apsw.FullError) as error:
            raise OperationFailed(f"{error} ({path}); free some space, or repair the disk") from error
        except apsw.Error as error:
            raise OperationFailed(
                f"the database {path} cannot be read: {error}; if the disk is damaged, {BEFORE_REPLACING}"
            ) from error
        except OSError as error:
            raise OperationFailed(f"the database {path} cannot be found again: {error.strerror}") from error

    def _machine(self, ledger: dict[int, int]) -> StateMachine:
        if self._services is None:
            return Accounts(ledger)
        return MeasuredService(self._services, self.call_costs, limit_ms=self._limit_ms, methods=self.methods)

    def _check_what_it_holds(self, database: apsw.Connection, path: Path) -> None:
        """Raise ConfigurationError if it is the state of something else than what is to be served."""
        about = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get
        if not about or not database.execute("SELECT 1 FROM about WHERE name = 'adopted'").get:
            return  # It is empty.
        held, wanted = served_class(database), None if self._services is None else self._services.home.name
        if held != wanted:
            database.close()
            raise ConfigurationError(
                f"{path} holds {_in_words(held)}, and the configuration serves {_in_words(wanted)}: "
                "name the class that it belongs to (`serves`, or `bankrmi serve`), or another data_dir"
            )
        for service, kind in classes_beside(database).items():
            found = None if self._services is None else self._services.find(service)
            if found is None or found.name != kind:
                instead = "does not name it" if found is None else f"has {found.name} under that name"
                database.close()
                raise ConfigurationError(
                    f"{path} holds the state of {kind} as the service {service}, and the configuration "
                    f"{instead}: name it below `serves`, or another data_dir (what is there stays as it is)"
                )


def _in_words(kind: str | None) -> str:
    return "the accounts of a bank" if kind is None else f"the state of {kind}"


def _behind(configuration: Configuration, services: ServedServices | None) -> WriteBehind:
    """Return how far what follows from the journal may lag behind it: the state of a class does not."""
    settings = configuration.journal
    if services is not None:
        return WriteBehind(0, 0)
    return WriteBehind(settings.records_behind, settings.operations_behind)


def _check_that_it_is_no_backup(database: apsw.Connection, path: Path) -> None:
    """Raise ConfigurationError if somebody has put an old copy in the place of the database (V9)."""
    try:
        is_backup = label_of(database) is not None
    except InvalidRequest:
        is_backup = True
    if is_backup:
        database.close()
        raise ConfigurationError(
            f"{path} is a backup: a bank that lives would lose by it what was acknowledged since. Move it "
            "away: an empty server joins by itself; `bankrmi restore` begins a bank anew with it"
        )
