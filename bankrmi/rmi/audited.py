"""What operators do, one line of the log each: who, what, and what came of it.

Rule 1: a line is written when the answer is known, and before it leaves, whether anybody is left to hear it.
Rule 2: no secrets and no balances: of an answer only whether it was one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import structlog

from .objects import Call, CallSource, Connected, Exposed, RemoteObject, begin

__all__ = ["Audited"]

_log = structlog.get_logger("bankrmi.audit")


class Audited:
    """A remote object as it is, with a line for each of these calls that one of these roles makes."""

    def __init__(
        self,
        target: RemoteObject,
        methods: Collection[str],
        *,
        roles: Collection[str] = ("operator",),
        counts: Callable[[Call], bool] = lambda _: True,
    ) -> None:
        """`counts` tells the calls that are worth a line from those that only go on with one."""
        self._target = target
        self._methods = frozenset(methods)
        self._roles = frozenset(roles)
        self._counts = counts

    @property
    def exposed(self) -> Exposed:
        """What the object shows."""
        return self._target.exposed

    def invoke(self, call: Call) -> None:
        """Have it done, and say so."""
        if call.method in self._methods and call.peer.role in self._roles and self._counts(call):
            begin(self._target, call.through(_Told(call.source)))
        else:
            self._target.invoke(call)


class _Told:
    """What a call came on, and where its answer goes past (see `objects.CallSource`)."""

    __slots__ = ("_source",)

    def __init__(self, source: CallSource) -> None:
        self._source = source

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
        if call.args and isinstance(call.args[0], str):
            details["which"] = call.args[0]
        details |= {"outcome": "refused" if is_error else "done", "peer": peer.address}
        if is_error:
            details["reason"] = _words_of(value)
        if self._source.lost:
            details["heard"] = False
        _log.info("operator", **details)
        self._source.answered(call, value, is_error=is_error)


def _words_of(error: object) -> str:
    words = error.get("args") if isinstance(error, dict) else None
    return str(words[0]) if isinstance(words, list | tuple) and words else ""
