from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bankrmi import client
from bankrmi.bank.ledger_file import read_ledger
from bankrmi.bank.operations import Receipt
from bankrmi.bank.statements import StatementEntry
from bankrmi.cli import run
from bankrmi.config import Configuration
from bankrmi.errors import AccessDenied, Cancelled, InDoubt, InsufficientFunds, Unreached
from tests.cli.fake_bank import FakeBank

CONFIGURATION = "nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n"


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBank:
    """Commands find a configuration here, and this bank behind it."""
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    fake = FakeBank()

    def connect(configuration: Configuration, *, timeout: float | None, on_waiting: Any) -> FakeBank:
        assert isinstance(configuration, Configuration)
        fake.timeouts.append(timeout)
        fake.on_waiting = on_waiting
        return fake

    monkeypatch.setattr(client, "connect", connect, raising=False)
    return fake


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    return code, *capsys.readouterr()


def test_each_operation_prints_the_balance(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "balance", "2") == (0, "Current balance: 300\n", "")
    assert told(capsys, "withdraw", "2", "10") == (0, "Current balance: 290\n", "")
    assert told(capsys, "deposit", "2", "5") == (0, "Current balance: 295\n", "")
    assert told(capsys, "transfer", "2", "5", "95") == (0, "Current balance: 200\n", "")
    assert told(capsys, "open-account", "50") == (0, "Account opened\n", "")
    assert told(capsys, "close-account", "50") == (0, "Account closed\n", "")
    assert told(capsys, "total") == (0, "All accounts: 595, at action id 7\n", "")


def test_each_operation_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "balance", "2", "--json")
    assert (code, json.loads(out)) == (0, {"account": 2, "balance": 300, "action_id": 7})
    code, out, _ = told(capsys, "withdraw", "2", "10", "--json", "--request-id", "me:3")
    assert json.loads(out) == {"account": 2, "balance": 290, "action_id": 7, "request_id": "me:3"}


def test_a_statement_is_a_line_an_entry_and_the_balance(
    capsys: pytest.CaptureFixture[str], bank: FakeBank
) -> None:
    bank.entries = [
        StatementEntry(
            action_id=number,
            time_us=1_000_000 * number,
            request_id=f"a:{number}",
            kind="deposit",
            amount=5,
            paid_by=None,
            paid_to=None,
            status="done",
            balance=295 + 5 * number,
            digest="0f",
        )
        for number in (1, 2)
    ]
    lines = [
        "1  1970-01-01T00:00:01.000Z  deposit 5, balance 300, request a:1",
        "2  1970-01-01T00:00:02.000Z  deposit 5, balance 305, request a:2",
        "Current balance: 300",
    ]
    assert told(capsys, "statement", "2") == (0, "\n".join(lines) + "\n", "")
    assert told(capsys, "statement", "2", "--since", "1")[1].splitlines() == lines[1:]
    assert told(capsys, "statement", "2", "--limit", "1")[1].splitlines() == lines[1:]
    code, out, _ = told(capsys, "statement", "2", "--json")
    shown = json.loads(out)
    assert (code, shown["balance"], shown["through"]) == (0, 300, 7)
    assert shown["entries"][0] == asdict(bank.entries[0])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("balance", "50"), 3, "Account not found"),
        (("withdraw", "2", "301"), 4, "Withdraw amount must be less than balance"),
        (("balance", "two"), 2, "not an account id: 'two' (a whole number from 0 to 9223372036854775807)"),
        (("withdraw", "2", "-5"), 2, "not an amount: '-5' (a whole number from 0 to 9223372036854775807)"),
        (("balance", "2", "3"), 2, "Got unexpected extra argument (3) (see bankrmi balance --help)"),
        (("transfer", "2", "5", "301"), 4, "The amount exceeds the balance of account 2"),
        (("transfer", "2", "50", "1"), 3, "There is no account 50"),
        (("transfer", "2", "2", "1"), 2, "account 2 cannot transfer to itself: name two accounts"),
        (("transfer", "2", "5"), 2, "Missing argument 'AMOUNT' (see bankrmi transfer --help)"),
        (("open-account", "2"), 4, "There is such an account already"),
        (("close-account", "2"), 4, "There is money on the account"),
        (("close-account", "50"), 3, "Account not found"),
        (("statement", "50"), 3, "Account not found"),
        (("statement", "2", "--since", "x"), 2, "not an action id: 'x' (a whole number from 0 on)"),
        (("statement", "2", "--limit", "0"), 2, "Invalid value for '--limit'"),
        (("withdraw", "2"), 2, "Missing argument 'AMOUNT' (see bankrmi withdraw --help)"),
        (("balnce", "2"), 2, "No such command 'balnce'"),
        (("outcome", "x"), 2, "not a request id: 'x'"),
        (("--config", "none.yaml", "balance", "2"), 2, "there is no configuration none.yaml in "),
        (("server", "s9"), 2, "config.yaml has no server s9: there are s1, s2"),
    ],
)
def test_what_does_not_work_is_one_sentence_and_a_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    found, out, err = told(capsys, *arguments)
    assert (found, out) == (code, "")
    assert err.replace(f"{tmp_path}/", "").startswith(sentence)
    assert err.count("\n") == 1


def test_errors_of_the_bank_have_their_codes(capsys: pytest.CaptureFixture[str], bank: FakeBank) -> None:
    bank.errors = [
        Unreached("nobody is there"),
        InDoubt("x", request_id="me:3"),
        AccessDenied("s1 lets nobody in"),
    ]
    assert told(capsys, "withdraw", "2", "1") == (5, "", "nobody is there\n")
    code, out, err = told(capsys, "withdraw", "2", "1")
    assert (code, out) == (6, "")
    assert err == "x (request id me:3)\n"
    assert told(capsys, "balance", "2") == (1, "", "s1 lets nobody in\n")


def test_a_mistake_of_ours_is_a_sentence_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bank: FakeBank
) -> None:
    def mistaken(_: int) -> Receipt:
        raise RuntimeError("of ours")

    monkeypatch.setattr(bank, "balance", mistaken)
    code, _, err = told(capsys, "balance", "2")
    assert code == 1
    assert err.startswith("This is a bug in bankrmi: RuntimeError: of ours (")
    monkeypatch.setenv("BANKRMI_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        run(["balance", "2"])


def test_control_c_is_130_and_says_what_was_under_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bank: FakeBank
) -> None:
    def interrupted(*_: int, **__: str | None) -> None:
        interruption = KeyboardInterrupt()
        interruption.add_note("the outcome of me:3 is unknown")
        raise interruption

    monkeypatch.setattr(bank, "withdraw", interrupted)
    assert run(["withdraw", "2", "1"]) == 130
    assert capsys.readouterr().err.strip() == (
        "interrupted: it is not known whether request me:3 was carried out; "
        "'bankrmi outcome me:3' says what became of it"
    )


def test_the_timeout_is_the_clients(bank: FakeBank) -> None:
    for arguments in ([], ["--timeout", "0.5"]):
        run(["balance", "2", *arguments])
    assert bank.timeouts == [None, 0.5]
    assert run(["balance", "2", "--timeout", "0"]) == 2


def test_an_outcome_is_told_for_good(capsys: pytest.CaptureFixture[str], bank: FakeBank) -> None:
    bank.outcomes["me:3"] = [Receipt(2, 290, 8, "me:3"), InsufficientFunds("no")]
    assert told(capsys, "outcome", "me:3") == (
        0,
        "done: account 2, balance 290, action id 8\ndeclined: Withdraw amount must be less than balance\n",
        "",
    )
    _, out, _ = told(capsys, "outcome", "me:3", "--json")
    assert json.loads(out) == {
        "request_id": "me:3",
        "results": [
            {"account": 2, "balance": 290, "action_id": 8, "request_id": "me:3"},
            {"code": "insufficient_funds", "message": "Withdraw amount must be less than balance"},
        ],
    }
    bank.errors = [Cancelled("never"), InDoubt("x", request_id="me:3")]
    assert told(capsys, "outcome", "me:3") == (0, "cancelled: it did not happen, and never will\n", "")
    assert told(capsys, "outcome", "me:3")[0] == 6


def test_the_export_can_be_read_as_a_ledger(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str | None] = []

    @contextmanager
    def export(_: Configuration, server: str | None) -> Iterator[client.Export]:
        asked.append(server)
        balances = iter([(1, 10), (3, 30)])
        yield client.Export(server="s1", action_id=12, history="h1", balances=balances)

    monkeypatch.setattr(client, "export", export, raising=False)
    code, out, err = told(capsys, "export")
    assert (code, out, err) == (0, "account-id,balance\n1,10\n3,30\n", "action id 12, history h1\n")
    assert told(capsys, "export", "copy.csv", "--server", "s2")[:2] == (0, "")
    assert read_ledger(tmp_path / "copy.csv") == {1: 10, 3: 30}
    code, _, err = told(capsys, "export", "no/copy.csv")
    assert (code, err) == (1, "no/copy.csv: No such file or directory\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.yaml", "copy.csv"]
    assert asked == [None, "s2", None]


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    from bankrmi.cli.main import commands

    for name in commands.commands:
        for flag in ("-h", "--help"):
            code, out, _ = told(capsys, name, flag)
            assert code == 0
            assert out.startswith(f"Usage: bankrmi {name} ")
    assert "_BANKRMI_COMPLETE=bash_source" in told(capsys, "--help")[1]
