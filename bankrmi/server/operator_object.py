"""The operator object: switchover, export, backup, and what a restore of the witness needs.

`holdings` tells what this server holds, and changes nothing; `fence` has it look for a view first, and
answer nobody if there is none.
"""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.errors import OperationFailed
from bankrmi.replication.cause import named
from bankrmi.replication.effects import Handed, NotLeading, Refusal, Reply
from bankrmi.replication.events import Event, MessageArrived, SwitchoverAsked
from bankrmi.replication.fields import identifier
from bankrmi.replication.messages import Census, Fence
from bankrmi.rmi import Call, Exposed
from bankrmi.server import backing_up
from bankrmi.server.backing_up import Backups
from bankrmi.server.exporting import Exports
from bankrmi.server.standby_object import ServerToken, refuse

__all__ = ["OPERATOR_ID", "OperatorObject"]

OPERATOR_ID = "bankrmi.operator."


class _Switchover:
    """An operator who waits for a switchover."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def reply(self, reply: Reply) -> None:
        """Tell how it went."""
        match reply:
            case Handed(before=before, after=after):
                self._call.answer({"before": before.to_wire(), "after": after.to_wire()})
            case Refusal(why=why):
                self._call.fail(OperationFailed(f"no switchover: {why}; nothing was changed"))
            case NotLeading(primary=primary):
                self._call.fail(OperationFailed(f"no switchover here: {primary or 'nobody'} leads"))


class OperatorObject:
    """The remote object of operators (see `rmi.RemoteObject`)."""

    exposed = Exposed(methods=frozenset({"switchover", "export", "holdings", "fence", *backing_up.METHODS}))

    def __init__(self, take: Callable[[Event], None], exports: Exports, backups: Backups) -> None:
        self._take = take
        self._exports = exports
        self._backups = backups

    def invoke(self, call: Call) -> None:
        """Do what an operator wants."""
        match call.method:
            case "switchover":
                target = self._argument(call, "a server")
                self._take(SwitchoverAsked(_Switchover(call), target, operator=_who(call)))
            case "export":
                self._exports.ask(call)
            case "holdings":
                self._argument(call, None)
                self._take(MessageArrived(ServerToken(call), Census(server="an operator")))
            case "fence":
                self._argument(call, None)
                self._take(MessageArrived(ServerToken(call), Fence()))
            case _:
                self._backups.ask(call)

    def _argument(self, call: Call, what: str | None) -> str | None:
        """Return the one argument that a call may have, a name; raise InvalidRequest for anything else."""
        if call.kwargs or len(call.args) > (1 if what else 0):
            raise refuse(call, f"its only argument is {what}" if what else "it has no arguments")
        try:
            return identifier(call.args[0]) if call.args and call.args[0] is not None else None
        except ValueError as error:
            raise refuse(call, f"{what} {error}") from error


def _who(call: Call) -> str:
    """Return who asks: whom his certificate names, or else where the call comes from."""
    return named(call.peer.name or call.peer.address)
