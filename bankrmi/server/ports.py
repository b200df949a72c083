"""What a carrier needs of the world: protocols, each with one home in production and one in the simulator.

Rule: everything here that ends does so by a callback in the caller's own thread, once, now or later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.replication.effects import Effect, Reply
from bankrmi.replication.events import Event
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.messages import Message
from bankrmi.replication.view import View

__all__ = ["Callers", "Clock", "Copies", "Disk", "Keeper", "Life", "Links", "Timer", "Token", "Watcher"]


class Timer(Protocol):
    """Something that will happen, unless it is called off."""

    def cancel(self) -> None:
        """Call it off; after it has happened this does nothing."""


class Clock(Protocol):
    """A server's clocks, and what is to happen later by them."""

    def now_ms(self) -> float:
        """Return the time that leases are counted by (CLOCK_BOOTTIME), in milliseconds."""

    def wall_us(self) -> int:
        """Return the time of day in microseconds; for people, nothing is decided by it."""

    def after(self, delay_ms: float, action: Callable[[], None]) -> Timer:
        """Let something happen in `delay_ms` milliseconds."""

    def soon(self, action: Callable[[], None]) -> None:
        """Let something happen as soon as all that has arrived by now was taken."""


class Disk(Protocol):
    """Where commits become durable."""

    def commit(self, done: Callable[[], None]) -> None:
        """Begin to make durable what was written; call `done` when it is, at once or later, in their order.

        What fails at once raises DiskFailed; what fails later ends the process as well (F1).
        """

    def finish(self) -> None:
        """Make durable what is under way, and wait for it.  Raises DiskFailed."""

    def use(self, journal: Journal) -> None:
        """From now on this journal is the one that is written."""


class Keeper(Protocol):
    """The keeper of the view, as far as a server's rules ask it (see `coordination.Coordinator`)."""

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        """Ask for the view."""

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        """Propose `view` to follow `expected`."""


class Links(Protocol):
    """The other servers."""

    def send(self, to: str, message: Message) -> None:
        """Say something to a server; dropped if there is no connection."""

    def probe(self, server: str, epoch: int, delay_ms: float) -> None:
        """Look whether a process lives at the server's address; `Probed` is taken when that is known."""

    def reach(self, servers: Mapping[str, str]) -> None:
        """From now on these are the others, each at its address; nothing more is taken from elsewhere."""


class Copies(Protocol):
    """Who fetches a copy of the primary's database, and puts it in place."""

    def fetch(self, primary: str) -> None:
        """Begin; `CopyEnded` is taken when it is done."""

    def install(self, adopted: Adopted | None) -> Journal | None:
        """Put what was fetched in place and return it opened; or (None) throw it away."""


class Token(Protocol):
    """What a caller in production or in the simulator is known by."""

    def reply(self, reply: Reply) -> None:
        """Hand over the reply of the rules; called once."""


class Callers(Protocol):
    """Whoever waits for an answer: clients, operators, other servers."""

    def answer(self, token: Any, reply: Reply) -> None:
        """Answer what arrived with this token."""


class Life(Protocol):
    """The process, as its rules see it."""

    def report(self, event: str, details: dict[str, Any]) -> None:
        """Note a sentence in the log."""

    def stop(self, why: str) -> None:
        """End the process; `why` is empty when it was asked to."""

    def leave(self, why: str) -> None:
        """End the process, which is none of the bank's: it is not to be started again as it is."""

    def failed(self, error: Exception) -> None:
        """End the process: this went wrong in a step, or while an effect was carried out (F1, F3)."""


class Watcher(Protocol):
    """Sees all that a carrier does, in order; may end the process, or have it stand still.

    Production has one only for its failpoints; the simulator's lets crashes and pauses come between any two.
    """

    def taking(self, event: Event) -> None:
        """An event is about to be given to the rules."""

    def taken(self, event: Event, effects: Sequence[Effect]) -> None:
        """The rules want this; nothing of it is carried out yet."""

    def doing(self, effect: Effect) -> bool:
        """An effect is about to be carried out; False leaves it for when the carrier is released."""

    def done(self, effect: Effect) -> None:
        """An effect was carried out; a commit is durable."""
