"""One call, and what came of it, as the journal keeps them.

Rule 1: a request of a service is one operation: [method, arguments, arguments by name].
Rule 2: what came of a call that was done is one bytes value: its result, and the digest of what it changed,
        so that copies that differ notice it at once. Of one that raised, it is ("raised", …), and nothing was
        changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from bankrmi.errors import BankError
from bankrmi.replication.record import packed, unpacked

__all__ = [
    "RAISED",
    "Called",
    "Raised",
    "arguments_of",
    "called",
    "done",
    "made_again",
    "packed_call",
    "result_of",
    "shown",
]

RAISED = "raised"
"""The status of a call that raised an exception."""

_PARTS = 3


class Called(NamedTuple):
    """A call; its arguments are plain values."""

    method: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


class Raised(Exception):
    """What a method raised: the name of the class, its module, the words, and its arguments where they are
    plain."""

    def __init__(self, name: str, module: str, words: str, args: Sequence[Any] | None) -> None:
        super().__init__(words)
        self.name = name
        self.module = module
        self.words = words
        self.values = args
        self.at = ""
        """Where in the module of the class: "inventory.py, line 12"; known where it was raised, and kept
        nowhere."""

    def outcome(self) -> tuple[str, bytes]:
        """Return it as the journal keeps it."""
        return RAISED, packed((self.name, self.module, self.words, self.values))


def arguments_of(error: BaseException) -> tuple[Any, ...]:
    """Return what an exception was made of; the details of one of ours are its last argument."""
    if isinstance(error, BankError) and error.details:
        return *error.args, error.details
    return error.args


def made_again(kind: type[Exception], arguments: Sequence[Any]) -> Exception:
    """Return an exception that is made of these; raises whatever its class raises of them."""
    if issubclass(kind, BankError) and len(arguments) == 2 and isinstance(arguments[1], dict):
        return kind(arguments[0], **arguments[1])
    return kind(*arguments)


def packed_call(method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return a request's operations: this one call, of plain values."""
    return packed(((method, list(args), dict(kwargs)),))


def called(operation: Any) -> Called:
    """Return the call that one operation of a journal is; raises ValueError."""
    if type(operation) is tuple and len(operation) == _PARTS:
        method, args, kwargs = operation
        if type(method) is str and type(args) is tuple and type(kwargs) is dict:
            return Called(method, _listed(args), _listed(kwargs))
    raise ValueError("this is not a call")


def _listed(value: Any) -> Any:
    """Return the value with lists where the journal's reader has tuples."""
    if type(value) is tuple:
        return [_listed(one) for one in value]
    if type(value) is dict:
        return {name: _listed(one) for name, one in value.items()}
    return value


def done(value: Any, digest: bytes) -> bytes:
    """Return what came of a call that was done, as the journal keeps it; `value` is plain."""
    content: bytes = msgpack.packb((value, digest))
    return content


def result_of(outcome: Any) -> Any:
    """Return the value that came of a call; raises Raised, or ValueError if this is nothing that can have
    come."""
    match outcome:
        case bytes():
            value, _ = msgpack.unpackb(outcome)
            return value
        case (str(), bytes(content)):
            name, module, words, args = unpacked(content)
            raise Raised(name, module, words, args)
        case _:
            raise ValueError("this did not come of a call")


def shown(result: bytes) -> Any:
    """Return a result of the journal as people can read it: the value, or what was raised."""
    match msgpack.unpackb(result):
        case [value, _]:
            return value
        case [name, _, words, _]:
            return f"{name}: {words}"
        case _:
            raise ValueError("this did not come of a call")
