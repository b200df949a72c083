"""From the queue to the journal: requests that wait become one group of entries.  Rules A4, O1, O2, O4.

Rule 1: one group is on its way at a time; all that arrives meanwhile forms the next one.  No timers.
Rule 2: a request that the journal decides is answered from there, and decided no second time (O1, O2).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bankrmi.replication.answers import Answers
from bankrmi.replication.effects import Decided, IsStale, Refusal, Reply
from bankrmi.replication.entry import CANCELLED, Entry
from bankrmi.replication.events import OutcomeAsked, RequestArrived
from bankrmi.replication.pace import Pace
from bankrmi.replication.queue import ENTRY_BYTES, RequestQueue
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Groups"]

QUEUE_LIMIT = 65_536
"""Requests that may wait for the next group, whatever they cost; who counts their bytes stands before us."""


class Groups:
    """The requests of one leader, until they are decided."""

    def __init__(self, step: Step) -> None:
        self._queue = RequestQueue()
        self._pace = Pace(step.now_ms, step.settings.usual_per_ms)
        self._lagging = False  # A joiner does, so far that groups leave it room.

    def put(self, event: RequestArrived | OutcomeAsked) -> bool:
        """Take a request into the next group; return whether there is room."""
        if len(self._queue) >= QUEUE_LIMIT:
            return False
        self._queue.put(event)
        return True

    def drop(self, tokens: Collection[Any]) -> list[Any]:
        """Give these up, as far as they are not decided; return whom that concerns."""
        return self._queue.drop(tokens)

    def take_tokens(self) -> list[Any]:
        """Give up every request; return whom to tell."""
        return self._queue.take_tokens()

    # -- when ------------------------------------------------------------------------------------

    def may_form(self, acknowledged: int, step: Step) -> bool:
        """Whether it is time for a group: one waits, and none is on its way."""
        if not self._queue or acknowledged < step.tip:
            return False
        return not self._lagging or self._pace.may_decide(step.now_ms)

    def leave_room(self, now_ms: float, *, lagging: bool) -> None:
        """Note whether a joiner lags so far that groups have to leave it room."""
        self._lagging = lagging
        if not lagging:
            self._pace.nobody_lags(now_ms)

    def gained(self, entries: int) -> None:
        """A joiner has so many entries more."""
        if self._lagging:
            self._pace.gained(entries)

    # -- what ------------------------------------------------------------------------------------

    def form(self, view: View, answers: Answers, time_us: int, step: Step) -> list[Entry]:
        """Decide all that waits, or a fair share of it; return what is new in the journal.

        The answers wait in `answers` for what they rest on.
        """
        group: list[Entry] = []
        room = step.settings.group_room
        requests = self._queue.take(room)
        for place, request in enumerate(requests):
            decided = self._decided_before(request, view, step)
            if decided is None:
                entries = _decide(request, view, time_us, step)
                answers.add(entries[-1].action_id, request.token, Decided(view.history, entries))
                group += entries
                continue
            answers.add(*decided)
            room -= _read_for(decided[2])
            if room <= 0:  # What was decided before costs reading, and nobody knew how much.
                self._queue.put_back(requests[place + 1 :])
                break
        if group:
            self._pace.decided(len(group))
        return group

    def _decided_before(
        self, event: RequestArrived | OutcomeAsked, view: View, step: Step
    ) -> tuple[int, Any, Reply] | None:
        """Return what to answer if the journal decides it: the entry it rests on, whom, what."""
        journal = step.journal
        session, sequence = event.request
        newest = journal.newest(session)
        if newest is None or newest < sequence:
            return None
        recorded = journal.recorded(session, sequence)
        if recorded:
            return recorded[-1].action_id, event.token, _recorded(event, recorded, view)
        newer = journal.recorded(session, newest)
        return newer[-1].action_id, event.token, IsStale(newest)


def _decide(event: RequestArrived | OutcomeAsked, view: View, time_us: int, step: Step) -> list[Entry]:
    """Return the entries of a request that is new."""
    if isinstance(event, OutcomeAsked):
        return step.journal.cancel(view.epoch, event.request, time_us)
    return step.journal.decide(view.epoch, event.request, event.operations, time_us)


def _recorded(event: RequestArrived | OutcomeAsked, recorded: list[Entry], view: View) -> Reply:
    """The recorded outcome is the answer; but an id that is used for something else is a mistake."""
    if isinstance(event, RequestArrived) and recorded[0].status != CANCELLED:
        same = [entry.operation for entry in recorded] == list(event.operations)
        if not same:
            return Refusal("this request id was used before, for another operation")
    return Decided(view.history, recorded)


def _read_for(reply: Reply) -> int:
    """Return the bytes of older entries that were read for an answer."""
    return ENTRY_BYTES * len(reply.entries) if isinstance(reply, Decided) else ENTRY_BYTES
