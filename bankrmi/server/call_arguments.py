"""What calls of clients have in common: the id of a request, and how much the caller has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bankrmi.bank.operations import parse_request_id
from bankrmi.errors import InvalidRequest
from bankrmi.replication.events import Seen
from bankrmi.replication.sessions import new_session

__all__ = ["request_of", "seen_of"]


def request_of(request_id: Any) -> tuple[tuple[str, int], str]:
    """Return a request id, taken apart and as text; a caller without one gets one of its own."""
    if request_id is None:
        session = new_session()
        return (session, 1), f"{session}:1"
    return parse_request_id(request_id), request_id


def seen_of(seen: Any) -> Seen | None:
    """Return what a caller says that it has seen; raises InvalidRequest."""
    if seen is None:
        return None
    if isinstance(seen, Sequence) and len(seen) == 2:
        history, action_id = seen
        if isinstance(history, str) and type(action_id) is int:
            return history, action_id
    raise InvalidRequest("`seen` is [history, action id], as an answer told them, or nothing")
