"""A user's own class in the simulator: what is replicated there, what its clients do, and what is checked.

Rule 1: the class runs as on a server: production's `ServiceMachine`, on SQLite, with its undo and digests.
Rule 2: clients do what the workload says; in between they repeat what they gave up, ask for outcomes, and
        repeat queries that somebody has asked before.
Rule 3: what a client asks again is kept, up to so many queries.
Rule 4: a class that names the ones before is migrated, from the oldest on: servers get its versions one after
        the other (see `simulator.rollout`), and production's `Migrations` does the rest. With a model that
        holds as far as that has `previous` ones, too. Of several services one gets its next version after the
        other (see `releases`), and one that comes later is created.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import apsw

from bankrmi.client.service_requests import declared_error
from bankrmi.errors import Cancelled, InvalidRequest, NotPrimary, ServiceError
from bankrmi.replication.code_versions import CodeVersions, StateVersion, migration_of, version_of
from bankrmi.replication.effects import Decided, Read
from bankrmi.replication.events import Event, ReadArrived, RequestArrived
from bankrmi.replication.record import CANCELLED, DONE, Position, unpacked
from bankrmi.replication.replica import Replica
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall, RefusedOutcome
from bankrmi.robustness.checker.verdict import Copy, HistoryVerdict
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.call_check import CallCheck
from bankrmi.robustness.services.conversations import CallScript, Conversation
from bankrmi.robustness.services.judging import judge_calls, read_outcome, why_unmigrated, wrong_rows
from bankrmi.robustness.services.known_versions import KnownVersions, asked_in
from bankrmi.robustness.services.order_check import OrderCheck
from bankrmi.robustness.services.outcomes import CallOutcome, outcome_told
from bankrmi.robustness.services.plain_objects import ModelMaker
from bankrmi.robustness.services.releases import releases_of
from bankrmi.robustness.services.wanted import WantedCall
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.workload import MethodCounts, MigratingHost, Workload
from bankrmi.server.migrating import Migrations
from bankrmi.server.service_object import ServiceObject
from bankrmi.service.calls import Called, Raised, called, result_of
from bankrmi.service.declaring import Description, Method
from bankrmi.service.in_words import call_in_words
from bankrmi.service.machine import ServiceMachine, Told
from bankrmi.service.plain_values import NotPlain
from bankrmi.service.served_services import HOME, ServedServices, plain_name
from bankrmi.storage.journal import SqliteJournal

__all__ = ["ServiceTalk", "ServiceWorkload"]

LIMIT_MS = 10_000.0
"""Of a call, by the clock of this machine: it may be a slow one, and a seed is to be the same everywhere."""

HESITATES_MS = (0, 100, 300, 600)
_NOBODY: Any = None
_QUERIES_KEPT = 64
_CALLS_SHOWN = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST = "SELECT time_us FROM journal WHERE length(operations) > 0 ORDER BY action_id DESC LIMIT 1"


class _MachineOfAWorld(ServiceMachine):
    """Production's, whose queries are told the time of the newest record: nothing here reads a clock.

    It can take back few calls, for there are few; and yet more than a group has that all callers are in.
    """

    kept, forgotten_together = 12, 2

    def __init__(self, description: Description | ServedServices, *, limit_ms: float) -> None:
        super().__init__(description, limit_ms=LIMIT_MS)
        self._limit_of_calls_ms = limit_ms

    def attach(self, database: apsw.Connection) -> None:
        self.limit_ms, limit_ms = self._limit_of_calls_ms, self.limit_ms
        super().attach(database)
        self.limit_ms = limit_ms  # Of migrations: they are tried only with more than none.

        def now() -> datetime:
            time_us = database.execute(_NEWEST).get
            return _EPOCH + timedelta(microseconds=time_us or 0)

        self._runner.now = now  # type: ignore[method-assign]


class _Proposing:
    """A process whose migrations are proposed, and now and then once more: that does nothing (S6).

    Rule: it is looked at here once more that whoever is linked states code that can follow.
    """

    def __init__(self, host: MigratingHost) -> None:
        self._host = host

    @property
    def replica(self) -> Replica:
        return self._host.replica

    @property
    def journal(self) -> SqliteJournal:
        return self._host.journal

    def take(self, event: Event) -> None:
        assert isinstance(event, RequestArrived)
        self._check_that_all_can_follow(event)
        self._host.take(event)
        self._host.twice(lambda: self._propose_again(event))

    def _check_that_all_can_follow(self, event: RequestArrived) -> None:
        migration, version = migration_of(event.request[0]), self.journal.version
        assert migration is not None
        for name, code in self.replica.condition().codes.items():
            if not code.makes(*migration, version):
                method = called(unpacked(event.operations)[0]).method
                raise SimulationFailure(
                    "safety", f"{method} is proposed, and {name} states that it cannot follow"
                )

    def _propose_again(self, event: RequestArrived) -> None:
        """As somebody does who does not know what came of the first."""
        number = max(self._host.journal.tip.action_id, event.request[1]) + 1
        self._host.take(event._replace(request=(event.request[0], number)))

    def info(self, what: str, **details: object) -> None:
        self._host.say(what, details)

    error = info


class ServiceWorkload(Workload):
    """One class, in the world of one seed."""

    keeps_whole = True
    haste = 2.5

    def __init__(
        self,
        description: Description | ServedServices,
        script: CallScript,
        model: ModelMaker | None,
        seed: int,
        *,
        releases: Sequence[Description | ServedServices] = (),
        looks_at_order: bool = True,
        limit_ms: float = LIMIT_MS,
    ) -> None:
        """`releases` is what servers are given, one after the other; the last one is the class itself.

        `looks_at_order`: whether it is seen to that no update goes by the order of rows that has none.
        `limit_ms` is that of a call; 0: none goes on for ever, and to ask for the time is dear.
        """
        self._limit_ms = limit_ms
        self._hesitates_ms = random.Random(f"hesitation of seed {seed}").choice(HESITATES_MS)
        self._description = description
        self._services = ServedServices.of(description)
        self._releases = releases or releases_of(description, model, seed)
        self.releases = len(self._releases)
        self._begins_at = ServedServices.of(self._releases[0]).opening_version
        self._known = KnownVersions(self._services, self._begins_at)
        self._looks_at_order = looks_at_order and isinstance(description, Description)
        self._script = script
        self._model = model
        self._seed = seed
        self._queries: dict[WantedCall, None] = {}
        self.counts: dict[str, MethodCounts] = {}
        """By method, when all was judged."""
        self.newest: deque[str] = deque(maxlen=_CALLS_SHOWN)
        """The newest calls that were acknowledged, and what they came to, in words."""

    def code(self, release: int) -> CodeVersions:
        """Return which versions of the class a release knows."""
        return self._releases[release].code

    def machine(self, release: int = 0) -> ServiceMachine:
        """Return an empty copy."""
        return _MachineOfAWorld(self._releases[release], limit_ms=self._limit_ms)

    def migrations(self, release: int, host: MigratingHost) -> Callable[[], None] | None:
        """Return what production does at every tick."""
        if self.releases == 1:
            return None
        told = _Proposing(host)
        migrations = Migrations(told, self._releases[release], told)
        begins_ms: list[float] = []  # When it might have migrated.

        def tick() -> None:
            """As production's; but who might migrate hesitates, so that others are in sync by then."""
            found = host.replica.next_migrations()
            if not found or found[0][1]:
                begins_ms.clear()
            elif not begins_ms:
                begins_ms.append(host.now_ms())
            if not begins_ms or host.now_ms() - begins_ms[0] >= self._hesitates_ms:
                migrations.tick()

        return tick

    def why_not_opened(self, release: int, journal: SqliteJournal) -> str:
        """Say which service is there that a server with this release does not name: it does not start."""
        known = ServedServices.of(self._releases[release])
        missing = [name for name in self._services.beside if known.find(name) is None]
        there = [name for name in missing if version_of(journal.version, name)]
        is_there = journal.opening is not None and bool(there)
        return f"{there[0]} is there, and is not named" if is_there else ""

    def door(self, release: int, state_version: Callable[[], StateVersion | None]) -> Callable[[Any], None]:
        """Return what production refuses before the rules see it: what the class has not in this version."""
        if self.releases == 1:
            return super().door(release, state_version)
        known = ServedServices.of(self._releases[release])

        def version(service: str) -> int | None:
            led = state_version()
            return None if led is None else version_of(led, service)

        served = {
            name: ServiceObject(
                _NOBODY,
                dict,
                one,
                addresses={},
                entries_at_most=1,
                state_version=partial(version, name),
                service=name,
            )
            for name, one in known.each()
        }

        def look(asked: Any) -> None:
            match asked:
                case RequestArrived(operations=operations):
                    call, kind = called(unpacked(operations)[0]), "update"
                case ReadArrived(query=call):
                    kind = "query"
                case _:
                    return
            service, plain = plain_name(call.method)
            if service not in served:
                if state_version() is None:
                    raise NotPrimary("this server does not lead", primary=None, undecided=True)
                raise InvalidRequest(f"nobody serves {service} yet")
            served[service].bound(plain, kind, call.args, call.kwargs)

        return look

    def is_busy_for_long(self, asked: SimulatedCall, journal: SqliteJournal) -> bool:
        """Whether it is of a service that is to be created: that waits for every server (S6)."""
        call: Called | None = called(asked.operations[0]) if asked.operations else asked.query
        return call is not None and not version_of(journal.version, plain_name(call.method)[0])

    def unmigrated(self, journal: SqliteJournal) -> str:
        """Say which version is missing, unless the class itself has refused to be migrated."""
        if not isinstance(journal.machine, ServiceMachine):
            return ""
        return next(iter(why_unmigrated(self._services, journal)), "")

    def model(self) -> ServiceByItself:
        """Return the service by itself, at its beginning."""
        return ServiceByItself(self._description, self._model, begins_at=self._begins_at)

    def operation(self, chance: random.Random) -> Any:  # noqa: ARG002
        """Nothing is drawn call by call: see `talk`."""
        raise AssertionError("what clients want is what the workload says")

    def query(self, chance: random.Random) -> Any:
        """Draw a query that somebody has asked; None if nobody has asked one."""
        return chance.choice(list(self._queries)).called if self._queries else None

    def talk(self, client: str) -> ServiceTalk:
        """Return what this client does."""
        chance = random.Random(f"calls of {client} of seed {self._seed}")
        whole = self.releases == 1  # Else the version that does a call has its own.
        conversation = Conversation(self._description, self._script, chance, whole=whole)
        return ServiceTalk(conversation, self._note)

    def _note(self, wanted: WantedCall) -> None:
        if not wanted.is_update and len(self._queries) < _QUERIES_KEPT:
            self._queries[wanted] = None

    # -- what is checked -------------------------------------------------------------------------

    def check(self, opening: Position, model: Any, found: Callable[[str], None]) -> CallCheck:
        """Return what checks the records."""
        self.newest.clear()
        return CallCheck(opening, model, found, limits_are_mistakes=True, noted=self._note_acknowledged)

    def _note_acknowledged(self, action_id: int, call: Called, came: CallOutcome) -> None:
        self.newest.append(f"{action_id}. {call_in_words(call)}: {came}")

    def wrong_state(self, model: Any, server: str, journal: SqliteJournal) -> str:
        """Say which table of a copy is not as the class by itself has it."""
        return wrong_rows(model, server, journal)

    def judge(
        self,
        calls: Sequence[HistoryCall],
        copies: Sequence[Copy],
        journals: Sequence[SqliteJournal],
        *,
        fresh_reads: bool,
    ) -> HistoryVerdict:
        """Judge all that clients were told, and the state that is left."""
        told = [self._as_told(call) for call in calls]
        for call in told:
            if call.is_read and isinstance(call.outcome, AnsweredOutcome):
                self._count(0, call.query.called, call.outcome.results[0].value)
        verdict = judge_calls(
            told,
            copies,
            journals,
            self.model(),
            queries=self._queries,
            begin_ns=0,
            fresh_reads=fresh_reads,
            limits_are_mistakes=True,
            noted=self._count,
            order=self._order(),
        )
        refused = tuple(self._refused_for_nothing(told))
        return replace(
            verdict,
            violations=(*verdict.violations, *refused),
            violation_count=verdict.violation_count + len(refused),
        )

    def _order(self) -> OrderCheck | None:
        if not self._looks_at_order or not isinstance(self._description, Description):
            return None
        return OrderCheck(self._description, version_of(self._begins_at, HOME))

    def _refused_for_nothing(self, calls: Sequence[HistoryCall]) -> Iterator[str]:
        """Yield of which calls it was said that the class takes no such, though every version does."""
        for call in calls:
            if not isinstance(call.outcome, RefusedOutcome) or call.outcome.code != InvalidRequest.code:
                continue
            if not call.is_question and self._known.is_taken_by_all(call):
                asked = call_in_words(asked_in(call))
                yield f"{asked} was refused, and every version takes it: {call.client}"

    def _count(self, _action_id: int, call: Called, came: CallOutcome) -> None:
        if self._known.is_known(call.method):
            self.counts.setdefault(call.method, MethodCounts()).add(came.raised)

    def _as_told(self, call: HistoryCall) -> HistoryCall:
        """Return a call as a client of a service sees it: without digests, and with calls that have words."""
        outcome = call.outcome
        if isinstance(outcome, AnsweredOutcome):
            results = tuple(
                one if one.status == CANCELLED else one._replace(value=_value(one.status, one.value))
                for one in outcome.results
            )
            outcome = AnsweredOutcome(outcome.history, results)
        if not call.is_read:
            return self._known.may_settle(replace(call, outcome=outcome))
        return replace(call, query=self._wanted(call.query), outcome=outcome)

    def _wanted(self, query: Called) -> WantedCall:
        return WantedCall(self._known.methods[query.method], query.args, dict(query.kwargs))


def _value(status: str, value: Any) -> CallOutcome:
    """Return what a client was told: of a query, or of an update."""
    if isinstance(value, (Told, Raised)):
        return read_outcome(value)
    return outcome_told(value if status == DONE else (status, value))


class ServiceTalk:
    """What one client does (see `simulator.workload.Talk`)."""

    def __init__(self, conversation: Conversation, note: Callable[[WantedCall], None]) -> None:
        self._conversation = conversation
        self._note = note
        self._method: Method | None = None

    def wanted(self) -> tuple[Any, bool]:
        """Return the next call."""
        wanted = self._conversation.next()
        self._note(wanted)
        self._method = wanted.method
        return (wanted.operation, True) if wanted.is_update else (wanted.called, False)

    def told(self, reply: Any, error: Exception | None) -> None:
        """Hand what came of it to the workload, as the client of a service would."""
        assert self._method is not None
        try:
            self._conversation.returned(_told(self._method, reply, error))
        except Exception as raised:
            self._conversation.raised(raised)


def _told(method: Method, reply: Any, error: Exception | None) -> Any:
    """Return what a client returns of a reply, or raise what it raises."""
    if error is not None:
        raise error
    try:
        match reply:
            case Decided(record=record) if record.cancelled:
                raise Cancelled("it was settled that this never happens")
            case Decided(record=record):
                return method.returned(result_of(unpacked(record.outcomes)[0]))
            case Read(value=Told(value)):
                return method.returned(value)
            case Read(value=Raised() as raised):
                raise raised
    except Raised as raised:
        raise _as_error(method, raised) from None
    except NotPlain as wrong:
        raise AssertionError(f"{method.name} cannot have returned that: {wrong}") from wrong
    raise AssertionError(f"{reply!r} is no answer to a call")


def _as_error(method: Method, raised: Raised) -> Exception:
    try:
        arguments = None if raised.values is None else json.dumps(raised.values)
    except TypeError:
        arguments = None
    told = ServiceError(
        f"{method.name} raised {raised.name}: {raised.words}",
        error=raised.name,
        module=raised.module,
        words=raised.words,
        arguments=arguments,
    )
    return declared_error(told, [method])
