"""Copies of this server's database for others: one joiner at a time, a few pages whenever there is time.

    begin ──> steps, with pauses ──> made, and read in chunks ──> ended by the joiner
       └─ refused: another one's    └─ failed, or nobody waits      └─ its joiner is gone, or reads no more

Rule 1: one joiner at a time: a copy is its own until it has it, is gone, has read nothing for too long, or
        begins anew: then it has no use for the one before, be that one's connection lost or not. Not within
        a moment: whoever says that name could have pages copied without end.
Rule 2: no copy stays that is of no use to anybody any more.
Rule 3: no event loop, no file: the clock, and what makes a copy, are given; production and the simulator
        drive the same one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import apsw

from bankrmi.errors import BankError, Busy, InvalidRequest, OperationFailed
from bankrmi.server.ports import Clock
from bankrmi.storage.disk_failure import DiskFailed

__all__ = ["CHUNK_BYTES", "NAME_BYTES", "SECONDS", "Complaint", "CopyServer", "Making"]

CHUNK_BYTES = 4 << 20
SECONDS = 30.0
WATCH_SECONDS = 0.5
STEP_PAUSE_SECONDS = 0.001
ANEW_SECONDS = 0.4
"""A joiner whose copy failed waits longer than this before it asks again."""
GO_ON_SECONDS = 60.0
"""Within so long a joiner has checked its copy, and asks for what came after."""
SAY_AGAIN_SECONDS = 300.0
NAME_BYTES = 4

Say = Callable[..., None]
"""Notes in the log what is wrong, with its details."""


class Making(Protocol):
    """One copy, from its first page until it is thrown away."""

    def step(self) -> bool:
        """Copy some pages; return whether it is whole."""

    def abandon(self) -> None:
        """Throw away what is not whole."""

    @property
    def size_bytes(self) -> int:
        """How large it is, once it is whole."""

    def read(self, offset: int, at_most: int) -> bytes:
        """Return a piece of it; empty at its end."""

    def remove(self) -> None:
        """Throw it away."""


class CopyCall(Protocol):
    """The call of the server that wants a copy."""

    @property
    def connection_lost(self) -> bool:
        """Whether it is gone."""

    def answer(self, value: object) -> None:
        """Answer (name, size in bytes)."""

    def fail(self, error: Exception) -> None:
        """Say why there is none."""


@dataclass(slots=True, eq=False)
class _Copy:
    """A copy that is being made, or handed out."""

    name: str
    joiner: str
    making: Making
    call: CopyCall
    begun_ms: float
    is_whole: bool = False
    read_ms: float = 0.0


class Complaint:
    """One thing that is wrong: said at once, and again after some minutes if it still is."""

    def __init__(self, clock: Clock, say: Say) -> None:
        self._clock = clock
        self._say = say
        self._said_ms = float("-inf")

    def say(self, what: str, **details: object) -> None:
        """Say it, unless that was done not long ago."""
        now_ms = self._clock.now_ms()
        if now_ms - self._said_ms >= 1000 * SAY_AGAIN_SECONDS:
            self._said_ms = now_ms
            self._say(what, **details)

    def is_over(self) -> None:
        """It went well: the next time is news."""
        self._said_ms = float("-inf")


class CopyServer:
    """Makes copies of this server's database, one at a time, and hands them out in chunks."""

    def __init__(
        self,
        make: Callable[[str], Making],
        clock: Clock,
        say: Say,
        *,
        new_name: Callable[[], str] = lambda: secrets.token_hex(NAME_BYTES),
        chunk_bytes: int = CHUNK_BYTES,
        idle_seconds: float = SECONDS,
        go_on_seconds: float = GO_ON_SECONDS,
    ) -> None:
        """`make` begins a copy of this name. One that is not read for `idle_seconds` is thrown away."""
        self._idle_seconds = idle_seconds
        self._go_on_seconds = go_on_seconds
        self._make = make
        self._new_name = new_name
        self._clock = clock
        self._chunk_bytes = chunk_bytes
        self._copy: _Copy | None = None
        self._wanted_until_ms = float("-inf")
        self._complained = Complaint(clock, say)

    @property
    def is_wanted(self) -> bool:
        """Whether the journal is needed as it is: for a copy, or for whoever got one and goes on from it."""
        return self._copy is not None or self._clock.now_ms() < self._wanted_until_ms

    def begin(self, joiner: str, call: CopyCall) -> None:
        """Answer (name, size in bytes) when a copy is made for this server.

        Raises Busy if one is being handed out, OperationFailed if none can be made.
        """
        self._drop_if_unwanted()
        copy, now_ms = self._copy, self._clock.now_ms()
        if copy is not None and copy.joiner == joiner:
            if now_ms - copy.begun_ms < 1000 * ANEW_SECONDS:
                raise Busy("another copy was asked for a moment ago")
            self._drop("another copy was asked for in the place of this one")
        if self._copy is not None:
            raise Busy("another server is getting a copy")
        name = self._new_name()
        try:
            making = self._make(name)
        except (apsw.Error, DiskFailed, BankError, OSError) as error:
            self._complained.say("no copy can be made for another server", reason=str(error))
            raise OperationFailed(f"no copy can be made: {error}") from error
        self._copy = begun = _Copy(name, joiner, making, call, now_ms)
        self._clock.soon(lambda: self._step(begun))

    def _step(self, copy: _Copy) -> None:
        if self._copy is not copy:
            return  # It was thrown away.
        try:
            copy.is_whole = copy.making.step()
        except (apsw.Error, BankError, OSError) as error:
            self._complained.say("no copy can be made for another server", reason=str(error))
            self._drop(f"the copy failed: {error}")
            return
        if copy.is_whole:
            self._complained.is_over()
            copy.read_ms = self._clock.now_ms()
            copy.call.answer([copy.name, copy.making.size_bytes])
            self._watch(copy)
        elif copy.call.connection_lost:
            self._drop("its joiner is gone")
        else:
            self._clock.after(1000 * STEP_PAUSE_SECONDS, lambda: self._step(copy))

    def _watch(self, copy: _Copy) -> None:
        """Look now and then whether whoever asked for a copy still wants it."""
        self._drop_if_unwanted()
        if self._copy is copy:
            self._clock.after(1000 * WATCH_SECONDS, lambda: self._watch(copy))

    def _drop_if_unwanted(self) -> None:
        copy = self._copy
        if copy is not None and copy.is_whole:
            idle_ms = self._clock.now_ms() - copy.read_ms
            if copy.call.connection_lost or idle_ms > 1000 * self._idle_seconds:
                self._drop()

    def _drop(self, why: str = "") -> None:
        """Throw the copy away; if its joiner still waits for it, it is told why."""
        copy, self._copy = self._copy, None
        if copy is None:
            return
        self._wanted_until_ms = self._clock.now_ms() + 1000 * self._go_on_seconds
        if copy.is_whole:
            copy.making.remove()
        else:
            copy.making.abandon()
            copy.call.fail(OperationFailed(why))

    def read(self, name: object, offset: object, at_most: int | None = None) -> bytes:
        """Return a chunk of a copy, of `at_most` bytes, unless a larger one is no trouble; empty at its
        end."""
        copy = self._whole(name)
        if type(offset) is not int or not 0 <= offset < 1 << 62:
            raise InvalidRequest("a copy is read from a byte on, which is a whole number")
        if copy is None:
            raise InvalidRequest("there is no such copy any more: begin again")
        copy.read_ms = self._clock.now_ms()
        return copy.making.read(offset, at_most or self._chunk_bytes)

    def end(self, name: object) -> None:
        """Throw a copy away."""
        if self._whole(name) is not None:
            self._drop()

    def _whole(self, name: object) -> _Copy | None:
        copy = self._copy
        return copy if copy is not None and copy.is_whole and copy.name == name else None

    def call(self, joiner: str, method: str, args: list[Any], call: CopyCall) -> None:
        """Do what this server asks for, by the name that it has on the wire; raises what is wrong with it."""
        match method:
            case "begin_copy":
                self.begin(joiner, call)
            case "read_copy":
                call.answer(self.read(*args))
            case "end_copy":
                self.end(*args)
                call.answer(None)

    def close(self) -> None:
        """Throw everything away."""
        self._drop("this server is stopping")
