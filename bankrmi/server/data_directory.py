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
from collections.abc import Callable, Mapping
from pathlib import Path

import apsw
import structlog

from bankrmi.bank.account import Account
from bankrmi.config import ConfigSettings, Configuration
from bankrmi.errors import ConfigurationError, InvalidRequest, OperationFailed
from bankrmi.replication.settings import GROUP_SHARE
from bankrmi.server.measured_service import CallCosts, MeasuredService
from bankrmi.server.method_figures import MethodFigures
from bankrmi.server.opening_ledger import OpeningLedger
from bankrmi.service.loading import load_served
from bankrmi.service.machine import LIMIT_MS
from bankrmi.service.served_alone import load_part
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

__all__ = ["DATABASE", "DataDirectory", "ledger_of"]

log = structlog.get_logger("bankrmi.server")

DATABASE = "bank.db"
BANK_CLASS = Account.__name__
_DAY_US = 86_400_000_000


class DataDirectory:
    """`data_dir/<server>`, ours until `release`."""

    def __init__(
        self, configuration: Configuration, name: str, services: ServedServices | None = None
    ) -> None:
        """`services`: what is replicated, if that is loaded already."""
        self.path = configuration.data_dir / name
        self.database = self.path / DATABASE
        self._services = services or load_served(configuration)
        self.call_costs = CallCosts()
        self.methods = None if self._services.served_alone is not None else MethodFigures(self._services)
        """Of a class."""
        self._limit_ms = min(LIMIT_MS, GROUP_SHARE * configuration.checkpoint_timeout_ms)
        self.ledger = ledger_of(configuration, self._services)
        settings = configuration.journal
        self._behind = _behind(configuration, self._services)
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
        if journal.adopted is not None:
            if self.ledger is not None:
                self.ledger.compare(journal)
            return journal
        if self.ledger is not None:
            balances = self.ledger.read(journal)
            journal.close()
            journal = self.journal_at(self.database, balances)
        if (noted_as := _noted_as(self._services)) is not None:
            journal.note(SERVES, noted_as)
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
        services = self._services
        if services.served_alone is None:
            return MeasuredService(
                services, self.call_costs, limit_ms=self._limit_ms, ledger=ledger, methods=self.methods
            )
        make: Callable[..., StateMachine] = load_part(services.served_alone.state_machine)
        return make(ledger) if services.takes_ledger else make()

    def _check_what_it_holds(self, database: apsw.Connection, path: Path) -> None:
        """Raise ConfigurationError if it is the state of something else than what is to be served."""
        about = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get
        if not about or not database.execute("SELECT 1 FROM about WHERE name = 'adopted'").get:
            return  # It is empty.
        held, wanted = served_class(database), _noted_as(self._services)
        if held != wanted:
            beside = classes_beside(database)
            database.close()
            raise ConfigurationError(f"{path} {_another_state(held, beside, self._services)}")
        for service, kind in classes_beside(database).items():
            found = self._services.find(service)
            if found is None or found.name != kind:
                instead = "does not name it" if found is None else f"has {found.name} under that name"
                database.close()
                raise ConfigurationError(
                    f"{path} holds the state of {kind} as the service {service}, and the configuration "
                    f"{instead}: name it below `serves`, or another data_dir (what is there stays as it is)"
                )


def ledger_of(configuration: Configuration, services: ServedServices) -> OpeningLedger | None:
    """Return the ledger file, if it is opened with; where classes do, that of the usual name need not be
    there."""
    if not services.takes_ledger:
        return None
    if services.served_alone is not None:
        return OpeningLedger(configuration.ledger)
    usual = configuration.path.parent / ConfigSettings.model_fields["ledger"].default
    return OpeningLedger(configuration.ledger, of_classes=True, may_be_missing=configuration.ledger == usual)


def _noted_as(services: ServedServices) -> str | None:
    """Return what a database says that it holds; None: nothing, as those of banks."""
    return services.home.name if services.served_alone is None else services.served_alone.noted_as


def _another_state(held: str | None, beside: Mapping[str, str], services: ServedServices) -> str:
    """Return what is wrong with a database that holds something else than what is to be served, and what to
    do."""
    wanted = _noted_as(services)
    what = f"holds {_in_words(held)}, and the configuration serves {_in_words(wanted)}"
    kinds = [one.name for _, one in services.each()]
    if held is None and BANK_CLASS in kinds:
        return (
            f"holds the accounts of a bank that was served alone, and the configuration serves "
            f"{' and '.join(kinds)} as classes, which keep their state in another way: leave `serves` out to "
            "go on with it; or have it write its ledger so (`bankrmi export`), and begin with that in "
            "another data_dir (what is there stays as it is)"
        )
    if wanted is None and BANK_CLASS in (held, *beside.values()):
        together = " and ".join(dict.fromkeys([str(held), *beside.values()]))
        return (
            f"holds the state of {together} as classes, and the configuration serves the accounts of a bank "
            "alone, which keep theirs in another way: name all services that it belongs to below `serves`, "
            "or another data_dir (what is there stays as it is)"
        )
    return f"{what}: name the class that it belongs to (`serves`, or `bankrmi serve`), or another data_dir"


def _in_words(kind: str | None) -> str:
    return "the accounts of a bank" if kind is None else f"the state of {kind}"


def _behind(configuration: Configuration, services: ServedServices) -> WriteBehind:
    """Return how far what follows from the journal may lag behind it: the state of a class does not."""
    settings = configuration.journal
    if services.served_alone is None:
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
