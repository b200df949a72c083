"""Pyro's batched calls: several calls of one object in one message, one after the other.

Rule 1: the first error ends the batch; the caller gets the results before it, and it.
Rule 2: a batch that asks for anything that is not exposed, or for too much, is refused before it begins.
"""

from __future__ import annotations

import asyncio

from bankrmi.errors import InvalidRequest

from .failures import NotExposed
from .objects import Call, Connected, RemoteObject, begin, check_exposed

__all__ = ["Batch"]


class Batch:
    """One batched call in progress. To the calls that it is made of, it is the caller."""

    def __init__(self, call: Call, target: RemoteObject) -> None:
        self._call = call
        self._target = target
        self._calls: list[Call] = []
        self._results: list[object] = []
        self._running = False

    @property
    def lost(self) -> bool:
        """Whether nobody is left to read the results."""
        return self._call.connection_lost

    @property
    def connection(self) -> Connected:
        """The connection that it came on."""
        return self._call.connection

    def start(self, *, at_most: int) -> None:
        """Check all of it, then begin."""
        whole = self._call
        try:
            if len(whole.args) > at_most:
                raise InvalidRequest(f"a batch of {len(whole.args)} calls is over the limit of {at_most}")
            self._calls = [self._checked(part) for part in whole.args]
        except (InvalidRequest, NotExposed) as error:
            whole.fail(error)
            return
        self._run()

    def _checked(self, part: object) -> Call:
        match part:
            case [str(method), [*args], dict() | None as kwargs]:
                check_exposed(self._target.exposed, method, args)
                return Call(self, self._call.peer, method, tuple(args), dict(kwargs or {}))
            case _:
                raise InvalidRequest("a batch is a list of method names with their arguments")

    def _run(self) -> None:
        """Begin calls as long as each is answered at once."""
        self._running = True
        while len(self._results) < len(self._calls):
            begin(self._target, call := self._calls[len(self._results)])
            if not call.done:
                break
            if self._call.done:
                return
        self._running = False
        if len(self._results) == len(self._calls):
            self._call.answer(self._results)

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:  # noqa: ARG002 - in order
        """Take the result. (Called by the call.)"""
        if is_error:
            self._results.append({"__class__": "Pyro5.core._ExceptionWrapper", "exception": value})
            self._call.answer(self._results)
            return
        self._results.append(value)
        if not self._running:
            asyncio.get_running_loop().call_soon(self._run)
