"""The standby object: what servers say to each other, and the copy of a database for who has none.

Rule 1: the rules see only messages whose every field was checked, from a caller who says in the handshake
        that it is a configured server, and who speaks in its own name and its own process's.
Rule 2: what is refused is told its sender in a sentence, and logged as often as strangers may.
Assumption: without certificates, who says that it is `s2` is believed to be (design, section 9).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from bankrmi.errors import AccessDenied, InvalidRequest
from bankrmi.replication.effects import Refusal, Reply
from bankrmi.replication.events import Event, MessageArrived
from bankrmi.replication.fields import CannotBeSaid, Check, identifier, number
from bankrmi.replication.messages import Census, Checkpoint, JoinRequest, LeaveRequest, Message
from bankrmi.rmi import Call, Exposed
from bankrmi.rmi.complaints import complaints
from bankrmi.server.copy_serving import CopyServer
from bankrmi.server.wire import METHODS, answer_to_wire, message_from_wire
from bankrmi.storage.tables import FORMAT, FORMATS_READ

__all__ = ["ServerToken", "StandbyObject", "refuse"]

_COPYING: Mapping[str, Mapping[str, Check]] = {
    "begin_copy": {},
    "read_copy": {"name": identifier, "offset": number},
    "end_copy": {"name": identifier},
}
"""The methods for a copy, and what their arguments may be."""


def refuse(call: Call, why: str) -> InvalidRequest:
    """Return the error that tells a caller why its message was not taken; note it in the log."""
    who = call.peer.handshake.get("server")
    complaints.note(
        "message refused", peer=call.peer.address, method=call.method, says_it_is=_shown(who), why=why
    )
    return InvalidRequest(f"{call.method} was not taken: {why}")


def _shown(name: object) -> str:
    try:
        return identifier(name)
    except ValueError:
        return "?"


class ServerToken:
    """A server that waits for the answer to its message."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def reply(self, reply: Reply) -> None:
        """Hand over the answer."""
        if isinstance(reply, Refusal):
            self._call.fail(refuse(self._call, reply.why))
            return
        try:
            form = answer_to_wire(reply, self._call.peer.protocol)  # type: ignore[arg-type]  # Only answers to messages.
        except CannotBeSaid as error:
            self._call.fail(refuse(self._call, str(error)))
            return
        self._call.answer(form)


class StandbyObject:
    """The remote object of servers (see `rmi.RemoteObject`); `others` are all that there are now."""

    exposed = Exposed(methods=frozenset({*METHODS.values(), *_COPYING}))

    def __init__(
        self,
        take: Callable[[Event], None],
        copies: CopyServer,
        others: Collection[str],
        format_of_copies: Callable[[], int] = lambda: FORMAT,
    ) -> None:
        self._format_of_copies = format_of_copies
        self._take = take
        self._copies = copies
        self._others = others

    def invoke(self, call: Call) -> None:
        """Take a message, or a request for a copy."""
        sender = self._sender(call)
        if call.kwargs:
            raise refuse(call, "it has arguments by name")
        if call.method in _COPYING:
            self._copy(sender, call)
            return
        try:
            message = message_from_wire(call.method, call.args, call.peer.protocol)
        except ValueError as error:
            raise refuse(call, str(error)) from error
        if not _speaks_for_itself(call, sender, message):
            raise refuse(call, "it speaks for another server, or for another process")
        self._take(MessageArrived(ServerToken(call), message, _lives_at(call)))

    def _sender(self, call: Call) -> str:
        name = call.peer.handshake.get("server")
        if not isinstance(name, str) or name not in self._others:
            refuse(call, "its sender is not another server of the bank")
            raise AccessDenied(
                f"{_shown(name)} is not one of the other servers: {', '.join(sorted(self._others))}"
            )
        return name

    def _copy(self, sender: str, call: Call) -> None:
        checks = _COPYING[call.method]
        if len(call.args) != len(checks):
            raise refuse(call, f"its arguments are ({', '.join(checks)})")
        try:
            args = [check(value) for check, value in zip(checks.values(), call.args, strict=True)]
        except ValueError as error:
            raise refuse(call, f"an argument {error}") from error
        ours = self._format_of_copies()
        if FORMATS_READ.get(call.peer.protocol, 0) < ours:
            raise refuse(call, f"it cannot read this server's database, of format {ours}: upgrade {sender}")
        self._copies.call(sender, call.method, args, call)


def _lives_at(call: Call) -> str | None:
    """Return where the sender lives, as it says; None as of a version before, or if that cannot be."""
    try:
        return identifier(call.peer.handshake.get("address"))
    except ValueError:
        return None


def _speaks_for_itself(call: Call, sender: str, message: Message) -> bool:
    """Whether a message names the server, and the process, that the connection was made by."""
    process = call.peer.handshake.get("start_id")
    match message:
        case Checkpoint(primary=server, start_id=start_id):
            return (server, start_id) == (sender, process)
        case JoinRequest(server=server, start_id=start_id) | LeaveRequest(server=server, start_id=start_id):
            return (server, start_id) == (sender, process)
        case Census(server=server):
            return server == sender
    return True
