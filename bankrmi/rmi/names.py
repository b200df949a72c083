"""Names with attributes: what a name server is asked. Names are hints, never relied on.

The name server is Pyro5's own object, wherever it runs; each function here makes one connection, asks one
thing and closes it. The function with `async` is for the event loop, the other for everybody else.

Rule 1: a failure is raised as a `Failure` (nobody there), RemoteError, or an error of ours if that is what
        was answered; the caller goes on without names.
Rule 2: an answer is believed as far as it can be read: what is not the name of an object is passed over, and
        only a bounded amount is read at all. Both within `timeout`.
Assumption: names are looked up when a client starts or has lost its server, not for every call.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from Pyro5.core import NAMESERVER_NAME

from .addresses import Address
from .connection import connect
from .failures import RemoteError
from .handshake import handshake, over_tls
from .limits import Limits
from .link import open_link
from .tls import TlsCredentials

__all__ = ["NAMESERVER_NAME", "NamedObject", "look_up", "look_up_async", "uri_of"]

_LONGEST_TEXT = 500
_MOST_NAMES = 4096
_MOST_TAGS = 64
_LIMITS = Limits(taken_answer_bytes=1 << 20, server_items=1 << 15)
"""For what a name server may answer: more than ours can hold, whatever it is filled with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObject:
    """What a name stands for."""

    name: str
    object_id: str
    address: Address
    tags: frozenset[str] = frozenset()


def uri_of(object_id: str, address: Address) -> str:
    """Return Pyro's way of writing where an object is."""
    return f"PYRO:{object_id}@{address}"


def look_up(
    nameserver: Address, tags: Iterable[str], timeout: float, credentials: TlsCredentials | None = None
) -> list[NamedObject]:
    """Return the objects that have all of the tags, in the order of their names."""
    deadline = time.monotonic() + timeout
    said = over_tls(handshake("client"), credentials)
    with connect(nameserver, NAMESERVER_NAME, said, timeout, _LIMITS) as connection:
        left = max(deadline - time.monotonic(), 0.001)
        return _found(connection.call("yplookup", _wanted(tags), timeout=left))


async def look_up_async(
    nameserver: Address, tags: Iterable[str], timeout: float, credentials: TlsCredentials | None = None
) -> list[NamedObject]:
    """Return the objects that have all of the tags, in the order of their names."""
    deadline = time.monotonic() + timeout
    said = over_tls(handshake("client"), credentials)
    link = await open_link(nameserver, NAMESERVER_NAME, said, timeout, limits=_LIMITS)
    try:
        return _found(await link.ask("yplookup", _wanted(tags), max(deadline - time.monotonic(), 0.001)))
    finally:
        link.close()


def _wanted(tags: Iterable[str]) -> list[object]:
    return [sorted(tags), None, True]  # meta_all, meta_any, return_metadata


def _found(answer: object) -> list[NamedObject]:
    if not isinstance(answer, Mapping) or len(answer) > _MOST_NAMES:
        raise RemoteError("the name server did not answer with names")
    return sorted(_named_objects(answer), key=lambda one: one.name)


def _named_objects(answer: Mapping[object, object]) -> Iterator[NamedObject]:
    """Return what can be read; the rest is somebody else's, or nonsense."""
    for name, value in answer.items():
        match value:
            case [str(uri), [*tags]] if isinstance(name, str) and len(uri) <= _LONGEST_TEXT:
                texts = frozenset(tag for tag in tags[:_MOST_TAGS] if isinstance(tag, str))
                named = _named_object(name, uri, texts)
                if named is not None:
                    yield named


def _named_object(name: str, uri: str, tags: frozenset[str]) -> NamedObject | None:
    """Return what the URI says, or None for one of another kind."""
    scheme, _, rest = uri.partition(":")
    object_id, _, address = rest.rpartition("@")
    host, _, port = address.rpartition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) <= 65535
    if scheme != "PYRO" or not object_id or not host or not is_port:
        return None
    return NamedObject(name=name, object_id=object_id, address=address, tags=tags)
