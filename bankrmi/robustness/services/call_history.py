"""What clients of a service asked and were told, in files: written call by call, and read back.

A file is a row of packed values: first ("clock", unix_ns), the time of day at zero of the clock that `at_ns`
are of, the same for all processes of a machine; then ("invoke", client, number, at_ns, kind, request, call)
and ("complete", client, number, at_ns, outcome).

Rule 1: a call is written down before it is sent.
Rule 2: the last value of a file may be half-written: its client was killed. Then the call has no completion,
        and nobody knows what came of it.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from bankrmi.errors import BankError, ConfigurationError, ServiceError
from bankrmi.replication.record import CANCELLED
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    HistoryCall,
    OperationResult,
    Outcome,
    RefusedOutcome,
    UnknownOutcome,
    UnreachedOutcome,
)
from bankrmi.robustness.checker.recording import outcome_of_error
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.wanted import WantedCall
from bankrmi.service.calls import RAISED
from bankrmi.service.declaring import Description, Method
from bankrmi.service.served_services import ServedServices

__all__ = [
    "OUTCOME",
    "QUERY",
    "SUFFIX",
    "UPDATE",
    "CallRecorder",
    "RecordedCalls",
    "call_files",
    "outcome_of_answer",
    "read_calls",
]

SUFFIX = ".calls"
UPDATE, QUERY, OUTCOME = "update", "query", "outcome"
_PIECE = 1 << 16
_CALL_AT_MOST = 1 << 20
"""Bytes of one value: a call takes 256 KiB."""

_DONE = "done"
_CLOCK = "clock"
_MALFORMED = (
    *(ValueError, TypeError, LookupError, AttributeError, BankError),
    msgpack.UnpackException,
)
"""What comes of reading what somebody else has written."""


class CallRecorder:
    """One file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._numbers = itertools.count(1)
        self._write((_CLOCK, time.time_ns() - time.monotonic_ns()))

    def invoke(self, client: str, kind: str, request: str | None, wanted: WantedCall | None) -> int:
        """Write down what is about to be asked; return its number."""
        number = next(self._numbers)
        call = None if wanted is None else tuple(wanted.called)
        self._write(("invoke", client, number, time.monotonic_ns(), kind, request, call))
        return number

    def complete(self, client: str, number: int, outcome: Outcome) -> None:
        """Write down what came of it."""
        self._write(("complete", client, number, time.monotonic_ns(), _packed(outcome)))

    def _write(self, value: tuple[Any, ...]) -> None:
        data = msgpack.packb(value)
        if os.write(self._file, data) != len(data):
            raise OSError("the history could not be written: is the disk full?")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def outcome_of_answer(kind: str, answer: Any, error: BaseException | None) -> Outcome:
    """Return what a client was told: by an answer, or by an error."""
    if isinstance(error, ServiceError):
        told = error.details
        came = CallOutcome(
            raised=str(told.get("error", "")),
            words=str(told.get("words") or ""),
            module=str(told.get("module") or ""),
        )
        status = SHOWN if kind == QUERY else RAISED
        return _answered(told.get("history"), told.get("action_id"), status, came)
    if error is not None:
        return outcome_of_error(error, is_read=kind == QUERY)
    came = CallOutcome.returned(answer["value"])
    return _answered(answer.get("history"), answer["action_id"], SHOWN if kind == QUERY else _DONE, came)


def _answered(history: Any, action_id: Any, status: str, came: CallOutcome) -> Outcome:
    if type(action_id) is not int:
        return UnknownOutcome()
    result = OperationResult(action_id, status, came)
    return AnsweredOutcome(history if isinstance(history, str) else None, (result,))


def _packed(outcome: Outcome) -> tuple[Any, ...]:
    match outcome:
        case AnsweredOutcome(history=history, results=[OperationResult(action_id, status, came)]):
            told = (came.packed, came.raised, came.words, came.module) if came is not None else None
            return ("answered", history, action_id, status, told)
        case RefusedOutcome(code=code):
            return ("refused", code)
        case UnreachedOutcome():
            return ("unreached",)
    return ("unknown",)


def _unpacked(told: list[Any]) -> Outcome:
    match told:
        case ["answered", history, action_id, status, came]:
            value = None if came is None or status == CANCELLED else CallOutcome(*came)
            return AnsweredOutcome(history, (OperationResult(action_id, status, value),))
        case ["refused", code]:
            return RefusedOutcome(code)
        case ["unreached"]:
            return UnreachedOutcome()
    return UnknownOutcome()


@dataclass(slots=True)
class RecordedCalls:
    """What clients have written down."""

    calls: list[HistoryCall] = field(default_factory=list)
    unix_ns_at_zero: int | None = None
    """The time of day at zero of the clock that their times are of; None: no file says it."""


def call_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of a history: those that are named, and those in the folders that are.

    Raises ConfigurationError if there are none, or one is named twice.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for file in sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]:
            if found.setdefault(file.resolve(), path) is not path:
                raise ConfigurationError(f"the history {file} is given twice")
    if not found:
        raise ConfigurationError(
            f"no history is in {', '.join(map(str, paths))}: the calls of a class are in files *{SUFFIX}"
        )
    return list(found)


def read_calls(files: Sequence[Path], description: Description | ServedServices) -> RecordedCalls:
    """Return the calls in all files; raises ConfigurationError if one cannot be read."""
    recorded = RecordedCalls()
    for path in files:
        try:
            _read(_values(path), description, recorded)
        except OSError as error:
            raise ConfigurationError(f"the history {path} cannot be read: {error.strerror}") from error
        except _MALFORMED as error:
            raise ConfigurationError(
                f"{path} is no history of calls of {description.name}, as its clients write it ({error})"
            ) from error
    return recorded


def _values(path: Path) -> Iterator[list[Any]]:
    unpacker = msgpack.Unpacker(max_buffer_size=_CALL_AT_MOST + _PIECE)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            unpacker.feed(piece)
            yield from unpacker


def _read(
    values: Iterable[list[Any]], description: Description | ServedServices, recorded: RecordedCalls
) -> None:
    """Put the two values of each call together."""
    invoked: dict[tuple[str, int], list[Any]] = {}
    for event, *told in values:
        if event == _CLOCK:
            [recorded.unix_ns_at_zero] = told
            continue
        client, number, *more = told
        if event == "invoke":
            invoked[client, number] = more
        else:
            at_ns, outcome = more
            asked = invoked.pop((client, number))
            recorded.calls.append(_call(client, number, asked, at_ns, _unpacked(outcome), description))
    recorded.calls += [
        _call(client, number, asked, None, UnknownOutcome(), description)
        for (client, number), asked in invoked.items()
    ]


def _call(
    client: str,
    number: int,
    asked: list[Any],
    completed_ns: int | None,
    outcome: Outcome,
    description: Description | ServedServices,
) -> HistoryCall:
    invoked_ns, kind, request, call = asked
    wanted = None if call is None else WantedCall(_method(call[0], description), call[1], call[2])
    session, _, sequence = (request or "").rpartition(":")
    return HistoryCall(
        client=client,
        number=number,
        kind=kind,
        invoked_ns=invoked_ns,
        completed_ns=completed_ns,
        request=None if request is None else (session, int(sequence)),
        operations=(wanted.operation,) if wanted is not None and wanted.is_update else (),
        query=wanted if kind == QUERY else None,
        outcome=outcome,
    )


def _method(name: str, description: Description | ServedServices) -> Method:
    method = description.methods.get(name)
    if method is None:
        raise ValueError(f"there is a call of {name!r:.80}, which is no method of it")
    return method
