"""The operator object: switchover, export, and what a restore of the witness needs.

`holdings` tells what this server holds, and changes nothing; `hold_still` has it look for a view first, and
answer nobody if there is none.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.replication.effects import Handed, NotLeading, Refusal, Reply
from bankrmi.replication.events import Event, MessageArrived, SwitchoverAsked
from bankrmi.replication.messages import Census, HoldStill
from bankrmi.rmi import Call, Exposed
from bankrmi.server.standby_object import ServerToken

__all__ = ["OPERATOR_ID", "OperatorObject"]

OPERATOR_ID = "bankrmi.operator."

PAGE = 5000
EXPORTS_KEPT = 4


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

    exposed = Exposed(methods=frozenset({"switchover", "export", "holdings", "hold_still"}))

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
                target = call.args[0] if call.args else None
                self._take(SwitchoverAsked(_Switchover(call), target))
            case "export":
                call.answer(self._page(call.args[0] if call.args else None))
            case "holdings":
                self._take(MessageArrived(ServerToken(call), Census(server="an operator")))
            case "hold_still":
                self._take(MessageArrived(ServerToken(call), HoldStill()))

    def _page(self, wanted: Any) -> dict[str, Any]:
        """Return a page of one consistent state, and the name of the next one."""
        if wanted is None:
            name, begin = secrets.token_hex(4), 0
            self._exports[name] = self._exported()
            while len(self._exports) > EXPORTS_KEPT:
                self._exports.popitem(last=False)
        else:
            name, _, place = str(wanted).partition("+")
            begin = int(place) if place.isdigit() else -1
        if name not in self._exports or begin < 0:
            raise InvalidRequest("this export is over: begin again")
        about, rows = self._exports[name]
        end = begin + PAGE
        following = f"{name}+{end}" if end < len(rows) else None
        if following is None:
            del self._exports[name]
        return {**about, "balances": rows[begin:end], "next": following}
