"""The operator object: switchover, export, and holding still for a restore of the witness."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.replication.effects import Handed, NotLeading, Refusal, Reply
from bankrmi.replication.events import Event, MessageArrived, SwitchoverAsked
from bankrmi.replication.fields import identifier
from bankrmi.replication.messages import HoldStill
from bankrmi.rmi import Call, Exposed
from bankrmi.server.standby_object import ServerToken, refuse

__all__ = ["OPERATOR_ID", "OperatorObject"]

OPERATOR_ID = "bankrmi.operator."

PAGE = 5000
EXPORTS_KEPT = 4
PLACE_DIGITS = 18


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

    exposed = Exposed(methods=frozenset({"switchover", "export", "hold_still"}))

    def __init__(
        self,
        take: Callable[[Event], None],
        exported: Callable[[], tuple[dict[str, Any], list[tuple[int, int]]]],
    ) -> None:
        self._take = take
        self._exported = exported
        self._exports: OrderedDict[str, tuple[dict[str, Any], list[tuple[int, int]]]] = OrderedDict()

    def invoke(self, call: Call) -> None:
        """Do what an operator wants."""
        match call.method:
            case "switchover":
                self._take(SwitchoverAsked(_Switchover(call), self._argument(call, "a server")))
            case "export":
                call.answer(self._page(self._argument(call, "the next page")))
            case "hold_still":
                self._argument(call, None)
                self._take(MessageArrived(ServerToken(call), HoldStill()))

    def _argument(self, call: Call, what: str | None) -> str | None:
        """Return the one argument that a call may have, a name; raise InvalidRequest for anything else."""
        if call.kwargs or len(call.args) > (1 if what else 0):
            raise refuse(call, f"its only argument is {what}" if what else "it has no arguments")
        try:
            return identifier(call.args[0]) if call.args and call.args[0] is not None else None
        except ValueError as error:
            raise refuse(call, f"{what} {error}") from error

    def _page(self, wanted: str | None) -> dict[str, Any]:
        """Return a page of one consistent state, and the name of the next one."""
        if wanted is None:
            name, begin = secrets.token_hex(4), 0
            self._exports[name] = self._exported()
            while len(self._exports) > EXPORTS_KEPT:
                self._exports.popitem(last=False)
        else:
            name, _, place = wanted.partition("+")
            begin = int(place) if place.isdigit() and len(place) <= PLACE_DIGITS else -1
        if name not in self._exports or begin < 0:
            raise InvalidRequest("this export is over: begin again")
        about, rows = self._exports[name]
        end = begin + PAGE
        following = f"{name}+{end}" if end < len(rows) else None
        if following is None:
            del self._exports[name]
        return {**about, "balances": rows[begin:end], "next": following}
