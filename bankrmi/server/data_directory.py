"""A server's folder on the disk: taken for this process alone, and its database opened, as every start does.

Rule 1: one process at a time; the lock ends with it.
Rule 2: what a power loss leaves half made is nothing to complain of: an empty copy is made whole at the next
        start, and joins or opens the bank like any other.
Rule 3: a disk that cannot be used is one sentence, which says what to do.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

import apsw
import structlog

from bankrmi.bank.accounts import Accounts, fingerprint
from bankrmi.bank.ledger_file import read_ledger
from bankrmi.config import Configuration
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.storage.database import DiskFailed, open_database, own_directory
from bankrmi.storage.journal import SqliteJournal

__all__ = ["DATABASE", "DataDirectory"]

log = structlog.get_logger("bankrmi.server")

DATABASE = "bank.db"


class DataDirectory:
    """`data_dir/<server>`, ours until `release`."""

    def __init__(self, configuration: Configuration, name: str) -> None:
        self.path = configuration.data_dir / name
        self.database = self.path / DATABASE
        self._ledger = configuration.ledger
        self._lock = own_directory(self.path)

    def release(self) -> None:
        """Let the next process have it."""
        self._lock.close()

    def open_journal(self) -> SqliteJournal:
        """Open the database; an empty one needs a sound ledger, any other ignores what it has become."""
        journal = self.journal_at(self.database)
        if journal.adopted is None:
            journal.close()
            return self.journal_at(self.database, read_ledger(self._ledger))
        self._compare_ledger(journal)
        return journal

    def journal_at(
        self, path: Path, ledger: dict[int, int] | None = None, *, as_copy: bool = False
    ) -> SqliteJournal:
        """Open the journal in this file; `ledger` is what an empty one would open with."""
        try:
            return SqliteJournal(
                open_database(path, as_copy=as_copy),
                Accounts(ledger or {}),
                new_incarnation=lambda: secrets.token_hex(8),
                rolled_back_to=self.path,
            )
        except (DiskFailed, apsw.FullError) as error:
            raise OperationFailed(f"{error} ({path}); free some space, or repair the disk") from error
        except apsw.Error as error:
            raise OperationFailed(
                f"the database {path} cannot be read: {error}; if the disk is damaged, move the directory "
                f"away and let the server join again from the other copy"
            ) from error

    def _compare_ledger(self, journal: SqliteJournal) -> None:
        """Say so if the ledger was edited after the bank opened with it: that changes nothing."""
        with suppress(ConfigurationError):
            if journal.opened_with != fingerprint(read_ledger(self._ledger)):
                log.warning(
                    "the ledger was edited since the bank opened with it; that changes nothing",
                    ledger=str(self._ledger),
                    remedy="use deposits and withdrawals; `bankrmi export` writes the current ledger",
                )
