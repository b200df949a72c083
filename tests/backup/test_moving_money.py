"""A backup whose pages are of different moments, while money moves, and accounts come and go."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bankrmi.backup.chain import Chain
from bankrmi.backup.rebuilding import rebuild
from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import CloseAccount, Deposit, OpenAccount, Operation, Transfer, Withdraw
from bankrmi.server import backing_up
from bankrmi.storage.database import open_database, open_to_read
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.tables import FORMAT, NEWEST_FORMAT
from bankrmi.verifying.backup_file import verify_backup
from tests.backup.sources import Source
from tests.backup.test_taking import accounts_in
from tests.storage.journals import adopted, deposit


def drawn(chance: random.Random) -> Form:
    account, other = chance.sample(range(1, 8), 2)
    amount = chance.choice([0, 1, 40])
    kinds: list[Operation] = [
        Withdraw(account, amount),
        Deposit(account, amount),
        Transfer(account, other, amount),
        Transfer(other, account, amount),
        OpenAccount(account),
        CloseAccount(account),
    ]
    return form_of(chance.choice(kinds))


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_half_of_every_transfer_is_in_it_whenever_its_page_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, folds: bool
) -> None:
    monkeypatch.setattr(backing_up, "ACCOUNTS", 1)
    chance = random.Random(seed)
    source = Source(keeping=Keeping(operations=4) if folds else None)

    def do_some() -> None:
        source.do(*[drawn(chance) for _ in range(chance.randint(1, 4))])
        source.before["backup_accounts"] = do_some

    for _ in range(6):
        do_some()
    if folds:
        source.fold()
    whole = source.back_up(tmp_path / "whole")
    assert verify_backup(tmp_path / "whole").faults == ()
    assert accounts_in(tmp_path / "whole") == dict(source.journal.export())
    source.before.clear()
    for _ in range(5):
        source.do(*[drawn(chance) for _ in range(3)])
    source.back_up(tmp_path / "more", since=whole)
    with Chain([tmp_path / "whole", tmp_path / "more"]) as chain:
        chain.check(lambda _: None)
        rebuild(chain, source.journal.tip.action_id, tmp_path / "bank.db", adopted(2), lambda _: None)
    journal = SqliteJournal(open_database(tmp_path / "bank.db"), Accounts({}), new_incarnation=lambda: "none")
    assert dict(journal.export()) == dict(source.journal.export())
    assert journal.needs_protocol == 2
    journal.close()


def test_a_backup_with_what_older_versions_do_not_know_is_none_for_them(tmp_path: Path) -> None:
    source = Source()
    source.do(deposit(1, 5))
    source.back_up(tmp_path / "old")
    source.do(form_of(Transfer(1, 2, 5)))
    source.back_up(tmp_path / "new")
    found = []
    for name in ("old", "new"):
        database = open_to_read(tmp_path / name)
        about = dict(database.execute("SELECT name, value FROM about"))
        found.append((about["format"], about.get("needs_protocol")))
        database.close()
    assert found == [(FORMAT, None), (NEWEST_FORMAT, 2)]
