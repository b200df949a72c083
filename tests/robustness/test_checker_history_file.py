from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bankrmi import errors
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.errors import ConfigurationError
from bankrmi.robustness.checker.history import (
    AnsweredOutcome,
    Header,
    OperationResult,
    Outcome,
    RefusedOutcome,
    UnknownOutcome,
    UnreachedOutcome,
)
from bankrmi.robustness.checker.history_file import read_history
from bankrmi.robustness.checker.recording import HistoryRecorder, outcome_of_error

HEADER = Header(opening={1: 100, 2: 300}, seed=7, command="bankrmi chaos", servers=("s1", "s2"))


def recorder(folder: Path, name: str = "one.jsonl", header: Header = HEADER) -> HistoryRecorder:
    return HistoryRecorder(folder / name, header)


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    history = recorder(tmp_path)
    history.change("c1", "s:1", [Withdraw(1, 10)]).answered(Receipt(1, 90, 1, "s:1"))
    declined = errors.AccountNotFound("there is none", action_id=3, balance=None)
    history.change("c2", "t:1", [Deposit(1, 5), Withdraw(9, 1)]).answered([Receipt(1, 95, 2), declined])
    history.balance("c1", 1).answered(Receipt(1, 95, 3))
    history.outcome("c1", "u:1").failed(errors.Cancelled("never", action_id=4, history="h"))
    history.change("c1", "s:2", [Withdraw(1, 1)])
    history.close()
    read = read_history([tmp_path])
    assert read.header == HEADER
    withdraw, batch, balance, outcome, last = read.calls
    assert (withdraw.client, withdraw.kind, withdraw.request) == ("c1", "withdraw", ("s", 1))
    assert withdraw.operations == (form_of(Withdraw(1, 10)),)
    assert withdraw.outcome == AnsweredOutcome(None, (OperationResult(1, "done", 90),))
    assert withdraw.completed_ns is not None
    assert withdraw.invoked_ns <= withdraw.completed_ns <= batch.invoked_ns
    assert batch.kind == "batch"
    assert batch.outcome == AnsweredOutcome(
        None, (OperationResult(2, "done", 95), OperationResult(3, "no_account", None))
    )
    assert (balance.kind, balance.query, balance.is_read) == ("balance", 1, True)
    assert balance.outcome == AnsweredOutcome(None, (OperationResult(3, "shown", 95),))
    assert (outcome.kind, outcome.request, outcome.is_question) == ("outcome", ("u", 1), True)
    assert outcome.outcome == AnsweredOutcome("h", (OperationResult(4, "cancelled", None),))
    assert (last.request, last.completed_ns, last.outcome) == (("s", 2), None, UnknownOutcome())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (
            errors.InsufficientFunds("no", action_id=4, balance=7, history="h"),
            AnsweredOutcome("h", (OperationResult(4, "insufficient", 7),)),
        ),
        (
            errors.BalanceTooLarge("no", action_id=4, balance=7),
            AnsweredOutcome(None, (OperationResult(4, "too_large", 7),)),
        ),
        (
            errors.InsufficientFunds("no place given"),
            AnsweredOutcome(None, (OperationResult(0, "insufficient", None),)),
        ),
        (errors.Stale("no"), RefusedOutcome("stale")),
        (errors.InvalidRequest("no"), RefusedOutcome("invalid_request")),
        (errors.Unreached("nobody"), UnreachedOutcome()),
        (errors.AccessDenied("not you"), UnreachedOutcome()),
        (errors.Busy("too much to do"), UnreachedOutcome()),
        (errors.InDoubt("who knows"), UnknownOutcome()),
        (errors.NotPrimary("another"), UnknownOutcome()),
        (KeyboardInterrupt(), UnknownOutcome()),
        (OSError("anything"), UnknownOutcome()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_says_no_more_than_it_does(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of_error(error) == outcome


def test_an_account_that_is_not_there_is_what_a_read_showed() -> None:
    error = errors.AccountNotFound("there is none", action_id=3, history="h", account=9)
    assert outcome_of_error(error, is_read=True) == AnsweredOutcome("h", (OperationResult(3, "shown", None),))


def test_several_files_are_one_history(tmp_path: Path) -> None:
    for name in ("c1", "c2"):
        history = recorder(tmp_path, f"{name}.jsonl")
        history.balance(name, 1).answered(Receipt(1, 100, 0))
        history.close()
    (tmp_path / "notes.txt").write_text("not a history")
    assert [call.client for call in read_history([tmp_path]).calls] == ["c1", "c2"]
    assert len(read_history([tmp_path / "c1.jsonl", tmp_path / "c2.jsonl"]).calls) == 2


def write_until_killed(folder: Path) -> None:
    history = recorder(folder)
    for number in range(100):
        history.change("c1", f"s:{number + 1}", [Withdraw(1, 10)]).answered(Receipt(1, 90, 1))
    history.change("c1", "s:999", [Withdraw(1, 10)])
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_client_wrote_before_it_was_killed_is_there(tmp_path: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=write_until_killed, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    calls = read_history([tmp_path]).calls
    assert len(calls) == 101
    assert (calls[-1].request, calls[-1].outcome) == (("s", 999), UnknownOutcome())


def test_a_last_line_may_be_half_written_wherever_it_ends(tmp_path: Path) -> None:
    history = recorder(tmp_path)
    history.balance("c1", 1).answered(Receipt(1, 100, 0))
    history.close()
    whole = (tmp_path / "one.jsonl").read_text()
    first, second, third = (len(line) for line in whole.splitlines(keepends=True))
    (tmp_path / "two.jsonl").write_text(whole.partition("\n")[0] + "\n")
    for length in range(len(whole)):
        (tmp_path / "one.jsonl").write_text(whole[:length])
        calls = read_history([tmp_path]).calls
        assert len(calls) == (length >= first + second - 1)
        assert [type(call.outcome) for call in calls] == [
            AnsweredOutcome if length == first + second + third - 1 else UnknownOutcome for _ in calls
        ]


def test_a_history_is_never_continued(tmp_path: Path) -> None:
    recorder(tmp_path).close()
    with pytest.raises(
        ConfigurationError, match=r"one\.jsonl is there already: a history is never continued"
    ):
        recorder(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        recorder(tmp_path / "nowhere")


def line(**form: Any) -> str:
    return json.dumps(form)


FIRST = line(format=1, opening={"1": 100}, clock="CLOCK_MONOTONIC")
INVOKE: dict[str, Any] = {
    "event": "invoke",
    "client": "c1",
    "call": 1,
    "at_ns": 5,
    "kind": "withdraw",
    "request": "s:1",
    "operations": [["withdraw", 1, 10]],
}
COMPLETE: dict[str, Any] = {
    "event": "complete",
    "client": "c1",
    "call": 1,
    "at_ns": 9,
    "outcome": "answered",
    "results": [[1, "done", 90]],
}
LOOK = {"event": "invoke", "client": "c1", "call": 1, "at_ns": 5, "kind": "balance", "account": 1}


def without(form: dict[str, Any], name: str) -> str:
    return line(**{key: value for key, value in form.items() if key != name})


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["{"], "line 1: this is not JSON"),
        (["[]"], "line 1: this is not a JSON object"),
        ([line(**INVOKE)], "line 1: this is not a history of format 1: the first line is its header"),
        ([line(format=2)], "line 1: this is not a history of format 1"),
        ([line(format=1, clock="wall")], "line 1: the times must be of CLOCK_MONOTONIC, not of 'wall'"),
        ([line(format=1, clock="CLOCK_MONOTONIC", opening=[])], "line 1: the header's 'opening' is not a"),
        ([line(format=1, clock="CLOCK_MONOTONIC", opening={"1": -1})], "line 1: the header's 'opening'"),
        ([FIRST, "", line(**INVOKE)], "line 2: this is not JSON"),
        ([FIRST, without(INVOKE, "client")], "line 2: 'client' is missing"),
        ([FIRST, without(INVOKE, "operations")], "line 2: 'operations' is missing"),
        ([FIRST, without(INVOKE, "kind")], "line 2: 'kind' is missing"),
        ([FIRST, line(**INVOKE | {"event": "hm"})], "line 2: 'event' is 'invoke' or 'complete', not 'hm'"),
        (
            [FIRST, line(**INVOKE | {"at_ns": 1.5})],
            "line 2: 'client' is a text, 'call' and 'at_ns' are whole",
        ),
        ([FIRST, line(**INVOKE | {"kind": "hm"})], "line 2: 'kind' is withdraw, deposit, transfer,"),
        ([FIRST, line(**INVOKE | {"request": "s"})], "line 2: not a request id: 's'"),
        ([FIRST, line(**INVOKE | {"operations": []})], "line 2: 'operations' is a list, and at least one"),
        ([FIRST, line(**INVOKE | {"operations": [["w", 1, 1]]})], "line 2: not an operation"),
        ([FIRST, line(**INVOKE | {"operations": [["withdraw", [], 1]]})], "line 2: not an operation"),
        ([FIRST, line(**INVOKE | {"operations": [7]})], "line 2: not an operation: 7"),
        ([FIRST, line(**LOOK | {"account": -1})], "line 2: not an account id: -1"),
        ([FIRST, line(**INVOKE), line(**INVOKE)], "line 3: call 1 of c1 comes after call 1"),
        ([FIRST, line(**COMPLETE)], "line 2: call 1 of c1 was not invoked before, or is completed twice"),
        ([FIRST, line(**INVOKE), *[line(**COMPLETE)] * 2], "line 4: call 1 of c1 was not invoked before, or"),
        (
            [FIRST, line(**INVOKE), line(**COMPLETE | {"at_ns": 4})],
            "line 3: call 1 of c1 is completed before",
        ),
        ([FIRST, line(**INVOKE), line(**COMPLETE | {"outcome": "hm"})], "line 3: 'outcome' is answered, ref"),
        ([FIRST, line(**INVOKE), line(**COMPLETE | {"outcome": "refused"})], "line 3: 'code' is missing"),
        (
            [FIRST, line(**INVOKE), line(**COMPLETE | {"results": []})],
            "line 3: 'results' is a list of [action",
        ),
        (
            [FIRST, line(**INVOKE), line(**COMPLETE | {"results": [["1", "done", 2]]})],
            "line 3: 'results' is a",
        ),
        ([FIRST, line(**INVOKE), line(**COMPLETE | {"results": [[1, 2]]})], "line 3: 'results' is a list"),
        ([FIRST, line(**INVOKE), line(**COMPLETE | {"results": 3})], "line 3: 'results' is a list"),
        ([FIRST, line(**LOOK), line(**COMPLETE)], "line 3: a balance is answered with one result of status"),
    ],
)
def test_a_malformed_line_is_told_in_a_sentence(tmp_path: Path, lines: list[str], sentence: str) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(ConfigurationError) as caught:
        read_history([path])
    assert caught.value.message.startswith(f"{path} {sentence}")


def test_what_is_no_history_is_told_in_a_sentence(tmp_path: Path) -> None:
    def sentence(*paths: Path) -> str:
        with pytest.raises(ConfigurationError) as caught:
            read_history(paths)
        return caught.value.message

    path, other, binary = tmp_path / "h.jsonl", tmp_path / "other.jsonl", tmp_path / "binary.jsonl"
    assert sentence(tmp_path) == f"the folder {tmp_path} has no history: no file in it ends in .jsonl"
    assert sentence(path) == f"the history {path} cannot be read: No such file or directory"
    path.write_text("")
    assert sentence(path) == "the history is empty: not even a header was written"
    path.write_text(f"{FIRST}\n{line(**INVOKE)}\n")
    assert sentence(path, path) == f"the history {path} is given twice"
    other.write_text(f"{FIRST}\n{line(**INVOKE)}\n")
    assert sentence(path, other) == f"{other} line 2: client c1 is in {path} already: names are used once"
    other.write_text(FIRST.replace("100", "101"))
    assert sentence(path, other) == f"{other} line 1: the opening ledger is another one than in {path}"
    binary.write_bytes(b"\xff\xfe\n")
    assert sentence(binary) == f"{binary} line 1: this is not text in UTF-8"
