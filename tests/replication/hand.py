"""What carries out a server's effects in a scenario: production's carrier, and the test as its world.

Rule: nothing is decided here; what a server wants becomes a letter in the bank's mail, or happens at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.replication import effects as do
from bankrmi.replication import messages as say
from bankrmi.replication.believing import CONTRADICTION
from bankrmi.replication.events import AnswerArrived, Event, MessageArrived
from bankrmi.replication.fields import CannotBeSaid
from bankrmi.replication.forms import listed
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.replica import Replica
from bankrmi.replication.view import View
from bankrmi.server.carrier import Carrier
from tests.replication.words import Caller, in_words

if TYPE_CHECKING:
    from tests.replication.scenario import Bank


class Hand:
    """What one server's carrier reaches the world with: the test (see `server.ports`)."""

    def __init__(self, bank: Bank, name: str, replica: Replica) -> None:
        self._bank = bank
        self._name = name
        self._start = bank.starts[name]
        self._soon: list[Callable[[], None]] = []
        self._sentence = ""
        self.carrier = Carrier(
            replica, clock=self, disk=self, keeper=self, callers=self, life=self, watcher=self
        )
        self.carrier.links = self.carrier.copies = self

    def take(self, event: Event) -> None:
        """Take an event, and go on as long as there is work."""
        self.carrier.take(event)
        self.go_on()

    def go_on(self) -> None:
        """Go on as long as there is work."""
        while self._soon:
            self._soon.pop(0)()

    def now_ms(self) -> float:
        return self._bank.now_ms

    def wall_us(self) -> int:
        return 1

    def after(self, _delay_ms: float, _action: Callable[[], None]) -> NoReturn:
        raise AssertionError("nothing happens by itself")

    def soon(self, action: Callable[[], None]) -> None:
        self._soon.append(action)

    def commit(self, done: Callable[[], None]) -> None:
        self._bank.commit(self._name, done)

    def finish(self) -> None:
        self._bank.finish_commits(self._name)

    def use(self, journal: Journal) -> None:
        """The bank knows already."""

    def read(self, on_answer: Callable[[View | None], None], _: OnSilence) -> None:
        self._ask_witness(lambda: self._bank.view, on_answer)

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        _: OnSilence,
    ) -> None:
        self._ask_witness(
            lambda: self._bank.decide(view, expected),
            lambda current: on_answer(current, current == view),
        )

    def _ask_witness(
        self, decide: Callable[[], View | None], on_answer: Callable[[View | None], None]
    ) -> None:
        def answered(view: View | None) -> None:
            on_answer(view)
            self.go_on()

        self._bank.ask_witness(self._name, self._sentence, decide, answered)

    def answer(self, token: Any, reply: do.Reply) -> None:
        if isinstance(token, Caller):
            answer = AnswerArrived(reply, self._name)  # type: ignore[arg-type]  # Servers get such replies only.
            self._bank.post(self._sentence, lambda: self._bank.take_for(token.server, token.start, answer))

    def send(self, to: str, message: say.Message) -> None:
        try:
            listed(message, self._bank.protocol(self._name, to))
        except CannotBeSaid:
            return  # As `peer_network` does: what has no form in that version is not said.
        caller = Caller(self._name, self._start)
        self._bank.post(self._sentence, lambda: self._bank.take(to, MessageArrived(caller, message)))

    def probe(self, server: str, epoch: int, _delay_ms: float) -> None:
        bank, name, start = self._bank, self._name, self._start
        bank.post(self._sentence, lambda: bank.take_for(name, start, bank.probed(server, epoch)))

    def fetch(self, primary: str) -> None:
        self._bank.post(self._sentence, lambda: self._bank.fetch(self._name, primary))

    def install(self, adopted: Adopted | None) -> Journal | None:
        return None if adopted is None else self._bank.put_in_place(self._name, adopted)

    def report(self, event: str, details: dict[str, Any]) -> None:
        """For people, but for what cannot be."""
        self._bank.reports.append(f"{event}: {details.get('server')}")
        if event == CONTRADICTION:
            self._bank.contradictions.append((details["server"], details["why"]))

    def stop(self, _why: str) -> None:
        self._bank.crash(self._name)

    def leave(self, _why: str) -> None:
        self._bank.crash(self._name)

    def reach(self, servers: Mapping[str, str]) -> None:
        """The test sees to the links."""

    def failed(self, error: Exception) -> None:
        raise error

    def taking(self, event: Event) -> None:
        """Nothing to tell yet."""

    def taken(self, event: Event, effects: Sequence[do.Effect]) -> None:
        """Nothing to tell yet."""

    def doing(self, effect: do.Effect) -> bool:
        self._sentence = in_words(self._name, effect)
        if self._sentence:
            self._bank.trace.append(self._sentence)
        return True

    def done(self, effect: do.Effect) -> None:
        """It was told."""
