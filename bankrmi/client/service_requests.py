"""What goes to the object of a service, and how its answers are read: the same for both clients.  Pure.

Rule 1: what is malformed is refused here (`InvalidRequest`), before anything is sent.
Rule 2: an answer is believed only if it can be the answer to what was asked (see `requests`): the same
        request id, numbers within their range, and a value that the method can have returned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bankrmi.bank.operations import parse_request_id
from bankrmi.client.answers import Unbelievable, check_answer
from bankrmi.client.requests import Request
from bankrmi.errors import InvalidRequest, ServiceError
from bankrmi.service.calls import made_again, packed_call
from bankrmi.service.declaring import Description, Method
from bankrmi.service.plain_values import NotPlain

__all__ = [
    "CALL_BYTES",
    "CallsOf",
    "asked",
    "asked_outcome_of_call",
    "declared_error",
]

CALL_BYTES = 256 << 10
"""The most that a server takes as a call of a method, packed."""


class CallsOf:
    """What can be called of one class, for both clients."""

    def __init__(self, description: Description) -> None:
        self.name = description.name
        self.methods = description.methods

    def find(self, name: str, owner: object) -> Method:
        """Return the method of this name; raises AttributeError."""
        method = self.methods.get(name)
        if method is None:
            raise AttributeError(f"the service {self.name} has no method {name!r}", name=name, obj=owner)
        return method

    def marked(self, name: str, *, is_update: bool) -> Method:
        """Return the method of this name that is an update, or a query; raises InvalidRequest."""
        method = self.methods.get(name)
        if method is None or method.is_update is not is_update:
            kind = "update" if is_update else "query"
            raise InvalidRequest(f"{self.name} has no method {name!r:.80} of the kind {kind}")
        return method


def asked(
    method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], request_id: str | None = None
) -> Request:
    """Return the request of a call; one that changes the state gets a request id of the client's, unless it
    has one."""
    if method.is_update:
        return _updated(method, args, kwargs, request_id)
    return _queried(method, args, kwargs)


def _updated(
    method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], request_id: str | None
) -> Request:
    """Return the request of a call that changes the state."""
    if request_id is not None:
        parse_request_id(request_id)
    return Request(
        method="update",
        args=_arguments(method, args, kwargs),
        read=lambda answer, sent_as: _value(answer, sent_as, method.returned),
        changes=True,
        request_id=request_id,
    )


def _queried(method: Method, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Request:
    """Return the request of a call that changes nothing."""
    return Request(
        method="query",
        args=_arguments(method, args, kwargs),
        read=lambda answer, _: _value(answer, None, method.returned),
    )


def asked_outcome_of_call(request_id: str) -> Request:
    """Return the question what became of a call; which method it was of, nobody says."""
    parse_request_id(request_id)
    return Request(
        method="outcome",
        args=(request_id,),
        read=lambda answer, asked: _value(answer, asked, lambda value: value),
        request_id=request_id,
    )


def _arguments(method: Method, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[object, ...]:
    bound = method.bound(args, kwargs, whole=False)  # Another version may have other defaults, or fewer.
    size = len(packed_call(method.name, *bound))
    if size > CALL_BYTES:
        raise InvalidRequest(f"this call of {method.name} takes {size} bytes: at most {CALL_BYTES} are taken")
    return (method.name, *bound)


def _value(answer: Any, request_id: str | None, made: Callable[[Any], Any]) -> Any:
    check_answer(answer, request_id)
    if "value" not in answer:
        raise Unbelievable("there is no value")
    action_id = answer.get("action_id")
    if type(action_id) is not int or not (request_id is None or action_id > 0):
        raise Unbelievable("its action id cannot be")
    try:
        return made(answer["value"])
    except NotPlain as error:
        raise Unbelievable(f"the method cannot have returned that: {error}") from error


# --- what a method raised ---------------------------------------------------------------------------------


def declared_error(error: ServiceError, methods: Iterable[Method]) -> Exception:
    """Return what a method raised, if one of these says that it raises such; else the error as it is.

    A module may have another name there, so a class of the same name will do.
    """
    declared = [kind for method in methods for kind in method.raises if kind.__qualname__ == error.error]
    declared.sort(key=lambda kind: kind.__module__ != error.details.get("module"))
    for kind in declared[:1]:
        try:
            return made_again(kind, _arguments_of(error))
        except Exception:  # Whatever its __init__ says: it cannot be made of what is known.
            break
    return error


def _arguments_of(error: ServiceError) -> list[Any]:
    told = error.details.get("arguments")
    if isinstance(told, str):
        try:
            arguments = json.loads(told)
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, list):
            return arguments
    return [error.details.get("words") or error.message]
