"""A client's side of a history: what it asks goes to a file before it is sent, what it is told after.

    recorder = HistoryRecorder(folder / "clients-1.jsonl", Header(opening={1: 100}, seed=7, command="…"))

    asked = recorder.change("c1", "c1a:1", [Withdraw(1, 10)])       # or .balance("c1", 1)
    try:                                                            # or .outcome("c1", "c1a:1")
        asked.answered(bank.withdraw(1, 10, request_id="c1a:1"))
    except BaseException as error:
        asked.failed(error)
        raise                                                       # or go on, if it is a BankError

Rule 1: invoke, then send; be answered, then complete. `change`, `balance` and `outcome` have written their
        line when they return; a client that is killed after that has a call that was never completed.
Rule 2: each process has a file of its own, which it makes; a file that is there is never continued.
        In one process any number of threads or tasks may share a recorder.
Rule 3: `client` names one client in the whole history, however many files it has: no two use one name, and a
        process that is started again uses new names.
Rule 4: a change is sent under a request id that the caller has chosen, and only under that. A call that is
        made again with the same id and the same operations is recorded as another call. After an outcome
        that is unknown a client goes on in a new session, or asks for the outcome, or repeats the request.
Rule 5: every error is told with `failed`, whatever it is: what says nothing definite is recorded as unknown.
        Nothing is recorded for a call that the client left out.
Rule 6: a line is one write, so what was written outlives the process (not the machine).

A run's history is a folder with the files of all its processes; `history_file` says what is in them.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bankrmi import errors
from bankrmi.bank.operations import Operation, Receipt
from bankrmi.bank.outcomes import EXISTS, INSUFFICIENT, NO_ACCOUNT, NOT_EMPTY, TOO_LARGE
from bankrmi.errors import BankError, ConfigurationError
from bankrmi.replication.record import CANCELLED, DONE
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    Header,
    OperationResult,
    Outcome,
    RefusedOutcome,
    UnknownOutcome,
    UnreachedOutcome,
)

__all__ = ["CLOCK", "FORMAT", "HistoryRecorder", "PendingCall", "outcome_of_answer", "outcome_of_error"]

FORMAT = 1
CLOCK = "CLOCK_MONOTONIC"

_DECIDED: dict[type[BankError], str] = {
    errors.InsufficientFunds: INSUFFICIENT,
    errors.AccountNotFound: NO_ACCOUNT,
    errors.BalanceTooLarge: TOO_LARGE,
    errors.AccountExists: EXISTS,
    errors.AccountNotEmpty: NOT_EMPTY,
    errors.Cancelled: CANCELLED,
}
"""Errors that are answers: they stand in the journal."""

_WORD_OF: dict[type[Outcome], str] = {
    AnsweredOutcome: "answered",
    RefusedOutcome: "refused",
    UnreachedOutcome: "unreached",
    UnknownOutcome: "unknown",
}
"""How a file calls each outcome."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


def outcome_of_answer(answer: Receipt | Sequence[Receipt | BankError], *, is_read: bool = False) -> Outcome:
    """Return what a client was told by a receipt, or by the results of a batch or of an outcome."""
    if isinstance(answer, Receipt):
        status = SHOWN if is_read else DONE
        return AnsweredOutcome(None, (OperationResult(answer.action_id, status, answer.balance),))
    return AnsweredOutcome(None, tuple(_result(one) for one in answer))


def _result(one: Receipt | BankError) -> OperationResult:
    if isinstance(one, Receipt):
        return OperationResult(one.action_id, DONE, one.balance)
    return OperationResult(_action_id(one), _DECIDED.get(type(one), one.code), one.details.get("balance"))


def _action_id(error: BankError) -> int:
    """Return where it stands in the journal; 0, where nothing stands, if the answer does not say."""
    action_id = error.details.get("action_id")
    return action_id if isinstance(action_id, int) else 0


def outcome_of_error(error: BaseException, *, is_read: bool = False) -> Outcome:
    """Return what a client was told by an error: a decline is an answer, and in doubt nothing is known."""
    if not isinstance(error, BankError):
        return UnknownOutcome()
    history = error.details.get("history")
    if type(error) in _DECIDED:
        status = SHOWN if is_read else _DECIDED[type(error)]
        result = OperationResult(_action_id(error), status, error.details.get("balance"))
        return AnsweredOutcome(history if isinstance(history, str) else None, (result,))
    if isinstance(error, errors.Unreached | errors.AccessDenied | errors.Busy):
        return UnreachedOutcome()  # The client says so only if nobody has taken anything, in the whole call.
    return RefusedOutcome(error.code) if isinstance(error, errors.Refused) else UnknownOutcome()


class PendingCall:
    """A call on its way: complete it once, with `answered` or `failed`."""

    __slots__ = ("_client", "_is_read", "_number", "_recorder")

    def __init__(self, recorder: HistoryRecorder, client: str, number: int, *, is_read: bool) -> None:
        self._recorder = recorder
        self._client = client
        self._number = number
        self._is_read = is_read

    def answered(self, answer: Receipt | Sequence[Receipt | BankError]) -> None:
        """Record what the client's call returned."""
        self.completed(outcome_of_answer(answer, is_read=self._is_read))

    def failed(self, error: BaseException) -> None:
        """Record what the client's call raised."""
        self.completed(outcome_of_error(error, is_read=self._is_read))

    def completed(self, outcome: Outcome) -> None:
        """Record an outcome."""
        at_ns = time.monotonic_ns()
        line: dict[str, Any] = {
            "event": "complete",
            "client": self._client,
            "call": self._number,
            "at_ns": at_ns,
            "outcome": _WORD_OF[type(outcome)],
        }
        match outcome:
            case AnsweredOutcome(history=history, results=results):
                line["results"] = results
                if history is not None:
                    line["history"] = history
            case RefusedOutcome(code=code):
                line["code"] = code
        self._recorder.write(line)


class HistoryRecorder:
    """One file of a history."""

    def __init__(self, path: Path, header: Header) -> None:
        """Make the file; raises ConfigurationError if it is there, or cannot be made."""
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            raise ConfigurationError(f"{path} is there already: a history is never continued") from None
        except OSError as error:
            raise ConfigurationError(f"the history {path} cannot be written: {error.strerror}") from None
        self._path = path
        self._numbers = itertools.count(1)
        opening = {str(account): balance for account, balance in header.opening.items()}
        self.write(
            {
                "format": FORMAT,
                "opening": opening,
                "seed": header.seed,
                "command": header.command,
                "servers": header.servers,
                "clock": CLOCK,
            }
        )

    def write(self, line: dict[str, Any]) -> None:
        """Append a line in one write."""
        data = (_encode(line) + "\n").encode()
        if os.write(self._file, data) != len(data):
            raise OSError(f"the history {self._path} could not be written: is the disk full?")

    def close(self) -> None:
        """Close the file; calls still on their way are left without completion."""
        os.close(self._file)

    def change(self, client: str, request_id: str, operations: Iterable[Operation]) -> PendingCall:
        """Record that a request is about to be sent."""
        forms = [operation.to_wire() for operation in operations]
        kind = forms[0][0] if len(forms) == 1 else "batch"
        return self._invoke(client, kind, request=request_id, operations=forms)

    def balance(self, client: str, account: int) -> PendingCall:
        """Record that a balance is about to be asked for."""
        return self._invoke(client, "balance", account=account)

    def total(self, client: str) -> PendingCall:
        """Record that the total of all accounts is about to be asked for."""
        return self._invoke(client, "total")

    def outcome(self, client: str, request_id: str) -> PendingCall:
        """Record that the outcome of a request is about to be asked for."""
        return self._invoke(client, "outcome", request=request_id)

    def _invoke(self, client: str, kind: str, **what: Any) -> PendingCall:
        number = next(self._numbers)
        at_ns = time.monotonic_ns()
        self.write(
            {"event": "invoke", "client": client, "call": number, "at_ns": at_ns, "kind": kind, **what}
        )
        return PendingCall(self, client, number, is_read=kind in ("balance", "total"))
