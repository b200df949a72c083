"""A history as JSON Lines: `recording` writes it, this reads it.

    {"format":1,"opening":{"1":100},"seed":7,"command":"…","servers":["s1","s2"],"clock":"CLOCK_MONOTONIC"}
    {"event":"invoke","client":"c1","call":1,"at_ns":52,"kind":"withdraw","request":"c1a:1",
     "operations":[["withdraw",1,10]]}                       (one line)
    {"event":"complete","client":"c1","call":1,"at_ns":97,"outcome":"answered","results":[[1,"done",90]]}

The kinds are withdraw, deposit, transfer, open_account, close_account and batch (`operations`), balance
(`account`), total, and outcome (`request`). The outcomes are answered (`results`, each [action id, status,
balance]; perhaps `history`), refused (`code`), unreached and unknown. A call that was never completed is
unknown, too.

Rule 1: a history is one file, or all *.jsonl in a folder, or several of these; each file has the header.
Rule 2: the last line of a file may be half-written (its client was killed); anything else that is malformed
        is refused as a whole, in a sentence with file and line.
Rule 3: the order of lines between files means nothing; times do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from sys import intern
from typing import Any

from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import check_account, operation_from_wire, parse_request_id
from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    Header,
    History,
    HistoryCall,
    OperationResult,
    Outcome,
    RefusedOutcome,
    UnknownOutcome,
    UnreachedOutcome,
)
from bankrmi.robustness.checker.recording import CLOCK, FORMAT
from bankrmi.robustness.checker.without_collector import without_collector

__all__ = ["read_history"]

_CHANGES = ("withdraw", "deposit", "transfer", "open_account", "close_account", "batch")
_UNKNOWN = UnknownOutcome()
_UNREACHED = UnreachedOutcome()


def read_history(paths: Iterable[Path]) -> History:
    """Return the history in these files and folders; raise ConfigurationError if anything is wrong."""
    reader = _Reader()
    with without_collector():
        for file in _files(paths):
            reader.read(file)
        return reader.history()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            files = sorted(path.glob("*.jsonl"))
            if not files:
                raise ConfigurationError(f"the folder {path} has no history: no file in it ends in .jsonl")
            yield from files
        else:
            yield path


class _Malformed(Exception):
    """What is wrong with a line; where it is, whoever catches this knows."""


class _Reader:
    """Puts the two lines of each call together."""

    def __init__(self) -> None:
        self._header: Header | None = None
        self._header_of: Path | None = None
        self._calls: list[HistoryCall] = []
        self._open: dict[tuple[str, int], dict[str, Any]] = {}
        self._newest: dict[str, int] = {}  # The number of each client's newest call.
        self._clients: dict[str, Path] = {}
        self._operations: dict[tuple[str, int, int], Form] = {}
        self._read: set[Path] = set()

    def history(self) -> History:
        if self._header is None:
            raise ConfigurationError("the history is empty: not even a header was written")
        unanswered = [_call(form, None, _UNKNOWN) for form in self._open.values()]
        return History(header=self._header, calls=[*self._calls, *unanswered])

    def read(self, path: Path) -> None:
        """Take in a file."""
        if path.resolve() in self._read:
            raise ConfigurationError(f"the history {path} is given twice")
        self._read.add(path.resolve())
        number = 0
        try:
            with path.open(encoding="utf-8", newline="\n") as lines:
                for number, line in enumerate(lines, 1):
                    form = _parsed(line)
                    if form is not None and number == 1:
                        self._take_header(path, form)
                    elif form is not None:
                        self._take(path, form)
        except _Malformed as mistake:
            raise ConfigurationError(f"{path} line {number}: {mistake}") from None
        except OSError as error:
            raise ConfigurationError(f"the history {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path} line {number + 1}: this is not text in UTF-8") from None

    def _take_header(self, path: Path, form: dict[str, Any]) -> None:
        header = _header(form)
        if self._header is None:
            self._header, self._header_of = header, path
        elif header.opening != self._header.opening:
            raise _Malformed(f"the opening ledger is another one than in {self._header_of}")

    def _take(self, path: Path, form: dict[str, Any]) -> None:
        try:
            key = (form["client"], form["call"])
            event, at_ns = form["event"], form["at_ns"]
        except KeyError as missing:
            raise _Malformed(f"{missing.args[0]!r} is missing") from None
        if type(key[0]) is not str or type(key[1]) is not int or type(at_ns) is not int:
            raise _Malformed("'client' is a text, 'call' and 'at_ns' are whole numbers")
        if self._clients.setdefault(key[0], path) is not path:
            raise _Malformed(f"client {key[0]} is in {self._clients[key[0]]} already: names are used once")
        try:
            if event == "invoke":
                self._invoke(key, form)
            elif event == "complete":
                self._complete(key, form)
            else:
                raise _Malformed(f"'event' is 'invoke' or 'complete', not {event!r}")
        except KeyError as missing:
            raise _Malformed(f"{missing.args[0]!r} is missing") from None
        except InvalidRequest as mistake:
            raise _Malformed(mistake.message) from None

    def _invoke(self, key: tuple[str, int], form: dict[str, Any]) -> None:
        client, number = key
        if number <= self._newest.get(client, 0):
            raise _Malformed(f"call {number} of {client} comes after call {self._newest[client]}")
        self._newest[client] = number
        kind = form["kind"]
        if kind in _CHANGES:
            form["operations"] = self._forms(form["operations"])
            form["request"] = parse_request_id(form["request"])
        elif kind == "balance":
            check_account(form["account"])
        elif kind == "outcome":
            form["request"] = parse_request_id(form["request"])
        elif kind != "total":
            raise _Malformed(f"'kind' is {', '.join(_CHANGES)}, balance, total or outcome, not {kind!r}")
        self._open[key] = form

    def _forms(self, forms: Any) -> tuple[Form, ...]:
        """Return operations as the journal keeps them; most of them were met before."""
        known, operations = self._operations, []
        if type(forms) is not list or not forms:
            raise _Malformed("'operations' is a list, and at least one")
        for form in forms:
            try:
                key = tuple(form)
                operation = known.get(key)
            except TypeError:
                raise _Malformed(f"not an operation: {form!r}") from None
            if operation is None:
                operation = known[key] = form_of(operation_from_wire(form))
            operations.append(operation)
        return tuple(operations)

    def _complete(self, key: tuple[str, int], form: dict[str, Any]) -> None:
        asked = self._open.pop(key, None)
        if asked is None:
            raise _Malformed(f"call {key[1]} of {key[0]} was not invoked before, or is completed twice")
        if form["at_ns"] < asked["at_ns"]:
            raise _Malformed(f"call {key[1]} of {key[0]} is completed before it was invoked")
        self._calls.append(_call(asked, form["at_ns"], _outcome(asked, form)))


def _call(form: dict[str, Any], completed_ns: int | None, outcome: Outcome) -> HistoryCall:
    request = form.get("request")
    return HistoryCall(
        client=intern(form["client"]),  # A million calls are of a few clients.
        number=form["call"],
        kind=intern(form["kind"]),
        invoked_ns=form["at_ns"],
        completed_ns=completed_ns,
        request=None if request is None else (intern(request[0]), request[1]),
        operations=form.get("operations", ()),
        query=form.get("account"),
        outcome=outcome,
    )


def _parsed(line: str) -> dict[str, Any] | None:
    """Return a line's object; None for a last line that was not written to its end."""
    try:
        form = json.loads(line)
    except ValueError:
        if not line.endswith("\n"):
            return None
        raise _Malformed("this is not JSON") from None
    if type(form) is not dict:
        if not line.endswith("\n"):
            return None
        raise _Malformed("this is not a JSON object")
    return form


def _header(form: dict[str, Any]) -> Header:
    if form.get("format") != FORMAT:
        raise _Malformed(f"this is not a history of format {FORMAT}: the first line is its header")
    if form.get("clock") != CLOCK:
        raise _Malformed(f"the times must be of {CLOCK}, not of {form.get('clock')!r}")
    try:
        opening = {check_account(int(name)): check_account(value) for name, value in form["opening"].items()}
        return Header(
            opening=opening,
            seed=form.get("seed"),
            command=str(form.get("command", "")),
            servers=tuple(map(str, form.get("servers", ()))),
        )
    except (KeyError, AttributeError, TypeError, ValueError, InvalidRequest):
        raise _Malformed("the header's 'opening' is not a ledger, balances by account id") from None


def _outcome(asked: dict[str, Any], form: dict[str, Any]) -> Outcome:
    match form["outcome"]:
        case "answered":
            return AnsweredOutcome(form.get("history"), _results(asked, form["results"]))
        case "refused":
            return RefusedOutcome(str(form["code"]))
        case "unreached":
            return _UNREACHED
        case "unknown":
            return _UNKNOWN
        case other:
            raise _Malformed(f"'outcome' is answered, refused, unreached or unknown, not {other!r}")


def _results(asked: dict[str, Any], forms: Sequence[Any]) -> tuple[OperationResult, ...]:
    try:
        results = tuple(
            [OperationResult(action_id, intern(status), value) for action_id, status, value in forms]
        )
    except (TypeError, ValueError):
        results = ()
    if not all(type(one[0]) is int and (one[2] is None or type(one[2]) is int) for one in results):
        results = ()
    if not results:
        raise _Malformed("'results' is a list of [action id, status, balance], one for each operation")
    if asked["kind"] in ("balance", "total") and (len(results) != 1 or results[0].status != SHOWN):
        raise _Malformed(f"a balance is answered with one result of status {SHOWN!r}")
    return results
