"""From the queue to the journal: requests that wait become one group of records.  Rules A4, O1, O2, O4, O5.

Rule 1: one group is on its way at a time; all that arrives meanwhile forms the next one.  No timers.
Rule 2: what a copy that gets checkpoints could not read is not decided (V13); what was decided before is
        known all the same.
Rule 3: a request that the journal decides is answered from there, and decided no second time (O1, O2); one
        that may be among what was forgotten is decided by nobody (O5).
        Whether it is may be unknown here: its session was removed by a horizon that was taken back, by force
        or by a restore. Then its caller is told to ask again, until there is such a horizon once more.
Rule 4: what this server's code does not know it does not decide: that waits for the migration, and its caller
        is told to ask again (S5).
Rule 5: what makes another version of the state is the last record of its group: it is acknowledged before
        anything is decided after it; and it is decided when every server can follow, and not before (S6).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bankrmi import protocol_versions
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.answers import Answers
from bankrmi.replication.code_versions import MIGRATIONS, migration_of, version_of
from bankrmi.replication.effects import Decided, IsBusy, IsForgotten, IsStale, NotYet, Refusal, Reply
from bankrmi.replication.events import OutcomeAsked, RequestArrived
from bankrmi.replication.journal import Journal
from bankrmi.replication.pace import Pace
from bankrmi.replication.queue import OPERATION_BYTES, RequestQueue
from bankrmi.replication.record import Record
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Groups"]


class Groups:
    """The requests of one leader, until they are decided."""

    def __init__(self, step: Step) -> None:
        self._queue = RequestQueue(step.settings.request_bytes)
        self._pace = Pace(step.now_ms, step.settings.usual_per_ms)
        self._lagging = False  # A joiner does, so far that groups leave it room.

    def put(self, event: RequestArrived | OutcomeAsked) -> bool:
        """Take a request into the next group; return whether there is room."""
        return self._queue.put(event)

    def drop(self, tokens: Collection[Any]) -> list[Any]:
        """Give these up, as far as they are not decided; return whom that concerns."""
        return self._queue.drop(tokens)

    def take_tokens(self) -> list[Any]:
        """Give up every request; return whom to tell."""
        return self._queue.take_tokens()

    def __len__(self) -> int:
        """Return how many requests wait for a group."""
        return len(self._queue)

    # -- when ------------------------------------------------------------------------------------

    def may_form(self, now_ms: float) -> bool:
        """Whether it is time for a group, where none is on its way: there is something for it."""
        if not self._queue:
            return False
        return not self._lagging or self._pace.may_decide(now_ms)

    def leave_room(self, now_ms: float, *, lagging: bool) -> None:
        """Note whether a joiner lags so far that groups have to leave it room."""
        self._lagging = lagging
        if not lagging:
            self._pace.nobody_lags(now_ms)

    def gained(self, entries: int) -> None:
        """A joiner has gained `entries`."""
        if self._lagging:
            self._pace.gained(entries)

    # -- what ------------------------------------------------------------------------------------

    def form(
        self, view: View, answers: Answers, time_us: int, step: Step, readers: Collection[str] = ()
    ) -> list[Record]:
        """Decide all that waits, or a fair share of it; return what is new in the journal.

        The answers wait in `answers` for what they rest on. `readers` are the servers that get checkpoints.
        """
        all_are_new = step.links.lowest_protocol >= protocol_versions.NEWEST
        runs, group, lacks_horizon = step.runs_its_state, list[Record](), step.journal.lacks_horizon
        room, cost_of_newest = step.settings.group_room, step.settings.cost_of_newest
        requests = self._queue.take(room)
        for place, request in enumerate(requests):
            decided = self._decided_before(request, view, step)
            if decided is None and not all_are_new and (why := _why_not_yet(request, readers, step)):
                step.answer(request.token, NotYet(why))
                room -= OPERATION_BYTES
            elif decided is None and (
                (not runs and _needs_code(request))
                or (lacks_horizon and step.journal.may_have_been_removed(request.request[0]))
            ):
                step.answer(request.token, IsBusy())
                room -= OPERATION_BYTES
            elif decided is None:
                is_migration = request.request[0].startswith(MIGRATIONS)
                if is_migration and (why := _why_not_migrated(request.request[0], step)):
                    step.answer(request.token, NotYet(why))
                    continue
                record = _decide(request, view, time_us, step)
                answers.add(record.action_id, request.token, Decided(view.history, record))
                group.append(record)
                if is_migration:
                    room = 0
                elif cost_of_newest is None:
                    continue
                else:
                    room -= cost_of_newest()
            else:
                answers.add(*decided)
                room -= _read_for(decided[2])
            if room <= 0:  # What was decided before costs reading, and nobody knew how much.
                self._queue.put_back(requests[place + 1 :])
                break
        if group:
            operations = sum(record.operation_count for record in group)
            self._pace.decided(operations)
            step.figures.formed(len(group), operations)
        return group

    def _decided_before(
        self, event: RequestArrived | OutcomeAsked, view: View, step: Step
    ) -> tuple[int, Any, Reply] | None:
        """Return what to answer if the journal decides it: the action id it rests on, whom, what."""
        journal = step.journal
        session, sequence = event.request
        newest = journal.newest(session)
        if newest is None or newest < sequence:
            over_by = journal.over(session)
            return None if over_by is None else (over_by, event.token, IsForgotten())
        recorded = journal.recorded(session, sequence)
        if recorded is not None:
            return recorded.action_id, event.token, _recorded(event, recorded, view, journal)
        forgotten_by = journal.forgotten(session, sequence)
        if forgotten_by is not None:
            return forgotten_by, event.token, IsForgotten()
        newer = journal.recorded(session, newest)
        if newer is None:
            raise BrokenInvariant(f"request {session}:{newest} is missing from our own journal")
        return newer.action_id, event.token, IsStale(newest)


def _needs_code(event: RequestArrived | OutcomeAsked) -> bool:
    return type(event) is RequestArrived and not event.request[0].startswith(MIGRATIONS)


def _why_not_yet(event: RequestArrived | OutcomeAsked, readers: Collection[str], step: Step) -> str:
    """V13: return which server could not read the record of this request; "" if all can."""
    if type(event) is not RequestArrived:
        return ""
    return step.links.too_old_for(step.journal.protocol_of(event.operations), readers)


def _why_not_migrated(session: str, step: Step) -> str:
    """S6: return why this migration is not decided now; "" if it may be. Since it was proposed a server may
    have gone, or come back with older code; to a version that the state has already, any code follows."""
    migration, code, version = migration_of(session), step.settings.code, step.journal.version
    if migration is None:
        return ""
    service, target = migration
    if version_of(version, service) >= target:
        return ""
    return step.links.why_not_migrated(code, version, step.settings.others, service)


def _decide(event: RequestArrived | OutcomeAsked, view: View, time_us: int, step: Step) -> Record:
    """Return the record of a request that is new."""
    if type(event) is OutcomeAsked:
        return step.journal.cancel(view.epoch, event.request, time_us)
    assert type(event) is RequestArrived
    return step.journal.decide(view.epoch, event.request, event.operation_count, event.operations, time_us)


def _recorded(event: RequestArrived | OutcomeAsked, recorded: Record, view: View, journal: Journal) -> Reply:
    """The recorded outcome is the answer; but an id that is used for something else is a mistake.

    After a migration the same operations may look otherwise than they did before (S6): then nobody can tell.
    """
    is_another = isinstance(event, RequestArrived) and recorded.operations != event.operations
    if is_another and not recorded.cancelled and journal.version == journal.version_at(0):
        return Refusal("this request id was used before, for another operation")
    return Decided(view.history, recorded)


def _read_for(reply: Reply) -> int:
    """Return what it cost to read what was decided before, for an answer."""
    return OPERATION_BYTES * reply.record.operation_count if isinstance(reply, Decided) else OPERATION_BYTES
