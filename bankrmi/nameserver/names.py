"""Pyro5's own name server object, which also says who leads, and never runs a stranger's expression.

Rule 1: what a stock Pyro5 client may do with a name server it may do here, except regular expressions: one of
        them can keep a process busy for ever.
Rule 2: `role:` and `epoch:` tags come from the view and from nobody else, and who may hold which name is
        decided in `ownership`; the servers say what they serve (`service:`) and who they are.
Rule 3: names are kept in memory. Servers register again when the name server was away; names are hints.
Rule 4: a limit on everything that is kept for others (`capacity`), and on everything that is looked for.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from Pyro5.core import URI
from Pyro5.errors import NamingError, PyroError
from Pyro5.nameserver import NameServer

from bankrmi.errors import AccessDenied, InvalidRequest
from bankrmi.nameserver.capacity import Capacity, check_tags, check_text, check_uri, size_of
from bankrmi.nameserver.ownership import (
    ACCOUNT_NAME,
    EVERY_ROLE,
    Holder,
    Process,
    check_owner,
    check_succession,
    is_ours,
    process_of,
    role_tags,
    without_roles,
)
from bankrmi.replication.view import View
from bankrmi.rmi import NAMESERVER_NAME, Connected, Peer, PlainObject, arguments, uri_of

__all__ = ["NAME_CHANGES", "Registrant", "TaggedNames", "remote_names"]

_METHODS = ("count", "list", "lookup", "ping", "register", "remove", "set_metadata", "yplookup")
_TOLD_WHO_CALLS = ("register", "remove", "set_metadata")
NAME_CHANGES = {
    "register": arguments("which", "uri", "safe", "metadata"),
    "remove": arguments("which", "prefix"),
    "set_metadata": arguments("which", "metadata"),
}
"""What changes names, with what is told of it in the log when an operator does."""


class Registrant(Protocol):
    """Who registers, changes or removes a name, and on which connection: a `Call`, as these names see it."""

    @property
    def peer(self) -> Peer: ...

    @property
    def connection(self) -> Connected: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registration:
    """What a server said when it registered its name; of its connection nothing is kept alive."""

    process: Process
    connection: weakref.ref[Connected]
    uri: str
    tags: frozenset[str]

    def holder(self) -> Holder:
        connection = self.connection()
        connected = connection is not None and not connection.lost
        return Holder(process=self.process, uri=self.uri, connected=connected)


class TaggedNames(NameServer):  # type: ignore[misc]  # Pyro5 comes without types
    """A name server that tags the accounts of `service` with the roles that the view gives them.

    `servers` are those of its configuration, until the view names them (V12): nobody else is a server of this
    service, and they always fit.
    """

    def __init__(
        self,
        service: str,
        servers: Collection[str],
        *,
        beside: Collection[str] = (),
        all_lead: bool = False,
    ) -> None:
        """`beside`: the services that the same servers serve beside that one."""
        super().__init__()
        self._service_tag = f"service:{service}"
        self._service_tags = frozenset({self._service_tag, *(f"service:{one}" for one in beside)})
        self._endings = ("", *(f".{one}" for one in beside))
        self._all_lead = all_lead
        self._told = tuple(servers)
        self._known: Collection[str] = self._told
        self._live: Mapping[str, str] | None = None
        self._view: View | None = None
        self._registrations: dict[str, _Registration] = {}
        self._capacity = Capacity(self._names_of(servers))

    def register_itself(self, address: str) -> None:
        """Appear in its own list, as stock name servers do."""
        self.storage[NAMESERVER_NAME] = (
            uri_of(NAMESERVER_NAME, address),
            {"class:Pyro5.nameserver.NameServer"},
        )

    def follow(self, view: View | None) -> bool:
        """Tag everybody by this view; return whether it is another one."""
        if view == self._view:
            return False
        self._view = view
        self._go_by(None if view is None else view.servers)
        for name in self._registrations:
            self._tag(name)
        return True

    def _names_of(self, servers: Iterable[str]) -> list[str]:
        return [ACCOUNT_NAME + server + ending for server in servers for ending in self._endings]

    @property
    def servers(self) -> Collection[str]:
        """Who is a server of this service now."""
        return self._known

    def _go_by(self, servers: Mapping[str, str] | None) -> None:
        """These are the servers, and where they live: a name of another one, or of elsewhere, is nobody's."""
        self._known = self._told if servers is None else tuple(servers)
        self._live = servers
        self._capacity.keep_for(self._names_of(self._known))
        for name, known in list(self._registrations.items()):
            if servers is not None and self._why_not_of_service(name, known.process, known.uri, known.tags):
                self._forget(name)

    # -- what Pyro5's object can do, called from outside -------------------------------------------

    def register(
        self, caller: Registrant, /, name: Any, uri: Any, safe: bool = False, metadata: Any = None
    ) -> None:
        """Register a name; see Pyro5. `caller` is not an argument of the remote call."""
        check_text("name", name)
        process = process_of(caller.peer)
        check_owner(name, process)
        URI(check_uri(uri))  # Raises if it is not one.
        tags = without_roles(check_tags(metadata))
        if safe and name in self.storage:
            raise NamingError(f"name already registered: {name}")
        if process is None or not is_ours(name):
            self._store(name, uri, tags)
            return
        self._check_claim(name, process, uri)
        self._check_service(name, process, uri, tags)
        self._store(name, uri, tags)
        self._registrations[name] = _Registration(
            process=process, connection=weakref.ref(caller.connection), uri=uri, tags=frozenset(tags)
        )
        self._tag(name)

    def set_metadata(self, caller: Registrant, /, name: Any, metadata: Any) -> None:
        """Set the tags of a name; see Pyro5."""
        check_text("name", name)
        process = process_of(caller.peer)
        self._check_change(name, process)
        tags = without_roles(check_tags(metadata))
        if name not in self.storage:
            raise NamingError(f"unknown name: {name}")
        uri = self.storage[name][0]
        if process is not None and is_ours(name):
            self._check_service(name, process, uri, tags)
        self._store(name, uri, tags)
        if name in self._registrations:
            self._registrations[name] = replace(self._registrations[name], tags=frozenset(tags))
            self._tag(name)

    def remove(self, caller: Registrant, /, name: Any = None, prefix: Any = None, regex: Any = None) -> int:
        """Forget a name, or all that begin with `prefix` and that this caller may remove; return how many."""
        _refuse_expression(regex)
        process = process_of(caller.peer)
        if name:
            check_text("name", name)
            self._check_change(name, process)
            names = [name]
        else:
            found = self.list(prefix=prefix) if prefix else {}
            names = [one for one in found if self._may_change(one, process)]
        return sum(self._forget(one) for one in names)

    def lookup(self, name: Any, return_metadata: bool = False) -> Any:
        """Return where a name's object is; see Pyro5."""
        return super().lookup(check_text("name", name), return_metadata)

    def list(self, prefix: Any = None, regex: Any = None, return_metadata: bool = False) -> Any:
        """Return what is registered, all of it or what begins with `prefix`; see Pyro5."""
        _refuse_expression(regex)
        if prefix:
            check_text("prefix", prefix)
        return super().list(prefix, None, return_metadata)

    def yplookup(self, meta_all: Any = None, meta_any: Any = None, return_metadata: bool = True) -> Any:
        """Return what has all, or any, of the tags; see Pyro5."""
        return super().yplookup(check_tags(meta_all), check_tags(meta_any), return_metadata)

    # -- within ------------------------------------------------------------------------------------

    def _check_claim(self, name: str, process: Process, uri: str) -> None:
        """Raise AccessDenied unless this process gets the name of its server, for its own object."""
        if not uri.startswith(f"PYRO:{name}@"):
            raise AccessDenied(f"{name} stands for the object of that name, and for no other")
        check_succession(process, uri, self._holder(name), self._view)

    def _check_service(self, name: str, process: Process, uri: str, tags: Collection[str]) -> None:
        """Raise AccessDenied for whoever is no server of this service, or none that lives there."""
        why = self._why_not_of_service(name, process, uri, tags)
        if why:
            raise AccessDenied(why)

    def _why_not_of_service(self, name: str, process: Process, uri: str, tags: Collection[str]) -> str:
        if not self._service_tags.intersection(tags):
            return ""
        if process.server not in self._known:
            return f"{process.server} is no server of {self._service_tag}: `bankrmi server add` makes it one"
        if self._live is not None and uri != uri_of(name, self._live[process.server]):
            return f"{process.server} lives at {self._live[process.server]}, as the view has it"
        return ""

    def _check_change(self, name: str, process: Process | None) -> None:
        check_owner(name, process)
        if process is not None:
            check_succession(process, None, self._holder(name), self._view)

    def _may_change(self, name: str, process: Process | None) -> bool:
        try:
            self._check_change(name, process)
        except AccessDenied:
            return False
        return True

    def _holder(self, name: str) -> Holder | None:
        known = self._registrations.get(name)
        return None if known is None else known.holder()

    def _store(self, name: str, uri: str, tags: Iterable[str]) -> None:
        kept = set(tags)
        self._capacity.take(name, size_of(name, uri, kept), of_a_server=is_ours(name))
        self.storage[name] = uri, kept

    def _forget(self, name: str) -> int:
        self._capacity.leave(name)
        self._registrations.pop(name, None)
        return 0 if self.storage.pop(name, None) is None else 1

    def _tag(self, name: str) -> None:
        """Give the name of a server of this service the role that the view gives to its process."""
        known = self._registrations[name]
        if self._service_tags & known.tags and name.startswith(ACCOUNT_NAME):
            roles = role_tags(known.process, self._view) if not self._all_lead else EVERY_ROLE
            self.storage[name] = known.uri, set(known.tags | roles)


def remote_names(names: TaggedNames) -> PlainObject:
    """Return the name server as a remote object; its own words are known to give nothing away."""
    shown = (NamingError, PyroError, TypeError, ValueError)
    return PlainObject(names, _METHODS, told_who_calls=_TOLD_WHO_CALLS, shown=shown)


def _refuse_expression(regex: object) -> None:
    if regex:
        raise InvalidRequest("this name server runs no regular expressions: ask by prefix, or by tags")
