"""One question to one object of one server, with a deadline: what operators' commands are made of.

Rule: no retries, no other server: an operator asks the one that he means, and is told what it said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from bankrmi.errors import OperationFailed, Unreached
from bankrmi.rmi import Failure, NotConnected, RemoteError, TlsCredentials, connect, handshake, over_tls

__all__ = ["Ask", "ask_once", "asking"]


def ask_once(
    address: str,
    object_id: str,
    method: str,
    args: Sequence[object] = (),
    *,
    seconds: float,
    role: str = "operator",
    credentials: TlsCredentials | None = None,
    on_greeting: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> Any:
    """Return the answer; raises an error of ours, `Unreached` if nothing was sent.

    `on_greeting` is told what whoever is asked says of itself in the handshake.
    """
    deadline = time.monotonic() + seconds
    said = over_tls(handshake(role), credentials)
    try:
        with connect(address, object_id, said, seconds) as connection:
            on_greeting(connection.greeting)
            return connection.call(method, list(args), timeout=max(deadline - time.monotonic(), 0.001))
    except NotConnected as failure:
        raise Unreached(str(failure)) from failure
    except (Failure, RemoteError) as failure:
        raise OperationFailed(f"{address} did not answer {method}: {failure}") from failure


class Ask(Protocol):
    """A question to the object that a connection is bound to."""

    def __call__(self, method: str, args: Sequence[object], *, seconds: float) -> Any:
        """Return the answer; raises an error of ours."""


@contextmanager
def asking(
    address: str,
    object_id: str,
    *,
    seconds: float = 30.0,
    role: str = "operator",
    credentials: TlsCredentials | None = None,
) -> Iterator[Ask]:
    """Keep one connection for many questions; raises `Unreached` if there is none."""
    try:
        connection = connect(address, object_id, over_tls(handshake(role), credentials), seconds)
    except NotConnected as failure:
        raise Unreached(str(failure)) from failure
    except (Failure, RemoteError) as failure:
        raise OperationFailed(f"{address} cannot be asked: {failure}") from failure

    def ask(method: str, args: Sequence[object], *, seconds: float) -> Any:
        try:
            return connection.call(method, list(args), timeout=seconds)
        except (Failure, RemoteError) as failure:
            raise OperationFailed(f"{address} did not answer {method}: {failure}") from failure

    with connection:
        yield ask
