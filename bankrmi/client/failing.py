"""What a failure on the way means for an attempt: was anything sent?  For both clients.

Rule: whatever is not known to have left nothing behind, may have been taken.
"""

from __future__ import annotations

from bankrmi.client.decisions import Candidate, Failed, Lost, Unconnected
from bankrmi.errors import BankError, Busy, InvalidRequest, Unsettled
from bankrmi.rmi import ConnectDenied, ConnectFailed, LostAfterSending, NotConnected, RemoteError

__all__ = ["news_of_failure", "too_old"]

_NO_SUCH_METHOD = "builtins.AttributeError"
"""What a daemon of ours says of a method that an object does not have, and of nothing else."""


def news_of_failure(error: Exception | None) -> Failed | Lost | Unconnected:
    """Return what a link's failure, or the error that it answered with, means."""
    match error:
        case BankError():
            return Failed(error)
        case ConnectDenied(retry_ms=int(retry_ms)):
            return Failed(Busy(str(error), retry_ms=retry_ms))
        case NotConnected():
            silent = isinstance(error, ConnectFailed) and error.reason != "reset"
            return Unconnected(str(error), silent=silent)
        case LostAfterSending():
            return Lost(str(error))
        case RemoteError() if error.class_name == _NO_SUCH_METHOD:
            return Failed(InvalidRequest(f"nothing was done, the server serves something else: {error}"))
        case _:
            return Failed(Unsettled(f"the server could not say what became of it: {error}"))


def too_old(server: Candidate, spoken: int, needed: int) -> InvalidRequest:
    """Return the error for a server that does not know what it would be asked for: it is not asked at all."""
    return InvalidRequest(
        f"nothing was sent: {server.server} speaks bankrmi protocol {spoken}, this needs {needed}: "
        "upgrade it first",
        needs_protocol=needed,
    )
