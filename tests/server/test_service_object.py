"""What the object of a service lets in, refuses and answers; the rules are played by the test."""

from __future__ import annotations

from typing import Any

import pytest

import bankrmi
from bankrmi.client import service_requests
from bankrmi.errors import Cancelled, InvalidRequest, NotPrimary, ServiceError
from bankrmi.replication.effects import Decided, NotLeading, Read
from bankrmi.replication.events import Event, OutcomeAsked, ReadArrived, RequestArrived
from bankrmi.replication.record import Position, chained, packed, unpacked
from bankrmi.rmi.objects import Call, begin
from bankrmi.server import service_object
from bankrmi.server.admission import Admission
from bankrmi.server.rates import EntryRates, Rate
from bankrmi.server.service_object import CALL_BYTES, ServiceObject
from bankrmi.server.waiting import WaitingRoom
from bankrmi.service.calls import Called, Raised, called, done, packed_call
from bankrmi.service.declaring import described
from bankrmi.service.machine import Told
from tests.server.test_account import Caller


class Shelf(bankrmi.Service):
    """A service of which nothing is run here."""

    @bankrmi.update
    def put(self, name: str, count: int = 1) -> int:
        """Put some there."""
        raise AssertionError(name, count)

    @bankrmi.query
    def get(self, name: str) -> int:
        """Return how many there are."""
        raise AssertionError(name)


class Desk:
    """The object of a service at a desk: events, and the calls that come."""

    def __init__(self, *, waiting_bytes: int = 1 << 20, rate: int = 0) -> None:
        self.now_ms = 0.0
        self.state_version: int | None = 1  # None: this server does not lead.
        self.was_migrated = False
        self.events: list[Event] = []
        self.read: Read | None = None  # What nothing keeps waiting.
        self.queries: list[Any] = []
        none = Rate(per_caller=0, per_address=0)
        self.room = WaitingRoom(waiting_bytes, slow_ms=400)
        ours = Rate(per_caller=rate, per_address=rate) if rate else none
        admission = Admission(
            self.events.append,
            self._read,
            now_ms=lambda: self.now_ms,
            room=self.room,
            rates=EntryRates(ours, none, full_batch=100),
            operations_per_request=100,
            timeout_ms=1000,
            look_otherwise=lambda: self.was_migrated,
        )
        self.object = ServiceObject(
            admission,
            lambda: {"service": "shelf", "role": "primary"},
            described(Shelf),
            addresses={"s2": "there:1"},
            entries_at_most=100,
            state_version=lambda: self.state_version,
        )

    def _read(self, query: Any, _: object) -> Read | None:
        self.queries.append(query)
        return self.read

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Caller:
        caller = Caller(1)
        begin(self.object, Call(caller, caller.peer, method, args, kwargs))
        return caller

    def asked(self) -> list[Event]:
        events, self.events[:] = list(self.events), []
        return events

    def counted(self) -> dict[tuple[str, str], int]:
        return {what: count for what, count in self.object.figures.by_kind_and_outcome().items() if count}


def decided(event: Event, outcome: Any) -> Decided:
    assert isinstance(event, RequestArrived | OutcomeAsked)
    operations = (
        event.operations if isinstance(event, RequestArrived) else packed_call("put", ["pear", 1], {})
    )
    what = (1, operations, packed([outcome]))
    return Decided("h", chained(Position(6, 0, b""), 1, event.request, what, 1))


def call_of(event: Event) -> Called:
    assert isinstance(event, RequestArrived)
    return called(unpacked(event.operations)[0])


RAISED = Raised("OutOfStock", "shelves", "only 3", ["pear", 3]).outcome()


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "plain"),
    [
        ("put", ("pear",), {}, True),
        ("put", (), {"name": "pear", "count": 1}, True),
        ("update", ("put", ["pear"]), {}, False),
        ("update", ("put", [], {"name": "pear"}, "c:1"), {}, False),
        ("update", (), {"method": "put", "args": ("pear", 1), "request_id": "c:1", "seen": ["h", 3]}, False),
    ],
)
def test_an_update_is_one_operation_with_all_its_arguments(
    method: str, args: tuple[Any, ...], kwargs: dict[str, Any], plain: bool
) -> None:
    desk = Desk()
    caller = desk.call(method, *args, **kwargs)
    [event] = desk.asked()
    assert call_of(event) == Called("put", ["pear", 1], {})
    assert isinstance(event, RequestArrived)
    event.token.reply(decided(event, done(5, b"")))
    [answer] = caller.answers
    if plain:
        assert answer == 5
    else:
        request_id = ":".join(map(str, event.request))
        assert answer == {"value": 5, "action_id": 7, "request_id": request_id, "history": "h"}
    assert desk.counted() == {("update", "done"): 1}
    assert len(desk.room) == 0


def test_a_query_is_answered_at_once_or_when_the_rules_say_so() -> None:
    desk = Desk()
    desk.read = Read("h", 4, Told(7))
    assert desk.call("get", "pear").answers == [7]
    assert desk.call("query", "get", ["pear"]).answers == [{"value": 7, "action_id": 4, "history": "h"}]
    assert desk.queries == [Called("get", ["pear"], {})] * 2
    desk.read = None
    caller = desk.call("get", name="pear")
    [event] = desk.asked()
    assert isinstance(event, ReadArrived)
    event.token.reply(Read("h", 5, Raised("KeyError", "builtins", "'pear'", ["pear"])))
    [error] = caller.answers
    assert isinstance(error, ServiceError)
    assert error.message == "get raised KeyError: 'pear'"
    assert desk.counted() == {("query", "done"): 2, ("query", "service_error"): 1}


def test_an_exception_is_told_with_its_class_and_its_place() -> None:
    desk = Desk()
    caller = desk.call("update", "put", ["pear", 1], None, "c:1")
    [event] = desk.asked()
    event.token.reply(decided(event, RAISED))  # type: ignore[union-attr]
    [error] = caller.answers
    assert isinstance(error, ServiceError)
    assert (error.message, error.happened) == ("put raised OutOfStock: only 3", False)
    assert error.details == {
        "error": "OutOfStock",
        "module": "shelves",
        "words": "only 3",
        "arguments": '["pear", 3]',
        "action_id": 7,
        "request_id": "c:1",
        "history": "h",
    }


@pytest.mark.parametrize("values", [None, [b"bytes"], ["x" * 1000]])
def test_arguments_that_cannot_be_told_are_left_out(values: list[Any] | None) -> None:
    desk = Desk()
    caller = desk.call("put", "pear")
    [event] = desk.asked()
    raised = Raised("OutOfStock", "shelves", "", values)
    event.token.reply(decided(event, raised.outcome()))  # type: ignore[union-attr]
    [error] = caller.answers
    assert (error.message, error.arguments) == ("put raised OutOfStock", None)


def test_an_outcome_is_told_like_the_call_itself_and_a_cancelled_one_as_such() -> None:
    desk = Desk()
    for outcome, kind in ((done(5, b""), dict), (RAISED, ServiceError)):
        caller = desk.call("outcome", "c:1")
        [event] = desk.asked()
        event.token.reply(decided(event, outcome))  # type: ignore[union-attr]
        assert isinstance(caller.answers[0], kind)
    caller = desk.call("outcome", "c:2")
    [event] = desk.asked()
    assert isinstance(event, OutcomeAsked)
    event.token.reply(Decided("h", chained(Position(6, 0, b""), 1, event.request, (1, b"", b""), 1)))
    assert isinstance(caller.answers[0], Cancelled)


def test_who_does_not_lead_says_who_does() -> None:
    desk = Desk()
    caller = desk.call("put", "pear")
    [event] = desk.asked()
    event.token.reply(NotLeading("s2"))  # type: ignore[union-attr]
    [error] = caller.answers
    assert isinstance(error, NotPrimary)
    assert error.address == "there:1"


@pytest.mark.parametrize(
    ("method", "args", "why"),
    [
        ("put", (5,), "put takes no such name: 5"),
        ("put", (), "put does not take these arguments"),
        ("update", ("get", ["pear"]), "Shelf.get is of the kind query: ask for it by query"),
        ("query", ("put", ["pear"]), "Shelf.put is of the kind update: ask for it by update"),
        ("update", ("pout",), "Shelf has no method 'pout': there are get, put"),
        ("update", (["put"],), "Shelf has no method"),
        ("update", ("put", "pear"), "the arguments of a method are a list, not a str"),
        ("update", ("put", [], {1: 2}), "the arguments by name are a dict, and their names are text"),
        ("update", ("put", [], ["pear"]), "the arguments by name are a dict, and their names are text"),
        ("update", ("put", ["pear"], {}, "c"), "not a request id: 'c'"),
        ("update", ("put", ["pear"], {}, "c:1", 7), "`seen` is"),
        ("update", (), "update does not take these arguments"),
        ("update", ("put", ["x" * CALL_BYTES]), f"at most {CALL_BYTES} are taken"),
        ("query", ("get", ["x" * CALL_BYTES]), f"at most {CALL_BYTES} are taken"),
        ("outcome", ("c",), "not a request id: 'c'"),
    ],
)
def test_what_is_malformed_never_reaches_the_rules(method: str, args: tuple[Any, ...], why: str) -> None:
    desk = Desk()
    [error] = desk.call(method, *args).answers
    assert isinstance(error, InvalidRequest)
    assert why in error.message
    assert (desk.asked(), desk.queries, len(desk.room)) == ([], [], 0)
    assert list(desk.counted().values()) == [1]


def test_what_is_refused_under_an_id_of_the_callers_is_settled() -> None:
    """It may have been done by the version before, and its caller gets an answer for good."""
    desk = Desk()
    caller = desk.call("update", "pout", [], {}, "c:1")
    [event] = desk.asked()
    assert isinstance(event, OutcomeAsked)
    assert event.request == ("c", 1)
    event.token.reply(Decided("h", chained(Position(6, 0, b""), 1, event.request, (1, b"", b""), 1)))
    [error] = caller.answers
    assert isinstance(error, InvalidRequest)
    assert "Shelf has no method 'pout'" in error.message
    assert error.details["request_id"] == "c:1"


@pytest.mark.parametrize("migrated", [True, False])
def test_what_was_done_before_the_class_was_changed_is_told(migrated: bool) -> None:
    desk = Desk()
    desk.was_migrated = migrated
    caller = desk.call("update", "put", ["pear", "as many as there are"], {}, "c:1")
    [event] = desk.asked()
    event.token.reply(decided(event, done(5, b"")))  # type: ignore[union-attr]
    [answer] = caller.answers
    if migrated:
        assert answer == {"value": 5, "action_id": 7, "request_id": "c:1", "history": "h"}
    else:
        assert isinstance(answer, InvalidRequest), "it was done for other arguments"
    assert len(desk.room) == 0


def test_who_does_not_lead_says_that_it_has_not_looked() -> None:
    desk = Desk()
    desk.state_version = None
    [error] = desk.call("update", "pout", [], {}, "c:1").answers
    assert isinstance(error, NotPrimary)
    assert error.details["undecided"] is True


def test_a_retry_joins_what_waits_and_another_call_under_its_id_does_not() -> None:
    desk = Desk()
    first, again = (desk.call("update", "put", ["pear"], {}, "c:1") for _ in range(2))
    [refused] = desk.call("update", "put", ["pear", 2], {}, "c:1").answers
    assert isinstance(refused, InvalidRequest)
    [event] = desk.asked()
    event.token.reply(decided(event, done(1, b"")))  # type: ignore[union-attr]
    assert first.answers == again.answers != []


def test_a_long_call_costs_what_it_takes() -> None:
    desk = Desk(waiting_bytes=200_000)
    desk.call("put", "x" * 100_000)
    assert desk.room.held_bytes > 100_000
    [busy] = desk.call("put", "y" * 100_000).answers
    assert busy.code == "busy"
    desk.call("get", "y" * 50_000)
    assert desk.room.held_bytes > 150_000


def test_a_long_call_counts_as_several_entries() -> None:
    short, long = Desk(rate=1000), Desk(rate=1000)

    def turned_away(desk: Desk, name: str) -> bool:
        return any(error.code == "busy" for error in desk.call("put", name).answers)

    assert not any(turned_away(short, "x") for _ in range(200))
    assert any(turned_away(long, "x" * 20_000) for _ in range(200))


def test_what_is_not_exposed_is_not_called() -> None:
    desk = Desk()
    for name in ("create", "db", "__init__", "_given", "withdraw"):
        [error] = desk.call(name).answers
        assert error.class_name == "builtins.AttributeError"
    assert desk.call("__getattr__", "service").answers == ["shelf"]
    assert desk.call("status").answers == [{"service": "shelf", "role": "primary"}]


def test_both_sides_mean_the_same_bounds() -> None:
    assert service_requests.CALL_BYTES == service_object.CALL_BYTES
