"""The standby object: what servers say to each other, and the copy of a database for who has none."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.errors import InvalidRequest
from bankrmi.replication.effects import Reply
from bankrmi.replication.events import Event, MessageArrived
from bankrmi.rmi import Call, Exposed
from bankrmi.server.copying import CopyServer
from bankrmi.server.wire import METHODS, answer_to_wire, message_from_wire

__all__ = ["ServerToken", "StandbyObject"]


class ServerToken:
    """A server that waits for the answer to its message."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def reply(self, reply: Reply) -> None:
        """Hand over the answer."""
        self._call.answer(answer_to_wire(reply))  # type: ignore[arg-type]  # Only answers to messages get here.


class StandbyObject:
    """The remote object of servers (see `rmi.RemoteObject`)."""

    exposed = Exposed(methods=frozenset({*METHODS.values(), "begin_copy", "read_copy", "end_copy"}))

    def __init__(self, take: Callable[[Event], None], copies: CopyServer) -> None:
        self._take = take
        self._copies = copies

    def invoke(self, call: Call) -> None:
        """Take a message, or a request for a copy."""
        match call.method:
            case "begin_copy":
                self._copies.begin(call)
            case "read_copy":
                call.answer(self._copies.read(*call.args))
            case "end_copy":
                self._copies.end(*call.args)
                call.answer(None)
            case _:
                try:
                    message = message_from_wire(call.method, call.args)
                except (ValueError, TypeError, KeyError) as error:
                    raise InvalidRequest(f"not a {call.method} message: upgrade the older server") from error
                self._take(MessageArrived(ServerToken(call), message))
