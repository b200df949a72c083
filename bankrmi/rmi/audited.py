"""What operators do, one line of the log each: who, what exactly, and what came of it.

Rule 1: a line is written when the answer is known, and before it leaves, whether anybody is left to hear it.
Rule 2: no secrets and no balances: of an answer only whether it was one, and of what was asked only what the
        object's own room names (`Asked`).
Rule 3: a line has a bound, whatever was asked, and asking cannot make it another line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from bankrmi.foreign_text import foreign

from .objects import Call, CallSource, Connected, Exposed, RemoteObject, begin

__all__ = ["Asked", "Audited", "arguments"]

_log = structlog.get_logger("bankrmi.audit")

_LONGEST_DETAIL = 200
"""Characters; a pause's reason, and an address, fit."""
_DETAILS_AT_MOST = 12
_UNREADABLE = "(unreadable)"
_NUMBERS_BELOW = 1 << 63

Asked = Callable[[Call], Mapping[str, object]]
"""What a call asks for, by name, for a line of the log; whatever the caller sent, it raises nothing."""


def arguments(*names: str) -> Asked:
    """Return what tells these arguments of a call, in their order, however they were passed."""

    def asked(call: Call) -> Mapping[str, object]:
        by_name = {name: call.kwargs[name] for name in names if name in call.kwargs}
        return {**dict(zip(names, call.args, strict=False)), **by_name}

    return asked


class Audited:
    """A remote object as it is, with a line for each of these calls that one of these roles makes."""

    def __init__(
        self,
        target: RemoteObject,
        methods: Mapping[str, Asked],
        *,
        roles: Collection[str] = ("operator",),
        counts: Callable[[Call], bool] = lambda _: True,
        came_to_nothing: Callable[[object], bool] = lambda _: False,
    ) -> None:
        """`methods` has with each what it asks for; `counts` tells the calls that are worth a line from those
        that only go on with one, `came_to_nothing` the answers which say that it was not done.
        """
        self._target = target
        self._methods = dict(methods)
        self._roles = frozenset(roles)
        self._counts = counts
        self._came_to_nothing = came_to_nothing

    @property
    def exposed(self) -> Exposed:
        """What the object shows."""
        return self._target.exposed

    def invoke(self, call: Call) -> None:
        """Have it done, and say so."""
        if call.method in self._methods and call.peer.role in self._roles and self._counts(call):
            asked = _fit(self._methods[call.method](call))
            begin(self._target, call.through(_Told(call.source, asked, self._came_to_nothing)))
        else:
            self._target.invoke(call)


class _Told:
    """What a call came on, and where its answer goes past (see `objects.CallSource`)."""

    __slots__ = ("_asked", "_came_to_nothing", "_source")

    def __init__(
        self, source: CallSource, asked: Mapping[str, object], came_to_nothing: Callable[[object], bool]
    ) -> None:
        self._source = source
        self._asked = asked
        self._came_to_nothing = came_to_nothing

    @property
    def lost(self) -> bool:
        return self._source.lost

    @property
    def connection(self) -> Connected:
        return self._source.connection

    @property
    def waited_ms(self) -> float:
        return self._source.waited_ms

    def in_turn(self, work: Callable[[], None]) -> None:
        self._source.in_turn(work)

    def charge(self, ms: float) -> None:
        self._source.charge(ms)

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        """Say what came of it, and let the answer go on."""
        peer = call.peer
        details: dict[str, Any] = {"what": call.method, "who": peer.name or "(no certificate)"}
        details |= {name: value for name, value in self._asked.items() if name not in _OURS}
        not_done = "refused" if is_error else "not done" if self._came_to_nothing(value) else ""
        details |= {"outcome": not_done or "done", "peer": peer.address}
        if is_error:
            details["reason"] = foreign(_words_of(value))
        if self._source.lost:
            details["heard"] = False
        _log.info("operator", **details)
        self._source.answered(call, value, is_error=is_error)


_OURS = frozenset({"what", "who", "outcome", "peer", "reason", "heard", "event"})


def _fit(asked: Mapping[str, object]) -> dict[str, object]:
    """Return what was asked as a line may hold it; what was left open is left out."""
    known = [(name, value) for name, value in asked.items() if value is not None]
    return {name: _shown(value) for name, value in known[:_DETAILS_AT_MOST]}


def _shown(value: object) -> object:
    match value:
        case bool():
            return value
        case int():
            return value if -_NUMBERS_BELOW < value < _NUMBERS_BELOW else _UNREADABLE
        case str():
            return foreign(value, _LONGEST_DETAIL)
        case set() | frozenset():
            return _shown(sorted(map(str, value)))
        case list() | tuple() if all(isinstance(one, str | int) for one in value[:_DETAILS_AT_MOST]):
            return foreign(", ".join(str(_shown(one)) for one in value[:_DETAILS_AT_MOST]), _LONGEST_DETAIL)
    return _UNREADABLE


def _words_of(error: object) -> str:
    words = error.get("args") if isinstance(error, dict) else None
    return str(words[0]) if isinstance(words, list | tuple) and words else ""
