"""`Pyro.Daemon`, the object that every Pyro daemon has: what it tells everybody.

Rule: nobody learns here of an object that the handshake would not give to him.
"""

from __future__ import annotations

from collections.abc import Mapping

from Pyro5.core import DAEMON_NAME
from Pyro5.errors import DaemonError

from bankrmi.errors import InvalidRequest

from .frames import SERPENT
from .handshake import Registered
from .objects import Call, Exposed, Peer
from .serving import metadata

__all__ = ["DaemonObject"]


class DaemonObject:
    """Answers for the daemon with these objects, itself one of them."""

    def __init__(self, objects: Mapping[str, Registered]) -> None:
        self.exposed = Exposed(methods=frozenset({"ping", "registered", "info", "get_metadata"}))
        self._objects = objects

    def invoke(self, call: Call) -> None:
        match call.method, call.args:
            case "ping", ():
                call.answer(None)
            case "registered", ():
                call.answer(self._visible_to(call.peer))
            case "info", ():
                count = len(self._visible_to(call.peer))
                call.answer(f"{DAEMON_NAME} of bankrmi, {count} objects registered")
            case "get_metadata", (str(object_id),) if object_id in self._visible_to(call.peer):
                call.answer(metadata(self._objects[object_id].target.exposed, call.serializer or SERPENT))
            case "get_metadata", _:
                call.fail(DaemonError("unknown object"))
            case _:
                call.fail(InvalidRequest(f"{call.method} takes no arguments"))

    def _visible_to(self, peer: Peer) -> list[str]:
        return [
            object_id
            for object_id, registered in self._objects.items()
            if not registered.roles or peer.role in registered.roles
        ]
