"""The messages between servers, as the calls that carry them and what those are answered with.

Rule 1: one table of message kinds; a form that cannot be read raises ValueError: a message is refused then,
        an answer counts as none.
Rule 2: every form is of the version of the protocol that is spoken on its connection (`protocol`); whoever
        has the connection knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bankrmi.replication.forms import holdings_of, listed, names_of, read
from bankrmi.replication.messages import (
    Acknowledged,
    Census,
    Checkpoint,
    Fence,
    Holdings,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Message,
    Mismatch,
    Superseded,
    ViewNews,
)

__all__ = ["METHODS", "answer_from_wire", "answer_to_wire", "message_from_wire", "message_to_wire"]

Answer = Acknowledged | Mismatch | Superseded | JoinAnswer | Holdings | None

METHODS = {
    Checkpoint: "checkpoint",
    JoinRequest: "join",
    LeaveRequest: "leave",
    ViewNews: "view_news",
    Census: "census",
}
"""The method of the standby object that takes each message."""

_MESSAGES: dict[str, type[Message]] = {
    **{method: kind for kind, method in METHODS.items()},
    "fence": Fence,
}
_ANSWERS: dict[str, type[Acknowledged | Mismatch | Superseded | JoinAnswer]] = {
    "ok": Acknowledged,
    "mismatch": Mismatch,
    "superseded": Superseded,
    "join": JoinAnswer,
}
_NAMES = {kind: name for name, kind in _ANSWERS.items()}


def message_to_wire(message: Message, protocol: int) -> list[Any]:
    """Return the arguments of the method that takes this message; raises CannotBeSaid."""
    return listed(message, protocol)


def message_from_wire(method: str, form: Sequence[Any], protocol: int) -> Message:
    """Return the message; raises ValueError if it is not one."""
    if method not in _MESSAGES:
        raise ValueError("there is no such message")
    return read(_MESSAGES[method], form, protocol)


def answer_to_wire(answer: Answer, protocol: int) -> Any:
    """Return the plain form of an answer; raises CannotBeSaid."""
    if answer is None:
        return None
    if isinstance(answer, Holdings):
        return dict(zip(names_of(Holdings, protocol), listed(answer, protocol), strict=True))
    return [_NAMES[type(answer)], *listed(answer, protocol)]


def answer_from_wire(form: Any, protocol: int, server: str | None = None) -> Answer:
    """Return the answer of a plain form, which `server` (if given) gave; ValueError if it is not one."""
    answer = _answer_of(form, protocol)
    if answer is not None and server not in (None, answer.server):
        raise ValueError(f"{server} answers in another server's name")
    return answer


def _answer_of(form: Any, protocol: int) -> Answer:
    if form is None:
        return None
    if isinstance(form, dict):
        return holdings_of(form, protocol)
    if not isinstance(form, list | tuple) or not form or not isinstance(form[0], str):
        raise ValueError("there is no such answer")
    name, *values = form
    if name not in _ANSWERS:
        raise ValueError("there is no such answer")
    return read(_ANSWERS[name], values, protocol)
