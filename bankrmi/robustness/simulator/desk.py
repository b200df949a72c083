"""Where a simulated process lets callers in: production's admission, with its budget and its rates.

Rule: it is reckoned here once more that no request waits twice, that the budget was kept, and that nobody
      made the journals grow faster than he may.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from bankrmi.errors import BankError, Busy, InvalidRequest, NotPrimary
from bankrmi.replication.code_versions import StateVersion
from bankrmi.replication.effects import IsBusy, Read, Reply
from bankrmi.replication.events import CallersGone, Event, OutcomeAsked, ReadArrived, RequestArrived, Seen
from bankrmi.robustness.simulator.asked import Asking
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.own_process import OwnProcess
from bankrmi.server.admission import LOOK_MS, Admission, Visitor
from bankrmi.server.answering import busy
from bankrmi.server.rates import EntryRates
from bankrmi.server.waiting import SLOW_SHARE, Waiting, WaitingRoom, cost_of

__all__ = ["TIMEOUT_MS", "Desk"]

LOOK_EVERY_MS = LOOK_MS + 10.0
"""The first tick after it."""

TIMEOUT_MS = 4000.0


class Asker(Visitor, Protocol):
    """What one call is known by, of a client of ours or of a stock proxy."""

    waited_ms: float

    @property
    def is_refused(self) -> bool:
        """Whether it was turned away: a connection does not deliver it once more."""

    def tell(self, error: BankError) -> None:
        """Answer with an error."""


class Desk:
    """All that waits in one process."""

    def __init__(
        self,
        process: OwnProcess,
        give: Callable[[Event], None],
        read: Callable[[Any, Seen | None], Read | None],
    ) -> None:
        """`give` hands an event to the rules; `read` has them answer a read, if nothing keeps it waiting."""
        self._process = process
        self._read = read
        self._give = give
        self._cluster = process.cluster
        self._world = process.world
        self._weight = max(1, self._cluster.work.weight)
        self._bounds = bounds = self._cluster.bounds
        self._check = self._cluster.workload.door(process.server.release, self._version_that_is_led)
        self._admission = Admission(
            self._take,
            self._read_at_once,
            now_ms=lambda: self._world.now_ms,
            room=WaitingRoom(bounds.waiting_bytes, slow_ms=SLOW_SHARE * TIMEOUT_MS),
            rates=EntryRates(bounds.rate, bounds.rate, full_batch=bounds.full_batch),
            operations_per_request=bounds.full_batch,
            timeout_ms=TIMEOUT_MS,
            look_otherwise=self._was_migrated,
        )
        self._inside: dict[Waiting, tuple[Hashable, int]] = {}  # With what makes two the same, and its cost.
        self._added: dict[str, int] = {}  # By each caller, and by each address.
        self._opened_ms = self._world.now_ms

    def _looked_at(self, event: Asking) -> Asking:
        """Return what the rules are asked: of a request that is refused, what became of it, as servers do."""
        try:
            self._check(event)
        except InvalidRequest:
            if not isinstance(event, RequestArrived) or self._version_that_is_led() is None:
                raise
            return OutcomeAsked(event.token, event.request, event.seen, event.caller)
        return event

    def _version_that_is_led(self) -> StateVersion | None:
        replica = self._process.replica
        return None if replica.primary is None else replica.journal.version

    def _was_migrated(self) -> bool:
        journal = self._process.replica.journal
        return journal.version != journal.version_at(0)

    def open(self) -> None:
        """Look again and again who has waited too long."""
        self._process.after(LOOK_EVERY_MS, self._look)

    def _look(self) -> None:
        self._admission.give_up_overdue()
        self.open()

    def ask(self, event: Asking) -> None:
        """Let a caller in, or have him join who waits for the same, or tell him that it is too much."""
        asker: Asker = event.token
        if asker.is_refused:
            return
        asker.waited_ms = self._process.loop.waited_ms
        try:
            event = self._looked_at(event)
            match event:
                case RequestArrived(request=request, operations=operations, operation_count=count, seen=seen):
                    self._admission.request(asker, request, lambda: operations, count * self._weight, seen)
                case OutcomeAsked(request=request, seen=seen):
                    self._admission.outcome(asker, request, seen)
                case ReadArrived(query=query, seen=seen):
                    self._admission.read(asker, query, seen)
        except (Busy, InvalidRequest, NotPrimary) as error:
            if isinstance(error, Busy):
                self._cluster.turned_away()
            asker.tell(error)

    def turn_away(self, event: Asking) -> None:
        """Tell a caller who has waited for too long that it is too much, whatever he wants."""
        asker: Asker = event.token
        if not asker.is_refused:
            self._cluster.turned_away()
            asker.tell(busy(None))

    # -- on the way to the rules, and back -------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case RequestArrived(token=waiting, request=request, operation_count=count, caller=caller):
                each_stands_for = self._weight
                event = event._replace(operation_count=count // each_stands_for)
                self._check_entered(waiting, ("request", *request), cost_of(count))
                self._check_rate(caller, count)
            case OutcomeAsked(token=waiting, request=request, caller=caller):
                self._check_entered(waiting, ("outcome", *request), cost_of(0))
                self._check_rate(caller, 1)
            case ReadArrived(token=waiting):
                self._check_entered(waiting, None, cost_of(0))
            case CallersGone(tokens=gone):
                for waiting in gone:
                    self._inside.pop(waiting, None)  # What was to be looked up was not in yet.
        self._give(event)

    def _read_at_once(self, query: Any, seen: Seen | None) -> Read | None:
        reply = self._read(query, seen)
        if reply is not None:
            self._process.loop.spend(self._cluster.work.read_at_once_ms())
        return reply

    def answer(self, token: Any, reply: Reply) -> None:
        """An answer of the rules, for whoever waits under this token."""
        self._inside.pop(token, None)
        if isinstance(reply, IsBusy):
            self._cluster.turned_away()  # It was in, and is turned away.
        token.reply(reply)

    # -- reckoned once more ----------------------------------------------------------------------

    def _check_entered(self, waiting: Waiting, key: Hashable, cost: int) -> None:
        name = self._process.name
        if key is not None and any(key == other for other, _ in self._inside.values()):
            raise SimulationFailure("safety", f"what waits at {name} is let in once more: {key}")
        self._inside[waiting] = (key, cost)
        held = sum(one for _, one in self._inside.values())
        if held > self._bounds.waiting_bytes:
            raise SimulationFailure(
                "safety", f"at {name} {held} bytes wait, and {self._bounds.waiting_bytes} may"
            )

    def _check_rate(self, caller: str, entries: int) -> None:
        rate, passed_ms = self._bounds.rate, self._world.now_ms - self._opened_ms
        for who, per_second in ((caller, rate.per_caller), (caller.partition(":")[0], rate.per_address)):
            added = self._added[who] = self._added.get(who, 0) + entries
            if per_second and added > self._bounds.at_most(per_second, passed_ms) + 1:
                raise SimulationFailure(
                    "safety", f"{who} adds {added} entries in {passed_ms:.0f} ms: more than it may"
                )
