"""What callers of a service are answered: the value that a method returned, or the exception that it raised.

Rule: an exception is told by its class, its words, and its arguments where they are few. Whoever has the
      class can raise it again, and everybody else is told by `ServiceError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bankrmi.errors import InvalidRequest, ServiceError
from bankrmi.replication.effects import Decided, Read, Reply
from bankrmi.replication.record import unpacked
from bankrmi.server.answering import Asked, Kept, cancelled
from bankrmi.service.calls import Raised, called, result_of
from bankrmi.service.machine import Told

__all__ = ["AskedOfService", "refused_unless_done", "with_its_record", "without"]

_ARGUMENTS_AT_MOST = 500
"""Characters, as JSON: clients take no longer texts as details of an error."""


class AskedOfService(Asked):
    """One call of a service that waits, and the form in which it wants its answer."""

    __slots__ = ("_method",)

    def __init__(self, *args: Any, method: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self._method = method

    def _value(self, reply: Reply) -> Any:
        if type(reply) is Read:
            return self._told(reply)
        return super()._value(reply)

    def _told(self, reply: Read) -> Any:
        """Return the answer to a query."""
        place: dict[str, str | int] = {"action_id": reply.action_id, "history": reply.history}
        match reply.value:
            case Told(value):
                return value if self.form is without else {"value": value, **place}
            case Raised() as raised:
                raise _error(self._method, raised, **place)
        raise AssertionError(f"a query cannot be answered with {reply.value!r}")


def with_its_record(asked: Asked, reply: Decided | Kept) -> dict[str, Any]:
    """Return what came of an update, and which record of which history that is."""
    return {
        "value": without(asked, reply),
        "action_id": reply.record.action_id,
        "request_id": asked.request_id,
        "history": reply.history,
    }


def without(asked: Asked, reply: Decided | Kept) -> Any:
    """Return what came of an update, and nothing else, as its caller would have it of any Pyro object."""
    record = reply.record
    if record.cancelled:
        raise cancelled(asked, reply)
    [outcome] = unpacked(record.outcomes)
    try:
        return result_of(outcome)
    except Raised as raised:
        method = called(unpacked(record.operations)[0]).method
        raise _error(
            method, raised, action_id=record.action_id, request_id=asked.request_id, history=reply.history
        ) from None


def refused_unless_done(
    refused: InvalidRequest, look_otherwise: Callable[[], bool]
) -> Callable[[Asked, Decided | Kept], dict[str, Any]]:
    """Return what answers a call that is refused: what came of it, if it was done by the class as it was
    before; else why it never is. `look_otherwise`: whether that may be (see `Admission`)."""

    def form(asked: Asked, reply: Decided | Kept) -> dict[str, Any]:
        if reply.record.cancelled or not look_otherwise():
            raise InvalidRequest(refused.message, request_id=asked.request_id)
        return with_its_record(asked, reply)

    return form


def _error(method: str, raised: Raised, **more: str | int | None) -> ServiceError:
    try:
        arguments = None if raised.values is None else json.dumps(raised.values)
    except TypeError:  # There are bytes in them.
        arguments = None
    if arguments is not None and len(arguments) > _ARGUMENTS_AT_MOST:
        arguments = None
    return ServiceError(
        f"{method} raised {raised.name}: {raised.words}"
        if raised.words
        else f"{method} raised {raised.name}",
        error=raised.name,
        module=raised.module,
        words=raised.words,
        arguments=arguments,
        **more,
    )
