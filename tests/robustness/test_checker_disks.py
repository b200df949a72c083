"""`bankrmi check`, from the files of stopped servers: of the production storage alone, or of a real bank."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.cli import run
from bankrmi.errors import BankError
from bankrmi.replication.journal import Adopted
from bankrmi.robustness.checker import disks
from bankrmi.robustness.checker.history import AnsweredOutcome, Header, OperationResult
from bankrmi.robustness.checker.recording import HistoryRecorder
from bankrmi.storage.database import open_database, own_directory
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from tests.storage.journals import decide
from tests.system.cluster import Cluster

LEDGER = {1: 100, 2: 300}
OPERATIONS: list[Withdraw | Deposit] = [Withdraw(1, 10), Deposit(2, 5), Withdraw(1, 1000), Deposit(9, 1)]


def make_run(folder: Path, ledger: Mapping[int, int] = LEDGER) -> None:
    """Write a history, and the disks s1 and s2 that it is true of."""
    (folder / "s1").mkdir(parents=True)
    journal = SqliteJournal(
        open_database(folder / "s1/bank.db"), Accounts(ledger), new_incarnation=lambda: "made by a test"
    )
    journal.open(Adopted(history="h", epoch=1, primary="s1", start_id="p1"))
    recorder = HistoryRecorder(folder / "history.jsonl", Header(opening=ledger))
    for number, operation in enumerate(OPERATIONS, 1):
        asked = recorder.change("c1", f"a:{number}", [operation])
        [entry] = decide(journal, 1, ("a", number), [form_of(operation)], 0).entries()
        asked.completed(AnsweredOutcome("h", (OperationResult(entry.action_id, entry.status, entry.result),)))
    recorder.change("c1", "a:9", [Withdraw(1, 1)])
    journal.commit()
    journal.close()
    recorder.close()
    shutil.copytree(folder / "s1", folder / "s2")


def check(folder: Path, *servers: str) -> int:
    data = [part for server in servers for part in ("--data", str(folder / server))]
    return run(["check", str(folder / "history.jsonl"), *data])


def change(folder: Path, server: str, statement: str) -> None:
    """Change a disk as SQLite can, with page checksums that are right."""
    database = open_database(folder / server / "bank.db")
    database.execute(statement)
    database.close()


def test_a_sound_run_is_told_in_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert check(tmp_path, "s1", "s2") == 0
    assert capsys.readouterr().out.splitlines() == [
        "5 calls: 5 operations, 0 reads",
        "requests of unknown outcome: 1 (0 done, 0 cancelled, 1 not done)",
        "4 entries on 2 copies: s1, s2",
        "no violation in 5 operations",
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_journal_longer_than_a_piece_is_read_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "_PIECE", 1)
    make_run(tmp_path)
    assert check(tmp_path, "s1", "s2") == 0
    assert "4 entries on 2 copies: s1, s2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE accounts SET balance = 89 WHERE id = 1", "on s2, 1 holds 89, and the journal adds up to 90"),
        ("DELETE FROM accounts WHERE id = 1", "s2 has no 1, and the journal adds up to 90"),
        ("DELETE FROM journal WHERE action_id = 4", "s2's journal ends at action id 3, and another goes on"),
        (
            "UPDATE journal SET outcomes = x'915b' WHERE action_id = 1",
            "s2 holds another record at action id 1 than the",
        ),
    ],
)
def test_a_disk_that_differs_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str, sentence: str
) -> None:
    make_run(tmp_path)
    change(tmp_path, "s2", statement)
    assert check(tmp_path, "s1", "s2") == 1
    shown = capsys.readouterr().out
    assert f"violation: {sentence}" in shown
    assert shown.splitlines()[-1].endswith("in 5 operations")
    assert "no violation" not in shown


def fold(folder: Path, server: str) -> int:
    """Fold a server's journal but for its newest operation; return where it begins then."""
    journal = SqliteJournal(
        open_database(folder / server / "bank.db"),
        Accounts({}),
        new_incarnation=lambda: "made by a test",
        keeping=Keeping(operations=1),
        behind=WriteBehind(records=0, operations=0),
    )
    while journal.fold(journal.tip.action_id, 0):
        journal.commit()
    journal.close()
    return journal.anchor.action_id


def test_a_copy_that_is_folded_is_held_against_one_that_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path)
    assert fold(tmp_path, "s2") == 3
    for servers in (("s1", "s2"), ("s2", "s1")):
        assert check(tmp_path, *servers) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[-2:] == [f"4 entries on 2 copies: {', '.join(servers)}", "no violation in 5 operations"]


@pytest.mark.parametrize(
    ("forged", "sentence"),
    [
        ({"epoch": 2}, "s2 holds another record at action id 3 than the"),
        ({"digest": "00" * 32}, "s2 holds another record at action id 3 than the"),
    ],
)
def test_a_folded_copy_of_something_else_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], forged: dict[str, object], sentence: str
) -> None:
    make_run(tmp_path)
    fold(tmp_path, "s2")
    database = open_database(tmp_path / "s2/bank.db")
    anchor = json.loads(database.execute("SELECT value FROM about WHERE name = 'anchor'").get)
    assert forged.keys() <= anchor.keys()
    database.execute("UPDATE about SET value = ? WHERE name = 'anchor'", (json.dumps(anchor | forged),))
    database.close()
    assert check(tmp_path, "s1", "s2") == 1
    assert f"violation: {sentence}" in capsys.readouterr().out


def test_folded_copies_alone_do_not_tell_what_clients_were_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path)
    fold(tmp_path, "s1")
    fold(tmp_path, "s2")
    assert check(tmp_path, "s1", "s2") == 2
    assert "is folded up to action id 3, and so are all: what clients were told can be " in refusal(capsys)


def test_many_violations_are_shown_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, LEDGER | dict.fromkeys(range(100, 150), 0))
    change(tmp_path, "s1", "UPDATE accounts SET balance = 1 WHERE id >= 100")
    assert check(tmp_path, "s1") == 1
    shown = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("violation: ") for line in shown) == 20
    assert shown[-2:] == ["and 31 more", "51 violations in 5 operations"]


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    [line] = shown.err.splitlines()
    return line


def test_a_running_server_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path)
    with own_directory(tmp_path / "s2"):
        assert check(tmp_path, "s1", "s2") == 2
    assert f"{tmp_path / 's2'} is in use by the running process " in refusal(capsys)
    assert check(tmp_path, "s1", "s2") == 0


def test_a_folder_that_is_no_data_directory_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path)
    assert run(["check", str(tmp_path / "history.jsonl"), "--data", str(tmp_path)]) == 2
    assert refusal(capsys) == (f"{tmp_path} is not the data directory of a server: there is no bank.db in it")
    assert check(tmp_path, "s1", "s1") == 2
    assert refusal(capsys) == f"the data directory {tmp_path / 's1'} is given twice"
    assert check(tmp_path, "nowhere") == 2
    assert "does not exist" in refusal(capsys)


def test_disks_of_another_run_are_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path)
    make_run(tmp_path / "other", {1: 7})
    assert check(tmp_path, "other/s1") == 2
    assert "was opened with another ledger than the history says" in refusal(capsys)
    (tmp_path / "new").mkdir()
    database = open_database(tmp_path / "new/bank.db")
    SqliteJournal(database, Accounts({}), new_incarnation=lambda: "made by a test").close()
    assert check(tmp_path, "new") == 2
    assert "was never opened: it holds no accounts" in refusal(capsys)


def test_a_flipped_bit_is_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One in every page: whatever is read first, it is found."""
    make_run(tmp_path)
    database = tmp_path / "s1/bank.db"
    pages = bytearray(database.read_bytes())
    for page in range(4096, len(pages), 4096):
        pages[page + 2000] ^= 1
    database.write_bytes(pages)
    assert check(tmp_path, "s1") == 1
    assert f"the database in {tmp_path / 's1'} is damaged: " in refusal(capsys)


def test_a_real_banks_history_is_judged_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every way to ask is recorded as the bank answers it; then one answer is forged, and found."""
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        recorder = HistoryRecorder(
            tmp_path / "history.jsonl", Header(opening=cluster.ledger, servers=cluster.servers)
        )
        ask_in_every_way(cluster, recorder)
        recorder.close()
        cluster.wait_until_in_sync()
        cluster.kill(*cluster.servers)
        data = [str(cluster.configuration.data_dir / name) for name in cluster.servers]
    command = ["check", str(tmp_path / "history.jsonl"), "--data", data[0], "--data", data[1]]
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "no violation in " in shown
    assert "11 calls: 7 operations, 2 reads" in shown
    told = (tmp_path / "history.jsonl").read_text()
    assert '"done",90' in told
    (tmp_path / "history.jsonl").write_text(told.replace('"done",90', '"done",91'))
    assert run(command) == 1
    assert "told done (91) at action id 1, and the journal holds done (90) at action id 1" in (
        capsys.readouterr().out
    )


def ask_in_every_way(cluster: Cluster, recorder: HistoryRecorder) -> None:
    bank = cluster.client()
    change_with(recorder, cluster, "a:1", Withdraw(1, 10))
    change_with(recorder, cluster, "a:1", Withdraw(1, 10))
    change_with(recorder, cluster, "a:2", Withdraw(1, 1000))
    change_with(recorder, cluster, "a:3", Deposit(404, 1))
    change_with(recorder, cluster, "a:4", Deposit(1, 2**63 - 1))
    recorder.outcome("c1", "a:2").answered(bank.outcome("a:2"))
    operations: list[Withdraw | Deposit] = [Deposit(2, 5), Withdraw(6, 1), Withdraw(404, 1)]
    recorder.change("c1", "a:5", operations).answered(bank.submit(operations, request_id="a:5"))
    recorder.balance("c1", 2).answered(bank.balance(2))
    for ask in ("b:7", "b:6"):
        asked = recorder.outcome("c1", ask)
        with pytest.raises(BankError) as caught:
            bank.outcome(ask)
        asked.failed(caught.value)
    asked = recorder.balance("c1", 404)
    with pytest.raises(BankError) as caught:
        bank.balance(404)
    asked.failed(caught.value)


def change_with(
    recorder: HistoryRecorder, cluster: Cluster, request_id: str, operation: Withdraw | Deposit
) -> None:
    bank = cluster.client()
    ask = bank.withdraw if isinstance(operation, Withdraw) else bank.deposit
    asked = recorder.change("c1", request_id, [operation])
    try:
        asked.answered(ask(operation.account, operation.amount, request_id=request_id))
    except BankError as error:
        asked.failed(error)
