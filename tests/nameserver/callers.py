"""Who calls the name server object, as a daemon would tell it."""

from __future__ import annotations

from bankrmi.rmi import Peer, connect, uri_of
from bankrmi.rmi import handshake as handshake_of

__all__ = ["STRANGER", "Caller", "Connection", "register_server", "server"]


class Connection:
    """Lost when a test says so."""

    def __init__(self) -> None:
        self.lost = False


class Caller:
    """A call on a connection."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.connection = Connection()


STRANGER = Caller(Peer(address="127.0.0.1:1"))


def server(name: str, start_id: str = "", incarnation: str = "") -> Caller:
    """Return a server with that handshake."""
    handshake = {"server": name, "start_id": start_id, "incarnation": incarnation}
    return Caller(Peer(address="127.0.0.1:2", protocol=1, role="server", handshake=handshake))


def register_server(
    nameserver: str, name: str, start_id: str, incarnation: str, *, address: str = "127.0.0.1:9"
) -> None:
    """Register a server's account over the wire, as a server does."""
    said = handshake_of("server", server=name, start_id=start_id, incarnation=incarnation)
    account = f"bankrmi.account.{name}"
    tags = ["service:account", f"server:{name}"]
    with connect(nameserver, "Pyro.NameServer", said, 5) as connection:
        connection.call("register", [account, uri_of(account, address), False, tags], timeout=5)
