"""What servers and the witness say to each other, in words; for charts and for the search's traces."""

from __future__ import annotations

from typing import Any

from bankrmi.replication.events import Proposed, ViewRead
from bankrmi.replication.messages import (
    Acknowledged,
    Census,
    Checkpoint,
    Fence,
    Holdings,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Mismatch,
    Superseded,
    ViewNews,
)
from bankrmi.replication.view import View

__all__ = ["message_in_words", "range_in_words", "view_in_words"]


def message_in_words(what: Any) -> str:
    """Return what servers and the witness say to each other, in a few words."""
    match what:
        case Checkpoint(epoch=epoch, number=number, previous=previous) as checkpoint:
            first, last = previous.action_id + 1, checkpoint.through
            load = range_in_words(first, last) if checkpoint.records else "heartbeat"
            return f"checkpoint {number} of epoch {epoch}: {load} after {previous.action_id}"
        case Acknowledged(epoch=epoch, number=number, matched=matched):
            return f"acknowledged {number} of epoch {epoch}, matched to {matched}"
        case Mismatch(number=number, tip=tip):
            return f"mismatch at {number}, tip {tip}"
        case Superseded(epoch=epoch):
            return f"superseded by epoch {epoch}"
        case JoinRequest(number=number, incarnation=incarnation):
            return f"join request {number} of disk {incarnation}"
        case JoinAnswer(number=number, outcome=outcome):
            return f"join answer {number}: {outcome}"
        case LeaveRequest():
            return "leave request"
        case ViewNews(view=view):
            return f"news: {view_in_words(view)}"
        case View():
            return f"propose {view_in_words(what)}"
        case Proposed(view=view) | ViewRead(view=view):
            return f"the view is {view_in_words(view)}"
        case Fence():
            return "be fenced"
        case Census():
            return "are you empty?"
        case Holdings(tip=tip, epoch=epoch):
            return f"holds {tip.action_id}, epoch {epoch}"
        case _:
            return type(what).__name__ if what is not None else "done"


def view_in_words(view: View | None) -> str:
    """Return a view: who leads, as which process, and who is in sync."""
    if view is None:
        return "none"
    in_sync = ", ".join(sorted(view.in_sync))
    lives = ", ".join(f"{name} at {address}" for name, address in sorted((view.servers or {}).items()))
    where = f", {lives}" if lives else ""
    return f"epoch {view.epoch}, primary {view.primary} ({view.start_id}), in sync {in_sync}{where}"


def range_in_words(first: int, last: int) -> str:
    """Return the action ids from one to another."""
    return str(first) if first == last else f"{first} to {last}"
