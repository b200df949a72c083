"""A statement against the journals of copies: what it says, what it leaves out, what cannot be looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Transfer
from bankrmi.bank.statements import Statement, StatementEntry, StatementQuery
from bankrmi.cli import run
from bankrmi.errors import InvalidRequest
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.verifying.statement_check import faults_of_statement, read_statement_file
from tests.backup.sources import Source
from tests.storage.journals import decide, deposit, opened, withdraw
from tests.verifying.test_verifying import rewrite


def filled(folder: Path, keeping: Keeping | None = None) -> SqliteJournal:
    folder.mkdir()
    behind = WriteBehind(records=0, operations=0)
    journal = opened(folder / "bank.db", keeping=keeping, behind=behind)
    for number in range(1, 11):
        operations = [deposit(1, 5), form_of(Transfer(2, 1, 3)), withdraw(3, 1)]
        decide(journal, 1, ("a", number), operations, number)
        journal.commit()
    return journal


def statement_of(journal: SqliteJournal, account: int = 1, since: int = 0) -> Statement:
    page = journal.read(StatementQuery(account, since, 500, lambda: journal))
    return Statement(
        account=account,
        balance=page.balance,
        entries=[StatementEntry.of(one) for one in page.entries],
        since=since,
        through=page.through,
        begins_after=page.begins_after,
        action_id=page.through,
    )


@pytest.fixture
def copy(tmp_path: Path) -> tuple[Path, Statement]:
    journal = filled(tmp_path / "s1")
    statement = statement_of(journal)
    journal.close()
    return tmp_path / "s1" / "bank.db", statement


def test_what_the_journal_says_is_so_and_part_of_it_is_too(copy: tuple[Path, Statement]) -> None:
    path, statement = copy
    assert len(statement.entries) == 20
    assert faults_of_statement(statement, path) == []
    later = [entry for entry in statement.entries if entry.action_id > 7]
    assert faults_of_statement(replace(statement, since=7, entries=later), path) == []


CHANGES: dict[str, tuple[Callable[[StatementEntry], StatementEntry], str]] = {
    "amount": (lambda one: replace(one, amount=500), "amount is 500 in the statement, and 5 here"),
    "balance": (lambda one: replace(one, balance=7), "balance is 7 in the statement, and "),
    "payer": (lambda one: replace(one, paid_by=3), "paid_by is 3 in the statement, and None here"),
    "time": (lambda one: replace(one, time_us=7), "time_us is 7 in the statement, and 4 here"),
    "request": (lambda one: replace(one, request_id="b:1"), "request_id is 'b:1' in the statement"),
    "digest": (lambda one: replace(one, digest="00" * 16), "its record, or what came before it, is not"),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_an_entry_that_is_not_so_is_told(
    copy: tuple[Path, Statement], change: Callable[[StatementEntry], StatementEntry], sentence: str
) -> None:
    path, statement = copy
    entries = list(statement.entries)
    entries[6] = change(entries[6])
    [fault] = faults_of_statement(replace(statement, entries=entries), path)
    assert fault.startswith("action id 10: ")
    assert sentence in fault


def test_an_entry_too_few_and_one_too_many_are_told(copy: tuple[Path, Statement]) -> None:
    path, statement = copy
    first, *rest = statement.entries
    moved = replace(first, action_id=3)
    assert faults_of_statement(replace(statement, entries=[moved, *rest]), path) == [
        "action id 1 is about account 1, and is not in the statement",
        "action id 3 is no entry of account 1 here",
    ]


def test_a_record_of_before_that_was_changed_is_told_by_the_digests(
    copy: tuple[Path, Statement],
) -> None:
    """Every digest of that copy is right, and no later entry is another one."""
    path, statement = copy
    rewrite(path.parent, 1, time_us=7)
    faults = faults_of_statement(statement, path)
    assert len(faults) == 18
    assert "action id 4: time_us is 2 in the statement, and 7 here" in faults[0]
    assert all("another digest" in fault for fault in faults[2:])


def test_what_a_copy_has_not_any_more_or_not_yet_is_told(tmp_path: Path) -> None:
    journal = filled(tmp_path / "s1", Keeping(operations=12))
    statement = statement_of(journal)
    while journal.fold(journal.tip.action_id, 100):
        pass
    journal.commit()
    anchor = journal.anchor.action_id
    assert anchor > 0
    journal.roll_back(27)
    journal.commit()
    journal.close()
    assert faults_of_statement(statement, tmp_path / "s1" / "bank.db") == [
        f"entries up to action id {anchor} have left this journal: they cannot be checked",
        "this journal ends at action id 27: what comes after that cannot be checked",
    ]


def test_backups_whole_and_in_part_are_copies_too(tmp_path: Path) -> None:
    source = Source()
    for _ in range(3):
        source.do(deposit(1, 5), form_of(Transfer(2, 1, 3)))
    whole = source.back_up(tmp_path / "whole")
    source.do(deposit(1, 5))
    source.back_up(tmp_path / "more", since=whole)
    assert faults_of_statement(statement_of(source.journal, since=6), tmp_path / "more") == []
    early = statement_of(source.journal)
    assert faults_of_statement(early, tmp_path / "more")[0].startswith("entries up to action id 6")
    assert faults_of_statement(early, tmp_path / "whole")[0].startswith("this journal ends at action id 6")


# -- the file, and the command ------------------------------------------------------------------------


def test_the_command_says_so_of_each_copy(
    tmp_path: Path, copy: tuple[Path, Statement], capsys: pytest.CaptureFixture[str]
) -> None:
    path, statement = copy
    file = tmp_path / "statement.json"
    file.write_text(json.dumps(asdict(statement)))
    assert read_statement_file(file) == statement
    assert run(["verify-statement", str(file), str(path.parent)]) == 0
    assert "bank.db: it is so: 20 entries of account 1, from action id 1 to 30" in capsys.readouterr().out
    file.write_text(json.dumps(asdict(replace(statement, entries=statement.entries[1:]))))
    assert run(["verify-statement", str(file), str(path.parent)]) == 1
    said = capsys.readouterr().out
    assert (
        "it is not what this copy says\n  action id 1 is about account 1, and is not in the statement" in said
    )
    rewrite(path.parent, 0, outcomes=lambda *them: [1, *them[1:]])
    assert run(["verify-statement", str(file), str(path.parent)]) == 1
    assert "bank.db: damaged\n" in capsys.readouterr().out
    assert run(["verify-statement", str(file), str(tmp_path / "nothing")]) == 2
    assert run(["verify-statement", str(tmp_path / "nothing"), str(path.parent)]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"account": -1},
        {"account": "1"},
        {"since": None},
        {"through": 3},
        {"entries": None},
        {"entries": [{}]},
        {"entries": [7]},
        {"more": 1},
    ],
)
def test_what_is_no_statement_is_refused_in_a_sentence(
    tmp_path: Path, copy: tuple[Path, Statement], change: dict[str, Any]
) -> None:
    file = tmp_path / "statement.json"
    file.write_text(json.dumps(asdict(copy[1]) | change))
    with pytest.raises(InvalidRequest, match=r"is no statement, as `bankrmi statement ID --json` prints one"):
        read_statement_file(file)


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 100_000, b"\xff", b"7", b'{"account": 1}'])
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidRequest, match="is no statement"):
        read_statement_file(tmp_path / "file")


def test_entries_of_another_kind_are_refused(tmp_path: Path, copy: tuple[Path, Statement]) -> None:
    form = asdict(copy[1])
    for name, value in (("amount", "5"), ("digest", 7), ("time_us", None), ("balance", 1.5)):
        changed = {**form, "entries": [{**form["entries"][0], name: value}]}
        (tmp_path / "file").write_text(json.dumps(changed))
        with pytest.raises(InvalidRequest, match=f"{name} of an entry cannot be"):
            read_statement_file(tmp_path / "file")
