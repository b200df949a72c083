"""Lines of the log about single requests: those that did not go the usual way, each with its id.

Rule 1: what goes the usual way, a decline included, has no line: the journal holds it, figures count it.
Rule 2: callers can cause these lines, so they have the budget of what strangers cause (`rmi.complaints`).
"""

from __future__ import annotations

from bankrmi.errors import BankError, Busy, Cancelled, Forgotten, InDoubt, InvalidRequest, Stale
from bankrmi.rmi import Call
from bankrmi.rmi.complaints import complaints

__all__ = ["SLOW_S", "tell_refused", "tell_slow", "tell_unheard"]

SLOW_S = 1.0
"""An answer that takes longer is worth a line."""

_EVENTS: dict[str, str] = {
    InDoubt.code: "request in doubt",
    Cancelled.code: "request cancelled",
    Stale.code: "request came too late",
    Forgotten.code: "request too old",
    InvalidRequest.code: "request refused",
    Busy.code: "request turned away",
}


def tell_refused(call: Call, error: BankError) -> None:
    """Say that a request ended with this error, if it is one that somebody may look for."""
    event = _EVENTS.get(error.code)
    if event is not None:
        _tell(event, call, error.details.get("request_id"), reason=error.message)


def tell_slow(call: Call, seconds: float) -> None:
    """Say that a request is answered late."""
    _tell("request was slow", call, call.about, ms=round(1000 * seconds))


def tell_unheard(call: Call) -> None:
    """Say that a request was decided when nobody was connected any more to hear it."""
    _tell("request was cut off", call, call.about)


def _tell(event: str, call: Call, request_id: object, **more: object) -> None:
    if request_id is not None:
        of = {"service": call.of} if call.of else {}
        complaints.note(
            event, request_id=request_id, **of, method=call.method, peer=call.peer.address, **more
        )
