"""Who may hold which name, and who gets which role.  Pure: callers, holders and the view in, a verdict out.

Rule 1: `bankrmi.account.<server>`, and `bankrmi.account.<server>.<service>`, are for <server>, the witness's
        name for the witness; the name server's own and whatever else begins with `bankrmi.` nobody gets.
        Every other name is everybody's.
Rule 2: a role goes to the process that the view names: the primary is known by its start id, a standby by the
        disk (incarnation) that is in sync. Whoever else has the name of that server is joining.
Rule 3: one process has a name. Another one of the same server gets it if the view names it; if it is at the
        same address, where two cannot listen, unless the view names the holder, who is still connected; or if
        the holder is gone and the view no longer names it.
Rule 4: nobody's own words give a role: what reads like `role:` or `epoch:` is left out, whoever said it.
Assumption: a server is who its handshake says it is. Certificates will prove it, in `process_of`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import AccessDenied
from bankrmi.replication.view import View
from bankrmi.rmi import NAMESERVER_NAME, Peer

__all__ = [
    "ACCOUNT_NAME",
    "EVERY_ROLE",
    "Holder",
    "Process",
    "check_owner",
    "check_succession",
    "is_ours",
    "process_of",
    "role_tags",
    "without_roles",
]

ACCOUNT_NAME = "bankrmi.account."
"""What the names of account objects begin with; the name of the server follows, and, of a service that stands
beside the first one, that of the service."""

EVERY_ROLE = frozenset({"role:primary"})
"""What servers have whose accounts are in a database: each answers for all."""

_OURS = "bankrmi."
_ROLES = ("role:", "epoch:")
_LONGEST_ID = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A server as it introduced itself: its name, this start of it, and its disk."""

    server: str
    start_id: str
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that registered a name, where it is, and whether it is still connected."""

    process: Process
    uri: str
    connected: bool


def process_of(peer: Peer) -> Process | None:
    """Return the server that calls, None if it is not one: the one place that believes a handshake."""
    if peer.role != "server":
        return None
    said = [peer.handshake.get(key, "") for key in ("server", "start_id", "incarnation")]
    if not said[0] or not all(isinstance(one, str) and len(one) <= _LONGEST_ID for one in said):
        return None
    server, start_id, incarnation = map(str, said)
    return Process(server=server, start_id=start_id, incarnation=incarnation)


def is_ours(name: str) -> bool:
    """Return whether a name is kept for parts of a bank."""
    return name.startswith(_OURS) or name == NAMESERVER_NAME


def check_owner(name: str, caller: Process | None) -> None:
    """Rule 1: raise AccessDenied unless this caller may register, change or remove the name."""
    if not is_ours(name):
        return
    owner = _owner(name)
    if owner is None:
        raise AccessDenied(f"{name} is nobody's to register, change or remove")
    if caller is None or caller.server != owner:
        raise AccessDenied(f"{name} is for {owner} only, as its handshake says who it is")


def _owner(name: str) -> str | None:
    if name == WITNESS_ID:
        return "witness"
    return (
        name.removeprefix(ACCOUNT_NAME).partition(".")[0] or None if name.startswith(ACCOUNT_NAME) else None
    )


def check_succession(caller: Process, uri: str | None, held: Holder | None, view: View | None) -> None:
    """Rule 3: raise AccessDenied if the name stays with the process that holds it.

    `uri` is where the caller says it is; None if it does not want to register, but to change or to remove.
    """
    if held is None or (caller.start_id and held.process.start_id == caller.start_id):
        return
    if _is_named(caller, view):
        return
    is_named = _is_named(held.process, view)
    if held.uri == uri and not (is_named and held.connected):
        return
    if is_named:
        raise AccessDenied(f"the view names another process of {caller.server}: {held.uri}")
    if held.connected:
        raise AccessDenied(f"another process of {caller.server} has that name: {held.uri}")


def _is_named(process: Process, view: View | None) -> bool:
    if view is None:
        return False
    if process.server == view.primary:
        return process.start_id == view.start_id
    return view.names(process.server, process.incarnation)


def role_tags(process: Process, view: View | None) -> frozenset[str]:
    """Rule 2: return the tags that say which role the process has in which epoch; before a view, none."""
    if view is None:
        return frozenset()
    role = "joining"
    if _is_named(process, view):
        role = "primary" if process.server == view.primary else "standby"
    return frozenset({f"role:{role}", f"epoch:{view.epoch}"})


def without_roles(tags: Iterable[str]) -> set[str]:
    """Rule 4: return the tags but for those that claim a role or an epoch, in whatever spelling."""
    return {tag for tag in tags if not _folded(tag).startswith(_ROLES)}


def _folded(tag: str) -> str:
    """Return what a tag looks like to whoever compares carelessly: one case, one width, no spaces."""
    return "".join(unicodedata.normalize("NFKC", tag).casefold().split())
