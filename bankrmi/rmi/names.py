"""Names with attributes: what a name server is told and asked. Names are hints, never relied on.

The name server is Pyro5's own object, wherever it runs; each function here makes one connection, asks one
thing and closes it. The functions with `async` are for the event loop, the others for everybody else.

Rule: a failure is raised as a `Failure` (nobody there) or RemoteError; the caller goes on without names.
Assumption: names are looked up when a client starts or has lost its server, not for every call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from Pyro5.core import NAMESERVER_NAME

from .addresses import Address
from .connection import connect
from .failures import RemoteError
from .handshake import handshake
from .link import open_link

__all__ = [
    "NAMESERVER_NAME",
    "NamedObject",
    "look_up",
    "look_up_async",
    "register_name",
    "register_name_async",
    "remove_name_async",
    "uri_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObject:
    """What a name stands for."""

    name: str
    object_id: str
    address: Address


def uri_of(object_id: str, address: Address) -> str:
    """Return Pyro's way of writing where an object is."""
    return f"PYRO:{object_id}@{address}"


def look_up(nameserver: Address, tags: Iterable[str], timeout: float) -> list[NamedObject]:
    """Return the objects that have all of the tags, in the order of their names."""
    with connect(nameserver, NAMESERVER_NAME, handshake("client"), timeout) as connection:
        return _found(connection.call("yplookup", _wanted(tags), timeout=timeout))


async def look_up_async(nameserver: Address, tags: Iterable[str], timeout: float) -> list[NamedObject]:
    """Return the objects that have all of the tags, in the order of their names."""
    return _found(await _ask(nameserver, "client", "yplookup", _wanted(tags), timeout))


def register_name(nameserver: Address, name: str, uri: str, tags: Iterable[str], timeout: float) -> None:
    """Tell the name server where an object is; what it knew under that name is replaced."""
    with connect(nameserver, NAMESERVER_NAME, handshake("server"), timeout) as connection:
        connection.call("register", [name, uri, False, sorted(tags)], timeout=timeout)


async def register_name_async(
    nameserver: Address, name: str, uri: str, tags: Iterable[str], timeout: float
) -> None:
    """Tell the name server where an object is; what it knew under that name is replaced."""
    await _ask(nameserver, "server", "register", [name, uri, False, sorted(tags)], timeout)


async def remove_name_async(nameserver: Address, name: str, timeout: float) -> None:
    """Have the name server forget a name."""
    await _ask(nameserver, "server", "remove", [name], timeout)


async def _ask(nameserver: Address, role: str, method: str, args: list[object], timeout: float) -> object:
    link = await open_link(nameserver, NAMESERVER_NAME, handshake(role), timeout)
    try:
        answer: object = await link.ask(method, args, timeout)
        return answer
    finally:
        link.close()


def _wanted(tags: Iterable[str]) -> list[object]:
    return [sorted(tags), None, False]  # meta_all, meta_any, return_metadata


def _found(answer: object) -> list[NamedObject]:
    if not isinstance(answer, Mapping):
        raise RemoteError(f"the name server answered {str(answer)[:80]!r}")
    found = (_named_object(str(name), str(uri)) for name, uri in sorted(answer.items()))
    return [one for one in found if one is not None]


def _named_object(name: str, uri: str) -> NamedObject | None:
    """Return what the URI says, or None for one of another kind: it is somebody else's."""
    scheme, _, rest = uri.partition(":")
    object_id, _, address = rest.rpartition("@")
    host, _, port = address.rpartition(":")
    if scheme != "PYRO" or not object_id or not host or not port.isdigit():
        return None
    return NamedObject(name=name, object_id=object_id, address=address)
