"""The messages between servers, as plain values for the wire and back.

Rule: one table of message kinds; a form that cannot be read raises ValueError, and is answered so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from bankrmi.replication.entry import Position
from bankrmi.replication.messages import (
    Acknowledged,
    Census,
    Checkpoint,
    Holdings,
    HoldStill,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Message,
    Mismatch,
    Superseded,
    ViewNews,
)
from bankrmi.replication.view import View

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

_ANSWERS: dict[str, type[Acknowledged | Mismatch | Superseded | JoinAnswer]] = {
    "ok": Acknowledged,
    "mismatch": Mismatch,
    "superseded": Superseded,
    "join": JoinAnswer,
}
_NAMES = {kind: name for name, kind in _ANSWERS.items()}


def message_to_wire(message: Message) -> list[Any]:
    """Return the arguments of the method that takes this message."""
    match message:
        case Checkpoint():
            return message.to_wire()
        case JoinRequest():
            return [
                message.server,
                message.incarnation,
                message.start_id,
                message.number,
                message.history,
                message.tail,
            ]
        case LeaveRequest():
            return [message.server, message.start_id]
        case Census(server=server):
            return [server]
        case ViewNews(view=view):
            return [view.to_wire()]
        case HoldStill():
            return []


def message_from_wire(method: str, form: Sequence[Any]) -> Message:
    """Return the message; raises ValueError, TypeError or KeyError if it is none."""
    match method:
        case "checkpoint":
            return Checkpoint.from_wire(form)
        case "join":
            server, incarnation, start_id, number, history, tail = form
            return JoinRequest(
                server=server,
                incarnation=incarnation,
                start_id=start_id,
                number=number,
                history=history,
                tail=[Position._make(position) for position in tail],
            )
        case "leave":
            server, start_id = form
            return LeaveRequest(server=server, start_id=start_id)
        case "view_news":
            return ViewNews(view=View.from_wire(form[0]))
        case "census":
            return Census(server=form[0])
        case "hold_still":
            return HoldStill()
    raise ValueError(f"{method} is no message")


def answer_to_wire(answer: Answer) -> Any:
    """Return the plain form of an answer."""
    match answer:
        case None:
            return None
        case Holdings():
            return {
                "server": answer.server,
                "incarnation": answer.incarnation,
                "start_id": answer.start_id,
                "history": answer.history,
                "epoch": answer.epoch,
                "primary": answer.primary,
                "tip": answer.tip,
                "still": answer.still,
                "last_view": None if answer.last_view is None else answer.last_view.to_wire(),
                "may_have_moved_on": answer.may_have_moved_on,
            }
        case _:
            return [_NAMES[type(answer)], *(getattr(answer, field.name) for field in fields(answer))]


def answer_from_wire(form: Any) -> Answer:
    """Return the answer of a plain form."""
    if form is None:
        return None
    if isinstance(form, dict):
        view = form.pop("last_view", None)
        return Holdings(
            **{**form, "tip": Position._make(form["tip"])},
            last_view=None if view is None else View.from_wire(view),
        )
    name, *values = form
    kind = _ANSWERS[name]
    names = [field.name for field in fields(kind)]
    return kind(**dict(zip(names, values, strict=True)))
