"""A Pyro5 name server that keeps nothing: names are in a replicated service, and so survive any one machine.

    python front.py [HOST:PORT] [config.yaml]

Run one on each machine where stock Pyro5 programs run, at localhost:9090: that is where `locate_ns()`,
`PYRONAME:` and `pyro5-nsc` look first, and they need not be told anything. All fronts show the same names.
When a server of the names dies, a call takes a moment longer. When a front dies, start it again: it had
nothing to lose. At an address that others can reach it also answers the broadcasts of `locate_ns()`, as
Pyro's own name server does.

Rule 1: it answers as Pyro's own name server does, with the same types and the same errors.
Rule 2: its own name is that of this front, and stays here: each front lists itself, and not the others.
Assumption: who can reach it may register what he likes, and have any regular expression run here: as with
            Pyro's own. Bind it to localhost, or to a network that you trust.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import islice
from typing import Any

import Pyro5.api
from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import NamingError
from Pyro5.nameserver import BroadcastServer, NameServer

import bankrmi
from bankrmi.errors import BankError
from replicated_names import NAMES_AT_ONCE, Named, Names

PATIENCE_SECONDS = 20


@contextmanager
def in_words_of_pyro() -> Iterator[None]:
    """Raise what went wrong on the way as the error that clients of a name server expect."""
    try:
        yield
    except BankError as error:
        raise NamingError(error.message) from None


@Pyro5.api.expose
class Front:
    """What `Pyro5.nameserver.NameServer` is; see there for what each method means."""

    def __init__(self, names: Names, uri: str) -> None:
        self._names = names
        self._own = Named(NAMESERVER_NAME, uri, ["class:Pyro5.nameserver.NameServer"])

    def ping(self) -> None:
        """Say nothing, which is enough."""

    def count(self) -> int:
        with in_words_of_pyro():
            return 1 + self._names.count()

    def lookup(self, name: str, return_metadata: bool = False) -> Any:
        with in_words_of_pyro():
            found = self._own if name == NAMESERVER_NAME else self._names.lookup(name)
        return (URI(found.uri), set(found.tags)) if return_metadata else URI(found.uri)

    def register(
        self, name: str, uri: Any, safe: bool = False, metadata: Iterable[str] | None = None
    ) -> None:
        NameServer().register(name, uri, False, metadata)  # Raises what Pyro's own raises for nonsense.
        if name == NAMESERVER_NAME:
            raise NamingError(f"{name} is this name server itself")
        with in_words_of_pyro():
            self._names.register(name, str(uri), safe, sorted(set(metadata or ())))

    def set_metadata(self, name: str, metadata: Iterable[str] | None) -> None:
        NameServer().register(name, self._own.uri, False, metadata)
        with in_words_of_pyro():
            self._names.set_tags(name, sorted(set(metadata or ())))

    def remove(self, name: str | None = None, prefix: str | None = None, regex: str | None = None) -> int:
        names = iter([name] if name else self.list(prefix, regex) if prefix or regex else [])
        removed = 0
        with in_words_of_pyro():
            while some := list(islice(names, NAMES_AT_ONCE)):
                removed += self._names.remove([one for one in some if one != NAMESERVER_NAME])
        return removed

    def list(self, prefix: str | None = None, regex: str | None = None, return_metadata: bool = False) -> Any:
        if prefix and regex:
            raise ValueError("you can only filter on one thing at a time")
        try:
            wanted = re.compile(regex or "")
        except re.error as error:
            raise NamingError(f"invalid regex: {error}") from None
        return _told(
            (one for one in self._all(prefix=prefix or "") if wanted.match(one.name)), return_metadata
        )

    def yplookup(self, meta_all: Any = None, meta_any: Any = None, return_metadata: bool = True) -> Any:
        if meta_all and meta_any:
            raise ValueError("you can't use meta_all or meta_any at the same time")
        tags = meta_all or meta_any
        if not tags:
            return {}
        NameServer().yplookup(meta_all, meta_any)
        return _told(self._all(tags=sorted(set(tags)), every=bool(meta_all)), return_metadata)

    def _all(self, prefix: str = "", tags: Iterable[str] = (), every: bool = True) -> Iterator[Named]:
        """Return names, and this name server itself among them, if it is one of those that are wanted."""
        tags = [*tags]
        has = [tag in self._own.tags for tag in tags]
        if NAMESERVER_NAME.startswith(prefix) and (all(has) if every else any(has)):
            yield self._own
        after = ""
        with in_words_of_pyro():
            while page := self._names.page(prefix, tags, every, after):
                yield from page
                after = page[-1].name


def _told(found: Iterable[Named], with_metadata: bool) -> dict[str, Any]:
    return {one.name: (one.uri, set(one.tags)) if with_metadata else one.uri for one in found}


def main(address: str = "localhost:9090", configuration: str = "config.yaml") -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, _, port = address.rpartition(":")
    names = bankrmi.connect(Names, configuration, timeout=PATIENCE_SECONDS)
    with names, Pyro5.api.Daemon(host, int(port)) as daemon:
        uri = daemon.uriFor(NAMESERVER_NAME)
        daemon.register(Front(names, str(uri)), NAMESERVER_NAME)
        bound = ip_address(daemon.sock.getsockname()[0])
        if bound.version == 4 and not bound.is_loopback:
            BroadcastServer(uri).runInThread()
        print(f"URI = {uri}", flush=True)
        daemon.requestLoop()


if __name__ == "__main__":
    main(*sys.argv[1:])
