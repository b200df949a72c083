"""A data directory is that of the bank alone, or of classes: what one has left, the other does not open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bankrmi.bank.accounts import Accounts
from bankrmi.config import load
from bankrmi.errors import ConfigurationError
from bankrmi.server.data_directory import DataDirectory
from bankrmi.service.machine import ServiceMachine
from tests.storage.journals import adopted

ALONE = "bankrmi:Account"
TOGETHER = "\n  account: bankrmi:Account\n  shop: corner_shop:Shop"
SHOP_FIRST = "\n  shop: corner_shop:Shop\n  account: bankrmi:Account"

SHOP = """
import bankrmi

class Shop(bankrmi.Service):
    bank = bankrmi.Uses(bankrmi.Account)

    def create(self):
        self.db.execute("CREATE TABLE sale (id TEXT PRIMARY KEY NOT NULL)")

    @bankrmi.update
    def sell(self, account: int) -> int:
        return self.bank.withdraw(account, 1).balance
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module of a shop, which lies beside the configuration."""
    (tmp_path / "corner_shop.py").write_text(SHOP)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("corner_shop", None)


def opened(folder: Path, serves: str, ledger: str = "") -> DataDirectory:
    text = f"nameserver: 127.0.0.1:1\nservers:\n  s1: 127.0.0.1:2\nserves: {serves}\n{ledger}"
    (folder / "bank.yaml").write_text(text)
    return DataDirectory(load(folder / "bank.yaml", environment={}), "s1")


def begun(folder: Path, serves: str, ledger: str = "") -> None:
    """Open a directory for the first time, as a server does."""
    directory = opened(folder, serves, ledger)
    try:
        journal = directory.open_journal()
        journal.open(adopted())
        journal.commit()
        journal.close()
    finally:
        directory.release()


def started(folder: Path, serves: str) -> dict[int, int]:
    """Open it again; return the balances."""
    directory = opened(folder, serves)
    try:
        journal = directory.open_journal()
        machine = journal.machine
        assert isinstance(machine, Accounts if serves == ALONE else ServiceMachine)
        rows = machine.export()
        held = dict(rows) if serves == ALONE else {row[1]: row[2] for row in rows if "account" in row[0]}
        journal.close(writes=False)
        return held
    finally:
        directory.release()


def refused(folder: Path, serves: str) -> str:
    before = (folder / "data" / "s1" / "bank.db").read_bytes()
    with pytest.raises(ConfigurationError) as refusal:
        started(folder, serves)
    assert (folder / "data" / "s1" / "bank.db").read_bytes() == before
    return refusal.value.message


@pytest.mark.parametrize("together", [TOGETHER, SHOP_FIRST], ids=["account first", "shop first"])
def test_what_the_bank_alone_has_left_is_no_classes_and_the_reverse(tmp_path: Path, together: str) -> None:
    (tmp_path / "ledger.csv").write_text("1,100\n2,300\n")
    begun(tmp_path, ALONE)
    why = refused(tmp_path, together)
    assert "holds the accounts of a bank that was served alone" in why
    assert "leave `serves` out to go on with it" in why
    assert started(tmp_path, ALONE) == {1: 100, 2: 300}

    (tmp_path / "data").rename(tmp_path / "of the bank")
    begun(tmp_path, together)
    assert "name all services that it belongs to below `serves`" in refused(tmp_path, ALONE)
    assert started(tmp_path, together) == {1: 100, 2: 300}, "classes open with the ledger, too"


def test_classes_need_no_ledger_unless_one_is_named(tmp_path: Path) -> None:
    with capture_logs() as logs:
        begun(tmp_path, TOGETHER)
    assert [line["event"] for line in logs if "ledger" in line["event"]] == [
        "there is no ledger: this begins without an account"
    ]
    assert started(tmp_path, TOGETHER) == {}
    with pytest.raises(ConfigurationError, match=r"the ledger .*opening.csv cannot be read"):
        begun(tmp_path, TOGETHER, "ledger: opening.csv\ndata_dir: second\n")
    (tmp_path / "opening.csv").write_text("1,100\n1,100\n")
    with pytest.raises(ConfigurationError, match="line 2: account 1 is there already"):
        begun(tmp_path, TOGETHER, "ledger: opening.csv\ndata_dir: third\n")


def test_our_account_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "corner_shop.py").write_text("from bankrmi import Account\n")
    with pytest.raises(ConfigurationError, match="call it by its name, bankrmi:Account"):
        opened(tmp_path, "corner_shop:Account")


def test_a_bank_looks_for_no_module_in_its_folder(tmp_path: Path) -> None:
    """What lies there, by whatever name, is no part of it."""
    (tmp_path / "ledger.csv").write_text("1,100\n")
    begun(tmp_path, ALONE)
    assert str(tmp_path) not in sys.path
