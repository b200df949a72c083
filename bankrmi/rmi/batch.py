"""Pyro's batched calls: several calls of one object in one message, one after the other.

Rule 1: the first error ends the batch; the caller gets the results before it, and it.
Rule 2: a batch that asks for anything that is not exposed, or for too much, is refused before it begins.
Rule 3: between two parts others get their turn.
Rule 4: results are packed as they come, and counted. When they have used up the budget of an answer, the
        next part is not begun, and its error says so: it did not happen. A part that was begun is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bankrmi.errors import InvalidRequest

from .complaints import complaints
from .failures import NotExposed, write_error, write_unexpected_error
from .long_answers import LongAnswer, write_slowly
from .objects import Call, Connected, RemoteObject, begin, check_exposed
from .values import join_values, write_value

__all__ = ["Batch"]


class _Connection(Protocol):
    packed_bytes: int

    @property
    def waited_ms(self) -> float: ...
    @property
    def lost(self) -> bool: ...
    def in_turn(self, work: Callable[[], None]) -> None: ...
    def charge(self, ms: float) -> None: ...
    def send_answer(self, call: Call, payload: bytes, *, is_error: bool) -> None: ...


class Batch:
    """One batched call in progress. To the calls that it is made of, it is the caller."""

    def __init__(
        self, call: Call, target: RemoteObject, connection: _Connection, *, answer_bytes: int
    ) -> None:
        self._call = call
        self._target = target
        self._connection = connection
        self._answer_bytes = answer_bytes
        self._calls: list[Call] = []
        self._packed: list[bytes] = []

    @property
    def lost(self) -> bool:
        """Whether nobody is left to read the results."""
        return self._call.connection_lost

    @property
    def waited_ms(self) -> float:
        """How long a part waited for the turn that goes on now."""
        return self._connection.waited_ms

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
        self._go_on()

    def _checked(self, part: object) -> Call:
        match part:
            case [str(method), [*args], dict() | None as kwargs]:
                check_exposed(self._target.exposed, method, args)
                return Call(self, self._call.peer, method, tuple(args), dict(kwargs or {}))
            case _:
                raise InvalidRequest("a batch is a list of method names with their arguments")

    def _go_on(self) -> None:
        """Begin the next part, or answer if there is none, or nobody to be answered."""
        if len(self._packed) == len(self._calls) or self.lost:
            self._end()
        elif self._connection.packed_bytes > self._answer_bytes:
            self._add(_ending(write_error(_no_room(len(self._packed), self._answer_bytes))))
            self._end()
        else:
            begin(self._target, self._calls[len(self._packed)])

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        """Take the result. (Called by the call.)"""
        self._connection.in_turn(lambda: self._take(call, value, is_error=is_error))

    def in_turn(self, work: Callable[[], None]) -> None:
        """Have a part go on when it is the caller's turn."""
        self._connection.in_turn(work)

    def charge(self, ms: float) -> None:
        """Note what a part will cost."""
        self._connection.charge(ms)

    def _take(self, call: Call, value: object, *, is_error: bool) -> None:
        if self.lost:
            self._end()
            return
        if type(value) is LongAnswer:
            write_slowly(
                self._connection, self._call.serializer, value, self._answer_bytes, self._take_written
            )
            return
        try:
            self._add(_ending(value) if is_error else value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            complaints.error("an answer cannot be sent", error, **call.in_log())
            self._add(_ending(write_unexpected_error()))
            is_error = True
        if is_error:
            self._end()
        else:
            self._go_on()

    def _take_written(self, payload: bytes, error: object) -> None:
        if error is None:
            self._keep(payload)
            self._go_on()
        else:
            self._add(_ending(error))
            self._end()

    def _add(self, value: object) -> None:
        self._keep(write_value(self._call.serializer, value))

    def _keep(self, packed: bytes) -> None:
        self._packed.append(packed)
        self._connection.packed_bytes += len(packed)

    def _end(self) -> None:
        packed, self._packed, self._connection.packed_bytes = self._packed, [], 0
        self._call.done = True
        if self.lost:
            packed = []
        answer = join_values(self._call.serializer, packed)
        self._connection.send_answer(self._call, answer, is_error=False)


def _ending(error: object) -> dict[str, object]:
    return {"__class__": "Pyro5.core._ExceptionWrapper", "exception": error}


def _no_room(answered: int, limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"the first {answered} answers of this batch take more than {limit} bytes: "
        "this call and those after it were not executed"
    )
