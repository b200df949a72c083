"""Who may connect to what: the versions of our protocol, the role, the object.

A stock Pyro client says "hello", or whatever its owner likes; it may use what is open to everybody.
Our own say {"protocol": [oldest, newest], "role": "client" | "server" | "operator", ...}, and are greeted
with the range that this process speaks.

Rule 1: all checks of a handshake's content are in this file, and each ends in a sentence for the caller.
Rule 2: what servers may do beyond others is for the names of the configuration, and decided here, before
        anything that comes after the handshake is looked into: a role alone opens nothing.
Rule 3: where certificates are configured, role and name are those of the certificate; a handshake that says
        another one is denied. An operator and a server may call as a client does.
Assumption: without certificates a name is what the caller says it is (design, section 9).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from bankrmi import protocol_versions
from bankrmi.errors import AccessDenied

from .addresses import Address
from .objects import Peer, RemoteObject
from .tls import TlsCredentials, TlsIdentity

__all__ = [
    "ROLES",
    "Binding",
    "HandshakeDenied",
    "Registered",
    "binding",
    "claimed_name",
    "credentials_of",
    "handshake",
    "over_tls",
    "server_of",
    "spoken_on",
]

ROLES = frozenset({"client", "server", "operator"})

_NAMESERVER = "nameserver"
_OF_THE_NAMESERVER = frozenset({"Pyro.NameServer", "bankrmi.witness", "bankrmi.witness.moves"})
"""The objects of its process; all others are named after the server that serves them."""


class HandshakeDenied(Exception):
    """The message tells the caller why; one of ours may be told as well when to come again."""

    def __init__(self, why: str, *, retry_ms: int | None = None) -> None:
        super().__init__(why)
        self.retry_ms = retry_ms

    @property
    def answer(self) -> str | dict[str, object]:
        """What is sent; `failures.denial` reads it."""
        why = str(self)
        return why if self.retry_ms is None else {"denied": why, "retry_ms": self.retry_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An object of the daemon and who may use it; no roles means everybody, stock clients too."""

    target: RemoteObject
    roles: frozenset[str] = frozenset()
    for_servers: bool = False
    """Between servers messages are larger, and several calls may be in progress."""
    of_any_bank: bool = False
    """Servers that are not known by name may use it too, as others do: with the limits of a caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a caller got by its handshake."""

    peer: Peer
    object_id: str
    target: RemoteObject
    for_servers: bool
    """Whether it has the limits of servers."""
    greeting: Mapping[str, object]


class SecuredHandshake(Mapping[str, object]):
    """What one of our own says first, and what it shows before that."""

    __slots__ = ("_said", "credentials")

    def __init__(self, said: Mapping[str, object], credentials: TlsCredentials) -> None:
        self._said = dict(said)
        self.credentials = credentials

    def __getitem__(self, key: str) -> object:
        return self._said[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._said)

    def __len__(self) -> int:
        return len(self._said)


def handshake(role: str, **more: object) -> dict[str, object]:
    """Return the handshake of one of our own."""
    assert role in ROLES, f"{role!r} is not a role"
    return {"protocol": protocol_versions.stated(), "role": role, **more}


def over_tls(said: Mapping[str, object], credentials: TlsCredentials | None) -> Mapping[str, object]:
    """Return the handshake, to be made over TLS if there are credentials to show."""
    return said if credentials is None else SecuredHandshake(said, credentials)


def credentials_of(said: Mapping[str, object]) -> TlsCredentials | None:
    """Return what is to be shown with this handshake."""
    return said.credentials if isinstance(said, SecuredHandshake) else None


def server_of(credentials: TlsCredentials, certificate: bytes, object_id: str) -> TlsIdentity:
    """Return whose certificate it is, if he may serve this object; raise HandshakeDenied if not."""
    try:
        identity = credentials.identity_of(certificate)
    except AccessDenied as refused:
        raise HandshakeDenied(str(refused)) from refused
    server = _NAMESERVER if object_id in _OF_THE_NAMESERVER else object_id.rpartition(".")[2]
    if identity.role != "server" or identity.name != server:
        raise HandshakeDenied(
            f"its certificate is for the {identity.role} {identity.name}, and not for the server {server}"
        )
    return identity


def spoken_on(greeting: Mapping[str, object], address: Address) -> int:
    """Return the version that is spoken with whoever greets so; 0 for a daemon of Pyro's own.

    Raises HandshakeDenied if there is none.
    """
    if "protocol" not in greeting:
        return 0
    try:
        return protocol_versions.spoken_with(greeting["protocol"], they=address, we="this program")
    except protocol_versions.NothingInCommon as nothing:
        raise HandshakeDenied(str(nothing)) from nothing


def binding(
    request: object,
    address: Address,
    objects: Mapping[str, Registered],
    greeting: Mapping[str, object],
    servers: Collection[str] = (),
    identity: TlsIdentity | None = None,
) -> Binding:
    """Return what the caller may use, or raise HandshakeDenied; `servers` are those known by name.

    `identity` is whom its certificate names, where certificates are configured.
    """
    match request:
        case {"object": str(object_id), **rest}:
            peer = _peer(rest.get("handshake"), address, identity)
        case _:
            raise HandshakeDenied("a handshake names the object it is for")
    registered = objects.get(object_id)
    if registered is None:
        raise HandshakeDenied("unknown object")
    if registered.roles and peer.role not in registered.roles:
        allowed = " and ".join(f"{role}s" for role in sorted(registered.roles))
        raise HandshakeDenied(f"{object_id} is for {allowed} only")
    is_known = peer.role == "server" and claimed_name(peer) in servers
    if registered.for_servers and peer.role == "server" and not (is_known or registered.of_any_bank):
        raise HandshakeDenied(
            f"{object_id} is for the servers of its configuration only "
            f"({', '.join(sorted(servers)) or 'there is no other'}), and the caller is none of them"
        )
    return Binding(
        peer=peer,
        object_id=object_id,
        target=registered.target,
        for_servers=registered.for_servers and is_known,
        greeting={**greeting, "protocol": protocol_versions.stated()},
    )


def claimed_name(peer: Peer) -> str:
    """Return which server the caller says he is; empty if none."""
    name = peer.handshake.get("server")
    return name if isinstance(name, str) else ""


def _peer(said: object, address: Address, identity: TlsIdentity | None) -> Peer:
    name = "" if identity is None else identity.name
    if not isinstance(said, dict) or "protocol" not in said:
        return Peer(address=address, role="" if identity is None else identity.role, name=name)
    try:
        protocol = protocol_versions.spoken_with(said["protocol"], they="the caller", we="this server")
    except protocol_versions.NothingInCommon as nothing:
        raise HandshakeDenied(str(nothing)) from nothing
    role = said.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise HandshakeDenied(f"{role!r:.20} is not a role: it is one of {', '.join(sorted(ROLES))}")
    peer = Peer(address=address, protocol=protocol, role=role, handshake=said, name=name)
    if identity is not None:
        _check_certified(peer, identity)
    return peer


def _check_certified(peer: Peer, identity: TlsIdentity) -> None:
    if peer.role not in (identity.role, "client"):
        raise HandshakeDenied(
            f"the certificate is for the {identity.role} {identity.name}, and the caller says it is "
            f"{'an' if peer.role == 'operator' else 'a'} {peer.role}"
        )
    if peer.role == "server" and claimed_name(peer) != identity.name:
        raise HandshakeDenied(
            f"the certificate is for the server {identity.name}, and the caller says it is "
            f"{claimed_name(peer) or 'a server without a name'!r:.80}"
        )
