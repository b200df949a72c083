"""How a joiner gets a copy: what it asks for, what it believes, and when it asks again.

Rule 1: what a primary gives is written only as far as it has announced, and where there is room for it.
Rule 2: a joiner that got none asks the same primary again after pauses that grow; another one at once. A
        primary that makes one for somebody else has failed at nothing: the pause stays as it is.
Rule 3: of several that were begun only the newest counts: whoever leads by now is asked, and the one before
        may be silent for as long as it likes.
Rule 4: no event loop, no file: `downloading` yields what to ask for, and is sent the answer; production and
        the simulator drive the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from bankrmi.errors import OperationFailed
from bankrmi.replication.events import CopyEnded, Event
from bankrmi.server.copy_serving import SECONDS, Complaint, Say
from bankrmi.server.ports import Clock

__all__ = ["Download", "Fetches", "Question", "Staging", "downloading"]

LONGEST_PAUSE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.5
MAKING_SECONDS = 10 * SECONDS
"""A copy may be hundreds of gigabytes, and nobody at its source waits for it."""


class Staging(Protocol):
    """Where a copy is put while it comes."""

    def begin(self, size: int) -> None:
        """Throw away what was there; raises OperationFailed if there is no room for `size` bytes."""

    def write(self, chunk: bytes) -> None:
        """Add to it."""

    @property
    def length(self) -> int:
        """How many bytes are there."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question for the primary, and how long to wait for the answer."""

    method: str
    args: list[object]
    seconds: float


Download = Generator[Question, object, int]


def downloading(primary: str, staging: Staging) -> Download:
    """Yield what to ask the primary for, one after the other; return how many bytes came."""
    name, size = _announced((yield Question("begin_copy", [], MAKING_SECONDS)))
    staging.begin(size)
    while chunk := (yield Question("read_copy", [name, staging.length], SECONDS)):
        if not isinstance(chunk, bytes) or staging.length + len(chunk) > size:
            raise OperationFailed(f"{primary} gave another copy than it had announced")
        staging.write(chunk)
    yield Question("end_copy", [name], SECONDS)
    return size


def _announced(answer: object) -> tuple[str, int]:
    """Return name and size in bytes of the copy that a primary has made."""
    match answer:
        case [str(name), int(size)] if size >= 0:
            return name, size
    raise OperationFailed(
        "the primary's copy has no name and size that can be read: upgrade the older server"
    )


class Fetches:
    """The copies that one process has asked for, one after the other."""

    def __init__(
        self, clock: Clock, take: Callable[[Event], None], begin: Callable[[str, int], None], say: Say
    ) -> None:
        """`begin` starts to fetch from a primary; `succeeded` or `failed` is called, with the same number."""
        self._clock = clock
        self._take = take
        self._begin = begin
        self._complained = Complaint(clock, say)
        self._number = 0
        self._pause_s = 0.0
        self._not_before_ms: dict[str, float] = {}

    def fetch(self, primary: str) -> None:
        """Begin; `CopyEnded` is taken when it is done: at once, if it is too soon after a failure."""
        self._number += 1
        number = self._number
        if primary not in self._not_before_ms:
            self._pause_s = 0.0  # What failed with another one says nothing of this one.
        if self._clock.now_ms() < self._not_before_ms.get(primary, float("-inf")):
            self._clock.soon(lambda: self._end(number, fetched=False))
        else:
            self._begin(primary, number)

    def is_newest(self, number: int) -> bool:
        """Whether no other has been begun since."""
        return number == self._number

    def succeeded(self, number: int) -> None:
        """It is here, whole and sound."""
        self._pause_s = 0.0
        self._complained.is_over()
        self._end(number, fetched=True)

    def failed(self, number: int, primary: str, reason: str, *, busy: bool = False) -> None:
        """There is none; `busy` if the primary gives one to another server first."""
        if self.is_newest(number):
            self._complained.say("no copy", source=primary, reason=reason)
            pause_s = FIRST_PAUSE_SECONDS if busy else self._pause_s
            self._not_before_ms = {primary: self._clock.now_ms() + 1000 * pause_s}
            if not busy:
                self._pause_s = min(max(2 * pause_s, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self._end(number, fetched=False)

    def _end(self, number: int, *, fetched: bool) -> None:
        if self.is_newest(number):
            self._take(CopyEnded(fetched=fetched))
