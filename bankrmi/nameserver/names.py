"""Pyro5's own name server object, which also says who leads, and never runs a stranger's expression.

Rule 1: what a stock Pyro5 client may do with a name server it may do here, except regular expressions: one of
        them can keep a process busy for ever.
Rule 2: `role:` and `epoch:` tags of the bank's accounts come from the view and from nobody else; the servers
        say what they serve (`service:`) and who they are.
Rule 3: names are kept in memory. Servers register again when the name server was away; names are hints.
Rule 4: a limit on everything that is kept for others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from Pyro5.errors import NamingError, PyroError
from Pyro5.nameserver import NameServer

from bankrmi.errors import InvalidRequest
from bankrmi.replication.view import View
from bankrmi.rmi import NAMESERVER_NAME, PlainObject, uri_of

__all__ = ["ACCOUNT_NAME", "TaggedNames", "remote_names"]

ACCOUNT_NAME = "bankrmi.account."
"""What the names of account objects begin with; the name of the server follows."""

_METHODS = ("count", "list", "lookup", "ping", "register", "remove", "set_metadata", "yplookup")
_FROM_THE_VIEW = ("role:", "epoch:")
_MOST_NAMES = 4096
_LONGEST_NAME = 200
_LONGEST_URI = 500
_MOST_TAGS = 32


class TaggedNames(NameServer):  # type: ignore[misc]  # Pyro5 comes without types
    """A name server that tags the accounts of `service` with the roles that the view gives them."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service_tag = f"service:{service}"
        self._view: View | None = None

    def register_itself(self, address: str) -> None:
        """Appear in its own list, as stock name servers do."""
        own_tags = {"class:Pyro5.nameserver.NameServer"}
        self.register(NAMESERVER_NAME, uri_of(NAMESERVER_NAME, address), metadata=own_tags)

    def follow(self, view: View | None) -> bool:
        """Tag everybody by this view; return whether it is another one."""
        if view == self._view:
            return False
        self._view = view
        for name in list(self.storage):
            self._tag(name)
        return True

    def register(self, name: Any, uri: Any, safe: bool = False, metadata: Any = None) -> None:
        """Register a name; see Pyro5."""
        _check_text("name", name, _LONGEST_NAME)
        _check_text("URI", uri, _LONGEST_URI)
        tags = _checked_tags(metadata)
        if name not in self.storage and self.count() >= _MOST_NAMES:
            raise InvalidRequest(f"this name server holds {_MOST_NAMES} names, and takes no more")
        super().register(name, uri, safe, tags)
        self._tag(name)

    def set_metadata(self, name: Any, metadata: Any) -> None:
        """Set the tags of a name; see Pyro5."""
        super().set_metadata(name, _checked_tags(metadata))
        self._tag(name)

    def list(self, prefix: Any = None, regex: Any = None, return_metadata: bool = False) -> Any:
        """Return what is registered, all of it or what begins with `prefix`; see Pyro5."""
        _refuse_expression(regex)
        return super().list(prefix, None, return_metadata)

    def remove(self, name: Any = None, prefix: Any = None, regex: Any = None) -> Any:
        """Forget a name, or all that begin with `prefix`; see Pyro5."""
        _refuse_expression(regex)
        return super().remove(name, prefix, None)

    def _tag(self, name: str) -> None:
        if not name.startswith(ACCOUNT_NAME):
            return
        uri, tags = self.storage[name]
        if tags and self._service_tag in tags:
            said = {tag for tag in tags if not tag.startswith(_FROM_THE_VIEW)}
            self.storage[name] = uri, said | self._tags_of(name.removeprefix(ACCOUNT_NAME))

    def _tags_of(self, server: str) -> set[str]:
        view = self._view
        if view is None:
            return set()
        role = "primary" if server == view.primary else "standby" if server in view.in_sync else "joining"
        return {f"role:{role}", f"epoch:{view.epoch}"}


def remote_names(names: TaggedNames) -> PlainObject:
    """Return the name server as a remote object; its own words are known to give nothing away."""
    return PlainObject(names, _METHODS, shown=(NamingError, PyroError, TypeError, ValueError))


def _refuse_expression(regex: object) -> None:
    if regex:
        raise InvalidRequest("this name server runs no regular expressions: ask by prefix, or by tags")


def _check_text(what: str, text: object, longest: int) -> None:
    if not isinstance(text, str) or len(text) > longest:
        raise InvalidRequest(f"a {what} is a text of up to {longest} characters")


def _checked_tags(tags: object) -> set[str] | None:
    if tags is None:
        return None
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise InvalidRequest("tags are a list of texts")
    checked = list(tags)
    if len(checked) > _MOST_TAGS:
        raise InvalidRequest(f"more than {_MOST_TAGS} tags")
    for tag in checked:
        _check_text("tag", tag, _LONGEST_NAME)
    return set(checked)
