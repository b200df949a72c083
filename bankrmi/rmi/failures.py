"""How a call can fail on its way, and what an error looks like on the wire.

    Pyro5.errors.CommunicationError
    └── Failure                 `kind` is one word for logs and decisions
        ├── NotConnected        nothing of a call was sent
        │   ├── ConnectRefused      "refused": ECONNREFUSED and nothing else; nobody listens there
        │   ├── ConnectFailed       "unreachable", "timeout", "reset": may be there, may be not
        │   └── ConnectDenied       "denied": somebody is there, and one of the two does not want the other
        │       └── DeniedByOther       the other side says why it does not want us
        └── LostAfterSending    the call may have been executed
            ├── ConnectionLost      "reset": closed or reset before the answer came
            └── AnswerOverdue       "timeout": the deadline came before the answer
    Pyro5.errors.PyroError
    └── RemoteError             the other side answered with an error that is not ours

Our own errors (`bankrmi.errors`) cross the wire as a PyroError with attributes `code` and `happened`.
That is what a stock client gets to see in every serializer; `read_error` makes our classes of it again.

Rule 1: no traceback, path or source line leaves; of an unexpected error not even its words.
Rule 2: an answer is never a CommunicationError, so whoever switches servers on those, is right to.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import ClassVar, TypeGuard

from Pyro5.errors import CommunicationError, DaemonError, NamingError, PyroError, SecurityError

from bankrmi.errors import BankError, error_of
from bankrmi.foreign_text import foreign

__all__ = [
    "AnswerOverdue",
    "ConnectDenied",
    "ConnectFailed",
    "ConnectRefused",
    "ConnectionLost",
    "DeniedByOther",
    "Failure",
    "LostAfterSending",
    "NotConnected",
    "NotExposed",
    "RemoteError",
    "connect_failure",
    "denial",
    "in_few_words",
    "read_error",
    "write_error",
    "write_shown_error",
    "write_unexpected_error",
]


class Failure(CommunicationError):  # type: ignore[misc]  # Pyro5 comes without types
    """The connection failed, not the call."""

    kind: ClassVar[str] = "failed"

    @property
    def reason(self) -> str:
        """One word: refused, unreachable, timeout, reset, denied or closed."""
        return str(getattr(self, "_reason", self.kind))

    def because(self, reason: str) -> Failure:
        self._reason = reason
        return self


class NotConnected(Failure):
    """Nothing of a call was sent."""

    kind = "closed"


class ConnectRefused(NotConnected):
    """Nobody listens at that address (ECONNREFUSED, nothing else)."""

    kind = "refused"


class ConnectFailed(NotConnected):
    """No connection came about; whether anybody lives there is open."""

    kind = "unreachable"


class ConnectDenied(NotConnected):
    """Somebody is there, and no handshake came about; the message says why.

    No TLS, a certificate that one of the two does not take, no version that both speak: or `DeniedByOther`.
    """

    kind = "denied"
    retry_ms: int | None = None
    """When to come again, if the server is only full; None if it does not say."""


class DeniedByOther(ConnectDenied):
    """The other side has read our handshake, and says why it does not want us."""


class LostAfterSending(Failure):
    """The call was sent, at least in part; it may have been executed."""


class ConnectionLost(LostAfterSending):
    """The connection ended before the answer came."""

    kind = "reset"


class AnswerOverdue(LostAfterSending):
    """The deadline came before the answer."""

    kind = "timeout"


class RemoteError(PyroError):  # type: ignore[misc]  # Pyro5 comes without types
    """The other side answered with an error of its own; `class_name` is what it calls it."""

    def __init__(self, message: str, class_name: str = "") -> None:
        super().__init__(message)
        self.class_name = class_name


class NotExposed(AttributeError):
    """The object has no such method or attribute, or does not show it; to callers an AttributeError."""


def connect_failure(address: str, errors: Sequence[OSError | UnicodeError]) -> NotConnected:
    """Return what these errors, one for each address of the host, amount to.

    The least certain one speaks for all: "refused" is a proof only if nobody else may be there.
    """
    for error in errors:
        failed = ConnectFailed(f"cannot connect to {address}: {error}")
        if isinstance(error, ConnectionRefusedError):
            continue
        if isinstance(error, TimeoutError):
            failed.because("timeout")
        elif isinstance(error, ConnectionError) or getattr(error, "errno", None) == errno.ENOTCONN:
            failed.because("reset")  # accepted, and gone before we looked
        return failed
    return ConnectRefused(f"nobody listens at {address}")


def denial(address: str, answer: object) -> DeniedByOther:
    """Return what a denied handshake was answered with, as an error (see `HandshakeDenied`)."""
    why, retry_ms = answer, None
    if isinstance(answer, dict) and type(answer.get("retry_ms")) is int:
        why, retry_ms = answer.get("denied"), answer["retry_ms"]
    denied = DeniedByOther(f"{address} denied the connection: {foreign(in_few_words(why))}")
    denied.retry_ms = retry_ms
    return denied


_TEXT_AT_MOST = 1000
_DETAILS_AT_MOST = 16
_NO_DETAILS = ("happened", "message", "self")

_PYRO_ERRORS = (NamingError, DaemonError, SecurityError)
_MESSAGE_CUT_AT = 2_000
_WENT_WRONG = "something went wrong in the server; its log tells what"


def write_error(error: Exception) -> dict[str, object] | None:
    """Return the error as it crosses the wire, or None if it is one that nobody expected."""
    if isinstance(error, BankError):
        attributes = {"code": error.code, "happened": error.happened, **error.details}
        return _form("Pyro5.errors.PyroError", error.message, attributes)
    if type(error) in _PYRO_ERRORS:
        return write_shown_error(error)
    if isinstance(error, NotExposed):
        return _form("builtins.AttributeError", str(error), {})
    return None


def write_shown_error(error: Exception) -> dict[str, object]:
    """Return an error under its own name and with its own words: for those known to be harmless."""
    kind = type(error)
    return _form(f"{kind.__module__}.{kind.__name__}", str(error), {})


def write_unexpected_error() -> dict[str, object]:
    """Return what a caller is told of an error that should not have been: that it was."""
    return _form("Pyro5.errors.PyroError", _WENT_WRONG, {})


def _form(class_name: str, message: str, attributes: Mapping[str, object]) -> dict[str, object]:
    return {"__class__": class_name, "__exception__": True, "args": [message], "attributes": dict(attributes)}


def read_error(form: object) -> Exception:
    """Return the error that `form` stands for: one of ours by its code, else a RemoteError.

    Its words are somebody else's, and end in logs and on terminals: what they may do there is seen to here.
    Whatever is in it, the error has a message of bounded length and a few details, plain and bounded, too.
    """
    match form:
        case {"attributes": {"code": str(code), **details}, "args": [message, *_]}:
            plain: dict[str, str | int | None] = {
                foreign(name): foreign(value) if isinstance(value, str) else value
                for name, value in details.items()
                if name not in _NO_DETAILS and isinstance(name, str) and _is_plain(value)
            }
            few = dict(islice(plain.items(), _DETAILS_AT_MOST))
            return error_of(code, foreign(in_few_words(message), _MESSAGE_CUT_AT), few)
        case {"__class__": str(class_name), "args": [*words]}:
            said = " ".join(in_few_words(word) for word in words[:_DETAILS_AT_MOST])
            return RemoteError(foreign(in_few_words(said), _MESSAGE_CUT_AT), foreign(class_name))
        case _:
            return RemoteError(foreign(in_few_words(form), _MESSAGE_CUT_AT))


def _is_plain(value: object) -> TypeGuard[str | int | None]:
    if isinstance(value, int):
        return value.bit_length() <= 64
    return value is None or (isinstance(value, str) and len(value) <= _TEXT_AT_MOST)


def in_few_words(value: object) -> str:
    """Return what the other side sent, as text of bounded length."""
    if not isinstance(value, str):
        try:
            value = repr(value)
        except (ValueError, RecursionError, MemoryError):  # endless digits, lists in lists in lists
            value = type(value).__name__
    return value if len(value) <= _TEXT_AT_MOST else value[: _TEXT_AT_MOST - 3] + "..."
