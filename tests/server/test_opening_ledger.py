"""The ledger file of an open bank: read in full only when it is another one, and the warning stays right."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.ledger_file import read_ledger
from bankrmi.config import Configuration
from bankrmi.server import opening_ledger
from bankrmi.server.data_directory import DataDirectory
from bankrmi.service.machine import ServiceMachine
from tests.storage.journals import adopted

LEDGER = "account-id,balance\n1,100\n2,300\n"
EDITED = "account-id,balance\n1,100\n2,301\n"
WARNING = "the ledger was edited since the bank opened with it; that changes nothing"


class Bank:
    """One server's folder and its ledger; each start is a process's."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        kind: type = Accounts,
        serves: dict[str, str] | None = None,
    ) -> None:
        """`kind` is the state machine that is expected of what is served."""
        self._kind = kind
        self.configuration = Configuration(
            serves=serves,
            path=folder / "config.yaml",
            nameserver="127.0.0.1:1",
            witness="127.0.0.1:1",
            servers={"s1": "127.0.0.1:2"},
            ledger=folder / "ledger.csv",
            data_dir=folder / "data",
        )
        self.file = folder / "ledger.csv"
        self.write(LEDGER)
        self.read, self.hashed = 0, 0
        self._count(monkeypatch)

    def _count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading, hashing = read_ledger, opening_ledger.OpeningLedger._hash

        def read(path: Path) -> dict[int, int]:
            self.read += 1
            return reading(path)

        def hash_(ledger: Any) -> str | None:
            self.hashed += 1
            return hashing(ledger)

        monkeypatch.setattr(opening_ledger, "read_ledger", read)
        monkeypatch.setattr(opening_ledger.OpeningLedger, "_hash", hash_)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def open(self) -> None:
        """Start for the first time: the bank opens with the ledger."""
        directory = DataDirectory(self.configuration, "s1")
        journal = directory.open_journal()
        journal.open(adopted())
        journal.commit()
        journal.close()
        directory.release()
        self.read = self.hashed = 0

    def start(self) -> list[str]:
        """Start and stop in good order; return the warnings."""
        with capture_logs() as logs:
            directory = DataDirectory(self.configuration, "s1")
            journal = directory.open_journal()
            assert isinstance(journal.machine, self._kind)

            assert directory.ledger is not None
            ledger = directory.ledger

            async def serve() -> None:
                ledger.find_out(lambda: journal)
                if ledger._task is not None:
                    await asyncio.wait_for(ledger._task, 60)

            asyncio.run(serve())
            journal.close()
            directory.release()
        return [line["event"] for line in logs if line["log_level"] == "warning"]


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    bank = Bank(tmp_path, monkeypatch)
    bank.open()
    return bank


def test_a_ledger_that_is_the_same_file_is_not_read(bank: Bank) -> None:
    """13.6 s for three million accounts, at each start, before."""
    assert bank.start() == []
    assert bank.start() == []
    assert (bank.read, bank.hashed) == (0, 0)


def test_a_ledger_with_another_time_is_hashed_once_and_not_understood(bank: Bank) -> None:
    os.utime(bank.file, ns=(1, 1))
    assert bank.start() == []
    assert bank.start() == []
    assert (bank.read, bank.hashed) == (0, 1)


def test_an_edited_ledger_is_told_at_each_start_and_looked_at_once(bank: Bank) -> None:
    bank.write(EDITED)
    for _ in range(3):
        assert bank.start() == [WARNING]
    assert (bank.read, bank.hashed) == (0, 1), "understood by another process, once"
    bank.write(LEDGER)
    assert bank.start() == []


def test_a_ledger_that_says_the_same_in_other_words_is_not_edited(bank: Bank) -> None:
    bank.write("2 , 300\r\n1,0100\r\n")
    assert bank.start() == []
    assert bank.start() == []


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("text", ["nonsense\n", "", "1,1\n1,2\n"])
def test_a_ledger_that_cannot_be_understood_is_nobodys_business_any_more(bank: Bank, text: str) -> None:
    bank.write(text)
    assert bank.start() == []
    bank.file.unlink()
    assert bank.start() == []


def test_where_classes_open_with_it_an_edited_ledger_is_told_and_the_same_in_other_words_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {"giro": "bankrmi:Account", "savings": "bankrmi:Account"}
    both = Bank(tmp_path, monkeypatch, ServiceMachine, two)
    both.open()
    both.write("2 , 300\r\n1,0100\r\n")
    assert both.start() == []
    both.write(EDITED)
    assert both.start() == [WARNING]
    assert both.start() == [WARNING]
    assert both.read == 0, "understood by another process"
    directory = DataDirectory(both.configuration, "s1")
    journal = directory.open_journal()
    journal.database.execute("DELETE FROM about WHERE name LIKE 'note:ledger'")
    journal.close()
    directory.release()
    assert both.start() == [], "with what it has opened is known no more"


def test_a_ledger_that_is_there_and_cannot_be_read_is_one_sentence(bank: Bank) -> None:
    """A folder, say; with a note of the file before, and without."""
    bank.file.unlink()
    bank.file.mkdir()
    assert bank.start() == ["the ledger cannot be read; that changes nothing"]
    directory = DataDirectory(bank.configuration, "s1")
    journal = directory.open_journal()
    journal.database.execute("DELETE FROM about WHERE name LIKE 'note:%'")
    journal.close()
    directory.release()
    assert bank.start() == ["the ledger cannot be read; that changes nothing"]


def test_a_database_of_the_version_before_is_compared_too(bank: Bank) -> None:
    """It has no note of the file."""
    directory = DataDirectory(bank.configuration, "s1")
    journal = directory.open_journal()
    journal.database.execute("DELETE FROM about WHERE name LIKE 'note:%'")
    journal.close()
    directory.release()
    assert bank.start() == []
    bank.write(EDITED)
    assert bank.start() == [WARNING]
