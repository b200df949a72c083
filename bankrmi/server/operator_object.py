"""The operator object: switchover, failover, pause, retiring, export, backup, restore of the witness.

`holdings` tells what this server holds, and changes nothing; `fence` has it look for a view first, and
answer nobody if there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bankrmi.config_settings import checked_address, checked_server_name, one_endpoint
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.replication.cause import CauseKind, named
from bankrmi.replication.effects import Handed, NotLeading, Refusal, Reply, ServersChanged
from bankrmi.replication.events import (
    Event,
    MessageArrived,
    PauseAsked,
    RetireAsked,
    ServersAsked,
    SwitchoverAsked,
    TakeoverAsked,
)
from bankrmi.replication.fields import Check, epoch, flag, identifier, names, number
from bankrmi.replication.messages import Census, Fence
from bankrmi.replication.pause import Pause, reason_of
from bankrmi.rmi import Asked, Call, Exposed, arguments
from bankrmi.server import backing_up
from bankrmi.server.backing_up import Backups
from bankrmi.server.clock import wall_us
from bankrmi.server.copy_serving import CopyServer
from bankrmi.server.exporting import Exports
from bankrmi.server.standby_object import ServerToken, refuse

__all__ = ["OPERATOR_ID", "CopiedOut", "OperatorObject", "audited_calls"]

OPERATOR_ID = "bankrmi.operator."

_SERVER_CHANGES = {
    "server_add": CauseKind.ADDED,
    "server_remove": CauseKind.REMOVED,
    "server_move": CauseKind.MOVED,
}


_OF_COPIES: Mapping[str, Mapping[str, Check]] = {
    "begin_copy": {},
    "read_copy": {"name": identifier, "offset": number},
    "end_copy": {"name": identifier},
}
"""The methods for a copy of a class's state, and what their arguments may be."""

COPY_PIECE_BYTES = 256 << 10
"""An operator's messages are no larger than anybody's."""


def audited_calls(server: str) -> Mapping[str, Asked]:
    """Return what changes something, or takes everything out, with what is told of it in the log.

    A takeover is of this server: the caller says on what it rests.
    """
    take_over = arguments("history", "epoch", "force", "resumes", "confirmed_off")
    since = arguments("since")

    def this_one(_: Call) -> Mapping[str, object]:
        return {"which": server}

    return {
        "switchover": arguments("which"),
        "take_over": lambda call: {"which": server, **take_over(call)},
        "server_add": arguments("which", "address"),
        "server_move": arguments("which", "address"),
        "server_remove": arguments("which"),
        "pause": arguments("because"),
        "resume": arguments(),
        "retire": arguments("for"),
        "reinstate": arguments("history", "epoch"),
        "export": this_one,
        "backup_state": lambda call: {"which": server, **since(call)},
        "begin_copy": this_one,
        "fence": this_one,
    }


class _Changing:
    """An operator who waits for a change of the view; `why_says_all`: a refusal needs no words around it."""

    __slots__ = ("_call", "_what", "_why_says_all")

    def __init__(self, call: Call, what: str, *, why_says_all: bool = False) -> None:
        self._call = call
        self._what = what
        self._why_says_all = why_says_all

    def reply(self, reply: Reply) -> None:
        """Tell how it went."""
        match reply:
            case Handed(before=before, after=after) | ServersChanged(before=before, after=after):
                self._call.answer({"before": before.to_wire(), "after": after.to_wire()})
            case Refusal(why=why):
                told = why if self._why_says_all else f"no {self._what}: {why}; nothing was changed"
                self._call.fail(OperationFailed(told))
            case NotLeading(primary=primary):
                self._call.fail(OperationFailed(f"no {self._what} here: {primary or 'nobody'} leads"))


@dataclass(frozen=True, slots=True)
class CopiedOut:
    """How the accounts of a bank are taken out of it; or, of a class, a copy of all that there is.

    `exports` is None for a class, and `copies` for a bank.
    """

    exports: Exports | None
    backups: Backups
    copies: CopyServer | None = None

    @property
    def any_goes_on(self) -> bool:
        """Whether somebody takes them, or waits for them."""
        return (self.exports is not None and self.exports.any_waits) or self.backups.any_goes_on


class OperatorObject:
    """The remote object of operators (see `rmi.RemoteObject`)."""

    exposed = Exposed(
        methods=frozenset(
            {
                "switchover",
                "take_over",
                "pause",
                "resume",
                "retire",
                "reinstate",
                "export",
                "holdings",
                "fence",
                *_SERVER_CHANGES,
                *backing_up.METHODS,
                *_OF_COPIES,
            }
        )
    )

    def __init__(
        self,
        take: Callable[[Event], None],
        copied_out: CopiedOut,
        whereabouts: Mapping[str, str],
        *,
        wall_us: Callable[[], int] = wall_us,
    ) -> None:
        self._take = take
        self._wall_us = wall_us
        self._copied_out = copied_out
        self._whereabouts = whereabouts

    def invoke(self, call: Call) -> None:
        """Do what an operator wants."""
        match call.method:
            case "switchover":
                target = self._argument(call, "a server")
                self._take(SwitchoverAsked(_Changing(call, "switchover"), target, operator=_who(call)))
            case "take_over":
                self._take_over(call)
            case "pause":
                self._pause(call)
            case "resume":
                self._argument(call, None)
                self._take(PauseAsked(token=_Changing(call, "resuming"), pause=None, operator=_who(call)))
            case "retire":
                self._retire(call)
            case "reinstate":
                self._reinstate(call)
            case "server_add" | "server_move" | "server_remove":
                self._take(self._server_change(call))
            case "export":
                if self._copied_out.exports is None:
                    raise _of_a_class(call)
                self._copied_out.exports.ask(call)
            case "begin_copy" | "read_copy" | "end_copy":
                self._copy(call)
            case "holdings":
                self._argument(call, None)
                self._take(MessageArrived(ServerToken(call), Census(server="an operator")))
            case "fence":
                self._argument(call, None)
                self._take(MessageArrived(ServerToken(call), Fence()))
            case _:
                if self._copied_out.exports is None and call.method != "backup_state":
                    raise _of_a_class(call)
                self._copied_out.backups.ask(call)

    def _copy(self, call: Call) -> None:
        """Have a copy made of all that is here, hand it out, throw it away: for a class."""
        copies, checks = self._copied_out.copies, _OF_COPIES[call.method]
        if copies is None:
            raise OperationFailed(f"no {call.method} here: of a bank there are pages of accounts and records")
        if call.kwargs or len(call.args) != len(checks):
            raise refuse(call, f"its arguments are ({', '.join(checks)})")
        try:
            args = [check(value) for check, value in zip(checks.values(), call.args, strict=True)]
        except ValueError as error:
            raise refuse(call, f"an argument {error}") from error
        if call.method == "read_copy":
            name, offset = args
            call.answer(copies.read(name, offset, COPY_PIECE_BYTES))
        else:
            copies.call(f"an operator at {call.peer.address}", call.method, args, call)

    def _take_over(self, call: Call) -> None:
        """Have this server lead: history and epoch of the view that the operator saw, forced, resumes.

        Whom he has confirmed to be off may follow, for the log: nothing here can look whether it is so.
        """
        try:
            history, known, forced, resumes, *confirmed_off = call.args
            if len(confirmed_off) > 1:
                raise ValueError
            names(*confirmed_off or [()])
            wish = TakeoverAsked(
                token=_Changing(call, "takeover"),
                expected=(identifier(history), epoch(known)),
                operator=_who(call),
                forced=flag(forced),
                resumes=flag(resumes),
            )
        except ValueError as error:
            what = (
                "its arguments are history and epoch of the view, whether by force, whether to resume, and "
                "who is confirmed to be off"
            )
            raise refuse(call, what) from error
        if call.kwargs or (wish.forced and wish.resumes):
            raise refuse(call, "a takeover by force leaves a pause as it is, and takes no other arguments")
        self._take(wish)

    def _pause(self, call: Call) -> None:
        """Have nobody take over by himself: the reason, or nothing."""
        if call.kwargs or len(call.args) > 1:
            raise refuse(call, "its only argument is a reason")
        try:
            reason = reason_of(call.args[0]) if call.args else None
        except ValueError as error:
            raise refuse(call, f"the reason {error}") from error
        who = _who(call)
        pause = Pause(by=who, since_us=self._wall_us(), reason=reason)
        self._take(PauseAsked(token=_Changing(call, "pause"), pause=pause, operator=who))

    def _retire(self, call: Call) -> None:
        """Have nobody answer clients any more: where the bank is then, in words."""
        if call.kwargs or len(call.args) != 1:
            raise refuse(call, "its only argument is where the bank is then")
        if self._copied_out.exports is None:
            raise OperationFailed("no retiring here: a class of one's own is not moved to a database")
        try:
            there = reason_of(call.args[0])
        except ValueError as error:
            raise refuse(call, f"where the bank is then {error}") from error
        if there is None:
            raise refuse(call, "it does not say where the bank is then")
        self._take(RetireAsked(token=_Changing(call, "retiring"), retired_for=there, operator=_who(call)))

    def _reinstate(self, call: Call) -> None:
        """Have the servers answer clients again: history and epoch of the view in which they are retired."""
        try:
            history, known = call.args
            seen = (identifier(history), epoch(known))
        except ValueError as error:
            raise refuse(call, "its arguments are history and epoch of the view") from error
        if call.kwargs:
            raise refuse(call, "its arguments have no names")
        token = _Changing(call, "reinstating")
        self._take(RetireAsked(token=token, retired_for=None, operator=_who(call), seen=seen))

    def _server_change(self, call: Call) -> ServersAsked:
        """Return what is wanted: a name, and where it lives, unless it goes; raise InvalidRequest."""
        kind = _SERVER_CHANGES[call.method]
        needed = ("a server",) if kind is CauseKind.REMOVED else ("a server", "an address")
        if len(call.args) != len(needed) or call.kwargs:
            raise refuse(call, f"its arguments are {' and '.join(needed)}")
        try:
            texts = [identifier(one) for one in call.args]
            if kind is CauseKind.ADDED:
                checked_server_name(texts[0])
            address = self._as_known(checked_address(texts[1])) if len(texts) > 1 else None
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        token = _Changing(call, "change of the servers", why_says_all=True)
        return ServersAsked(token, kind, texts[0], address, _who(call))

    def _as_known(self, address: str) -> str:
        """Return an address as it is spelled already where a server has it: the rules compare letters."""
        endpoint = one_endpoint(address)
        return next((at for at in self._whereabouts.values() if one_endpoint(at) == endpoint), address)

    def _argument(self, call: Call, what: str | None) -> str | None:
        """Return the one argument that a call may have, a name; raise InvalidRequest for anything else."""
        if call.kwargs or len(call.args) > (1 if what else 0):
            raise refuse(call, f"its only argument is {what}" if what else "it has no arguments")
        try:
            return identifier(call.args[0]) if call.args and call.args[0] is not None else None
        except ValueError as error:
            raise refuse(call, f"{what} {error}") from error


def _of_a_class(call: Call) -> OperationFailed:
    return OperationFailed(
        f"no {call.method} here: this server replicates a class, of which there are whole copies (begin_copy)"
    )


def _who(call: Call) -> str:
    """Return who asks: whom his certificate names, or else where the call comes from."""
    return named(call.peer.name or call.peer.address)
