"""What the account object lets in, joins, refuses and forgets; the rules are played by the test."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from bankrmi.bank.forms import form_of, packed_operations
from bankrmi.bank.operations import LARGEST, Deposit, Operation, Transfer, Withdraw
from bankrmi.bank.statements import LOOKING_MS, StatementPage
from bankrmi.client.attempts import LATEST_SHARE
from bankrmi.errors import Busy, Cancelled, InDoubt, InvalidRequest, NotPrimary
from bankrmi.replication.effects import (
    Decided,
    IsBusy,
    IsForgotten,
    IsStale,
    NotLeading,
    NotYet,
    Read,
)
from bankrmi.replication.events import (
    CallersGone,
    Event,
    OutcomeAsked,
    Overdue,
    ReadArrived,
    RequestArrived,
)
from bankrmi.replication.record import Position, chained, packed, unpacked
from bankrmi.rmi import LongAnswer, objects
from bankrmi.rmi.complaints import Complaints
from bankrmi.rmi.failures import read_error
from bankrmi.rmi.objects import Call, Peer, PlainObject, begin
from bankrmi.server import account, request_lines
from bankrmi.server.account import AccountObject
from bankrmi.server.admission import LOOK_MS, Admission
from bankrmi.server.rates import EntryRates, Rate
from bankrmi.server.request_lines import SLOW_S
from bankrmi.server.waiting import OVERDUE_SHARE, WaitingRoom, cost_of

BATCH = 100


class Caller:
    """A connection; remembers what it was answered."""

    def __init__(self, port: int = 1, *, ours: bool = True) -> None:
        self.peer = Peer(address=f"127.0.0.1:{port}", protocol=int(ours))
        self.lost = False
        self.waited_ms = 0.0
        self.waits_for_turn = False
        self.turns: list[Callable[[], None]] = []
        self.answers: list[Any] = []

    @property
    def connection(self) -> Caller:
        return self

    def in_turn(self, work: Callable[[], None]) -> None:
        if self.waits_for_turn:
            self.turns.append(work)
        else:
            work()

    def charge(self, ms: float) -> None:
        """Nothing is owed here."""

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        if isinstance(value, LongAnswer):
            whole, done = {**value.head, value.key: value.make(0, value.count)}, value.done
            value = whole
            if done is not None:
                done()
        self.answers.append(read_error(value) if is_error else value)


class Counter:
    """An account object at a counter: events, time, and the calls that come."""

    def __init__(self, *, waiting_bytes: int = 1 << 20, stranger_rate: int = 0) -> None:
        self.now_ms = 0.0
        self.events: list[Event] = []
        self.read: Read | None = None  # What nothing keeps waiting.
        self.journal: Any = None  # What statements are made of.
        none = Rate(per_caller=0, per_address=0)
        self.room = WaitingRoom(waiting_bytes, slow_ms=400)
        self.admission = Admission(
            self.events.append,
            lambda query, seen: self.read,
            now_ms=lambda: self.now_ms,
            room=self.room,
            rates=EntryRates(
                none, Rate(per_caller=stranger_rate, per_address=2 * stranger_rate), full_batch=BATCH
            ),
            operations_per_request=BATCH,
            timeout_ms=1000,
        )
        self.account = AccountObject(
            self.admission,
            dict,
            addresses={"s2": "there:1"},
            operations_per_request=BATCH,
            journal=lambda: self.journal,
        )

    def call(self, caller: Caller, method: str, *args: Any) -> Call:
        call = Call(caller, caller.peer, method, args, {})
        begin(self.account, call)
        return call

    def asked(self) -> list[Event]:
        events, self.events[:] = list(self.events), []
        return events


def decided(event: Event, status: str = "done", operations: int = BATCH) -> Decided:
    assert isinstance(event, RequestArrived | OutcomeAsked)
    if isinstance(event, RequestArrived):
        operations, done = event.operation_count, event.operations
    else:
        done = packed([form_of(Deposit(1, 1))] * operations)
    what = (operations, done, packed([5 if status == "done" else (status, 5)] * operations))
    return Decided("h", chained(Position(0, 0, b""), 1, event.request, what, 1))


def batch(operations: int = BATCH) -> list[list[Any]]:
    return [["withdraw", 1, 1]] * operations


def test_a_retry_joins_what_is_queued_and_both_get_the_answer() -> None:
    counter, one, other = Counter(), Caller(1), Caller(2)
    counter.call(one, "withdraw", 1, 10, "c:1")
    counter.call(other, "withdraw", 1, 10, "c:1")
    [event] = counter.asked()
    event.token.reply(decided(event))  # type: ignore[union-attr]
    assert one.answers == other.answers
    assert one.answers[0]["balance"] == 5
    assert len(counter.room) == 0


def test_a_retry_in_another_form_is_answered_in_its_own() -> None:
    counter, one, other = Counter(), Caller(1), Caller(2)
    counter.call(one, "withdraw", 1, 10, "c:1")
    counter.call(other, "submit", [["withdraw", 1, 10]], "c:1")
    [event] = counter.asked()
    event.token.reply(decided(event))  # type: ignore[union-attr]
    assert one.answers[0]["balance"] == 5
    assert other.answers[0]["results"] == [{"account": 1, "balance": 5, "action_id": 1}]


def test_another_operation_under_an_id_that_waits_is_refused() -> None:
    counter, one, other = Counter(), Caller(1), Caller(2)
    counter.call(one, "withdraw", 1, 10, "c:1")
    counter.call(other, "withdraw", 1, 11, "c:1")
    assert len(counter.asked()) == 1
    [error] = other.answers
    assert isinstance(error, InvalidRequest)
    assert error.request_id == "c:1"


def test_an_outcome_does_not_join_the_request_but_another_outcome_does() -> None:
    counter = Counter()
    for number, method in enumerate(["withdraw", "outcome", "outcome"]):
        args = (1, 10, "c:1") if method == "withdraw" else ("c:1",)
        counter.call(Caller(number), method, *args)
    assert [type(event) for event in counter.asked()] == [RequestArrived, OutcomeAsked]


def test_over_the_budget_callers_are_told_busy_at_once_and_later_there_is_room_again() -> None:
    counter, caller = Counter(waiting_bytes=2 * cost_of(BATCH)), Caller()
    for number in (1, 2):
        counter.call(Caller(number), "submit", batch(), f"s{number}:1")
    events = counter.asked()
    counter.call(caller, "submit", batch(), "c:1")
    counter.call(caller, "balance", 1)
    assert [type(error) for error in caller.answers] == [Busy, Busy]
    assert caller.answers[0].happened is False
    assert caller.answers[0].retry_ms > 0
    assert counter.asked() == []
    for event in events:
        event.token.reply(decided(event))  # type: ignore[union-attr]
    counter.call(caller, "submit", batch(), "c:1")
    assert len(counter.asked()) == 1


def test_a_retry_of_what_waits_is_never_told_busy() -> None:
    """It was taken: to say that it was not would not be true."""
    counter, one, other = Counter(waiting_bytes=cost_of(BATCH)), Caller(1), Caller(2)
    counter.call(one, "submit", batch(), "c:1")
    counter.call(other, "submit", batch(), "c:1")
    assert other.answers == []


def test_busy_costs_next_to_nothing() -> None:
    """Overload is told before the operations are looked at."""
    counter, caller = Counter(waiting_bytes=cost_of(1)), Caller()
    counter.call(caller, "submit", ["nonsense"] * BATCH, "c:1")
    assert isinstance(caller.answers[0], Busy)


def test_what_the_rules_have_too_much_of_is_told_busy_too() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "balance", 1)
    [event] = counter.asked()
    event.token.reply(IsBusy())  # type: ignore[union-attr]
    assert isinstance(caller.answers[0], Busy)


def test_what_has_waited_too_long_is_in_doubt_and_leaves_the_queue() -> None:
    counter, caller, reader = Counter(), Caller(1), Caller(2)
    counter.call(caller, "withdraw", 1, 10, "c:1")
    counter.call(reader, "balance", 1)
    events = counter.asked()
    counter.now_ms = 1000
    counter.admission.give_up_overdue()
    assert counter.asked() == [CallersGone(frozenset(event.token for event in events))]  # type: ignore[union-attr]
    [error] = caller.answers
    assert isinstance(error, InDoubt)
    assert isinstance(reader.answers[0], NotPrimary)
    assert counter.room.held_bytes == 0
    events[0].token.reply(decided(events[0]))  # type: ignore[union-attr]
    assert len(caller.answers) == 1, "answered twice"


def test_what_has_waited_for_half_of_its_time_is_turned_away_if_it_is_not_decided() -> None:
    counter, early, late = Counter(), Caller(1), Caller(2)
    counter.call(early, "withdraw", 1, 10, "c:1")
    first, *_ = counter.asked()
    counter.now_ms = 100
    counter.call(late, "withdraw", 1, 10, "d:1")
    counter.asked()
    counter.now_ms = OVERDUE_SHARE * 1000 - 1
    counter.admission.give_up_overdue()
    assert counter.asked() == []
    counter.now_ms = OVERDUE_SHARE * 1000 + LOOK_MS - 1
    counter.admission.give_up_overdue()
    assert counter.asked() == [Overdue(frozenset({first.token}))]  # type: ignore[union-attr]
    assert early.answers == [], "only the rules know whether it is decided"
    first.token.reply(IsBusy())  # type: ignore[union-attr]
    assert isinstance(early.answers[0], Busy)


@pytest.mark.parametrize("ours", [True, False], ids=["of ours", "a stranger's"])
def test_the_time_until_a_message_is_read_counts_for_ours(ours: bool) -> None:
    """A stranger waits for his share; his time begins when he is let in."""
    counter, caller, other = Counter(), Caller(1, ours=ours), Caller(2, ours=ours)
    caller.waited_ms = 300.0
    counter.call(caller, "withdraw", 1, 10, "c:1")
    [event] = counter.asked()
    counter.now_ms = 201
    counter.admission.give_up_overdue()
    assert counter.asked() == ([Overdue(frozenset({event.token}))] if ours else [])  # type: ignore[union-attr]
    other.waited_ms = 800.0
    counter.call(other, "withdraw", 1, 10, "c:1")
    counter.now_ms = 402
    counter.admission.give_up_overdue()
    assert [type(error) for error in other.answers] == ([InDoubt] if ours else [])


@pytest.mark.parametrize("ours", [True, False], ids=["of ours", "a stranger's"])
def test_who_has_waited_to_be_read_is_not_let_in_to_wait_for_too_long(ours: bool) -> None:
    """One call takes 100 ms here, and one waits; 400 may pass until it is decided."""
    counter = Counter()
    for number in range(17):
        counter.call(Caller(number), "withdraw", 1, 10, f"s{number}:1")
    for event in counter.asked()[:16]:
        counter.now_ms += 100
        event.token.reply(decided(event, operations=1))  # type: ignore[union-attr]
    for number, (waited_ms, is_let_in) in enumerate([(100.0, True), (250.0, not ours)]):
        caller = Caller(9, ours=ours)
        caller.waited_ms = waited_ms
        counter.call(caller, "withdraw", 1, 10, f"c{number}:1")
        assert (caller.answers == []) is is_let_in


def test_what_is_sent_as_late_as_may_be_is_turned_away_before_its_time_is_over() -> None:
    """Or it would end in doubt."""
    assert LATEST_SHARE + OVERDUE_SHARE < 1


def test_who_is_gone_is_not_decided() -> None:
    counter, caller, other = Counter(), Caller(1), Caller(2)
    counter.call(caller, "withdraw", 1, 10, "c:1")
    counter.call(other, "withdraw", 1, 10, "d:1")
    lost, _ = counter.asked()
    caller.lost = True
    counter.admission.give_up_overdue()
    assert counter.asked() == [CallersGone(frozenset({lost.token}))]  # type: ignore[union-attr]


def test_an_answer_for_a_lost_connection_is_never_built() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "outcome", "c:1")
    [event] = counter.asked()
    caller.lost = True
    record = decided(event, operations=1).record
    event.token.reply(Decided("h", record._replace(outcomes=b"none at all")))  # type: ignore[union-attr]


def test_what_an_answer_holds_is_counted_until_it_is_made() -> None:
    counter, caller, other = Counter(waiting_bytes=cost_of(BATCH)), Caller(1), Caller(2)
    caller.waits_for_turn = True
    counter.call(caller, "submit", batch(), "c:1")
    [event] = counter.asked()
    event.token.reply(decided(event))  # type: ignore[union-attr]
    assert counter.room.held_bytes == cost_of(BATCH)
    counter.call(other, "balance", 1)
    assert isinstance(other.answers[0], Busy)
    caller.turns.pop()()
    assert caller.answers[0]["results"][-1] == {"account": 1, "balance": 5, "action_id": BATCH}
    assert counter.room.held_bytes == 0


def test_an_answer_whose_turn_does_not_come_in_time_is_in_doubt_and_nothing_is_kept_of_it() -> None:
    counter, caller, gone = Counter(), Caller(1), Caller(2)
    for number, one in enumerate((caller, gone)):
        one.waits_for_turn = True
        counter.call(one, "submit", batch(), f"c{number}:1")
    for event in counter.asked():
        event.token.reply(decided(event))  # type: ignore[union-attr]
    gone.lost = True
    counter.now_ms = LOOK_MS
    counter.admission.give_up_overdue()
    assert counter.room.held_bytes == cost_of(BATCH), "nobody keeps an answer for whoever is gone"
    counter.now_ms = 1000
    counter.admission.give_up_overdue()
    assert counter.room.held_bytes == 0
    for one in (caller, gone):
        one.turns.pop()()
    [error] = caller.answers
    assert isinstance(error, InDoubt)
    assert error.request_id == "c0:1"


def test_outcomes_are_looked_up_as_far_as_what_they_bring_back_has_room() -> None:
    """Each may be as large as a request can be; what it is, is known only when it was read."""
    counter = Counter(waiting_bytes=8 * cost_of(BATCH))
    callers = [Caller(number) for number in range(5)]
    for number, caller in enumerate(callers):
        caller.waits_for_turn = True
        counter.call(caller, "outcome", f"c{number}:1")
    first, second = counter.asked()
    assert first.token.cost == cost_of(0), "whoever waits costs no more than a question"  # type: ignore[union-attr]
    first.token.reply(decided(first))  # type: ignore[union-attr]
    assert counter.asked() == [], "what it brought back is still here"
    callers[0].turns.pop()()
    [third] = counter.asked()
    second.token.reply(NotLeading(None))  # type: ignore[union-attr]
    [fourth] = counter.asked()
    third.token.reply(decided(third, operations=1))  # type: ignore[union-attr]
    [_] = counter.asked()
    callers[3].lost = True
    counter.now_ms = LOOK_MS
    counter.admission.give_up_overdue()
    assert counter.asked() == [CallersGone(frozenset({fourth.token}))]  # type: ignore[union-attr]
    counter.call(Caller(9), "outcome", "d:1")
    assert len(counter.asked()) == 1


def test_an_outcome_is_not_looked_up_for_whoever_is_gone_by_then() -> None:
    counter = Counter(waiting_bytes=cost_of(BATCH))
    callers = [Caller(number) for number in range(3)]
    for number, caller in enumerate(callers):
        counter.call(caller, "outcome", f"c{number}:1")
    [first] = counter.asked()
    callers[1].lost = True
    first.token.reply(NotLeading(None))  # type: ignore[union-attr]
    [third] = counter.asked()
    assert isinstance(third, OutcomeAsked)
    assert third.request == ("c2", 1)
    assert counter.room.held_bytes == cost_of(0)


def test_who_is_turned_away_or_given_up_is_told_in_the_order_in_which_he_came() -> None:
    """Requests, which the rules turn away in their order, and outcomes, which were not looked up yet."""
    told: list[int] = []

    class Told(Caller):
        def answered(self, call: Call, value: object, *, is_error: bool) -> None:
            super().answered(call, value, is_error=is_error)
            told.append(int(self.peer.address.partition(":")[2]))

    counter = Counter(waiting_bytes=8 * cost_of(BATCH))
    for number in range(40):
        ask = ("withdraw", 1, 1, f"c{number}:1") if number % 3 else ("outcome", f"c{number}:1")
        counter.call(Told(number), *ask)
    queue = [event.token for event in counter.asked()]  # type: ignore[union-attr]

    def rules(event: Event) -> None:
        if isinstance(event, Overdue):
            for token in [token for token in queue if token in event.tokens]:
                token.reply(IsBusy())
        elif isinstance(event, RequestArrived | OutcomeAsked):
            queue.append(event.token)

    counter.admission._take = rules
    counter.now_ms = OVERDUE_SHARE * 1000
    counter.admission.give_up_overdue()
    assert told == sorted(told)
    assert len(told) == 40
    told.clear()
    for number in range(20):
        counter.call(Told(number), "submit", batch(1), f"d{number}:1")
    counter.now_ms += 1000
    counter.admission.give_up_overdue()
    assert told == list(range(20))


def test_an_outcome_that_was_not_looked_up_for_half_of_its_time_is_turned_away() -> None:
    counter, callers = Counter(waiting_bytes=cost_of(BATCH)), [Caller(1), Caller(2)]
    for number, caller in enumerate(callers):
        counter.call(caller, "outcome", f"c{number}:1")
    [event] = counter.asked()
    counter.now_ms = OVERDUE_SHARE * 1000
    counter.admission.give_up_overdue()
    assert counter.asked() == [Overdue(frozenset({event.token}))]  # type: ignore[union-attr]
    assert isinstance(callers[1].answers[0], Busy)
    assert callers[0].answers == []


@pytest.mark.parametrize("status", ["done", "insufficient"])
def test_a_long_answer_costs_no_more_than_is_counted_while_it_waits(status: str) -> None:
    operations, many = 8192, 3
    counter = Counter(waiting_bytes=1 << 30)
    counter.account._at_most = operations
    callers = [Caller(number) for number in range(many)]
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number, caller in enumerate(callers):
            caller.waits_for_turn = True
            work = [["withdraw", LARGEST - n, LARGEST] for n in range(operations)]
            counter.call(caller, "submit", work, f"c{number}:1")
            del work
            [event] = counter.asked()
            event.token.reply(decided(event, status))  # type: ignore[union-attr]
            del event
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counter.room.held_bytes == many * cost_of(operations)
    assert (after - before) / many < cost_of(operations)


def test_strangers_may_add_less_and_are_told_when_to_come_again() -> None:
    counter, stranger, ours = Counter(stranger_rate=1000), Caller(1, ours=False), Caller(2)
    for number in range(3):
        counter.call(stranger, "submit", batch(), f"c:{number + 1}")
        counter.call(ours, "submit", batch(), f"d:{number + 1}")
    assert len(counter.asked()) == 5
    [error] = stranger.answers
    assert isinstance(error, Busy)
    assert error.retry_ms == 100
    counter.now_ms = 100
    counter.call(stranger, "submit", batch(), "c:3")
    counter.call(stranger, "balance", 1)
    assert len(counter.asked()) == 2


def test_a_retry_does_not_count_as_growth() -> None:
    counter = Counter(stranger_rate=1000)
    for number in range(10):
        counter.call(Caller(number, ours=False), "submit", batch(), "c:1")
    assert len(counter.asked()) == 1


@pytest.mark.parametrize("operations", [0, 1, 8192])
def test_what_waits_costs_no_more_than_is_counted(operations: int) -> None:
    """Measured: the longest operations there are, the longest request id, and what is left of the call."""
    many = 20 if operations > 1 else 500
    counter = Counter(waiting_bytes=1 << 30)
    counter.account._at_most = 8192
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = []
        for number in range(many):
            caller = Caller(number)
            session = f"{number:0>64}"
            if operations:
                work = [["withdraw", LARGEST - n, LARGEST] for n in range(operations)]
                kept.append(counter.call(caller, "submit", work, f"{session}:1", ["h" * 16, number]))
                del work
            else:
                kept.append(counter.call(caller, "balance", number, ["h" * 16, number]))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(counter.asked()) == many
    assert (after - before) / many < cost_of(operations)


def test_a_read_is_answered() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "balance", 1)
    [event] = counter.asked()
    event.token.reply(Read("h", 3, 7))  # type: ignore[union-attr]
    assert caller.answers == [{"account": 1, "balance": 7, "action_id": 3, "history": "h"}]


def test_a_batch_is_packed_as_its_operations_are_one_by_one() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "submit", [["withdraw", 1, 10], ("deposit", LARGEST, 0)], "c:1")
    [event] = counter.asked()
    assert isinstance(event, RequestArrived)
    assert event.operations == packed([form_of(Withdraw(1, 10)), form_of(Deposit(LARGEST, 0))])
    assert event.operation_count == 2
    for wrong in (
        ["take", 1, 1],
        ["withdraw", True, 1],
        ["withdraw", 1, -1],
        ["withdraw", 1],
        "abc",
        [[], 1, 1],
    ):
        counter.call(caller, "submit", [wrong], "c:2")
        assert isinstance(caller.answers[-1], InvalidRequest), wrong


def test_a_packed_batch_is_journalled_as_it_is_and_answered_so_at_once() -> None:
    counter, caller, other = Counter(), Caller(1), Caller(2)
    operations = packed_operations([Withdraw(1, 10), Deposit(LARGEST, 0)] * (BATCH // 2))
    counter.call(caller, "submit", operations, "c:1")
    counter.call(other, "submit", [["withdraw", 1, 10], ["deposit", LARGEST, 0]] * (BATCH // 2), "c:1")
    [event] = counter.asked()
    assert isinstance(event, RequestArrived)
    assert (event.operations, event.operation_count) == (operations, BATCH)
    event.token.reply(decided(event))
    assert caller.answers == [
        {"request_id": "c:1", "history": "h", "action_id": BATCH, "outcomes": packed([5] * BATCH)}
    ]
    assert [result["balance"] for result in other.answers[0]["results"]] == [5] * BATCH
    assert len(counter.room) == 0
    assert counter.room.held_bytes == 0


def test_more_packed_operations_than_may_be_are_not_even_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of a megabyte has room for 260 000; they took 40 ms."""
    looked_at: list[bytes] = []
    monkeypatch.setattr(account, "look_at", looked_at.append)
    counter, caller = Counter(), Caller()
    counter.call(caller, "submit", packed([(0, 1, 1)] * 260_000), "c:1")
    assert isinstance(caller.answers[0], InvalidRequest)
    assert "260000 operations are too many" in str(caller.answers[0])
    assert not looked_at


def moved(event: Event, *outcomes: Any) -> Decided:
    """Return what was decided, by outcomes as a journal keeps them."""
    assert isinstance(event, RequestArrived)
    what = (event.operation_count, event.operations, packed(outcomes))
    return Decided("h", chained(Position(0, 0, b""), 1, event.request, what, 1))


DONE = ("done", 90, 90, 40)
DECLINED = ("too_large", None, 90, LARGEST)


def test_a_transfer_is_answered_with_what_the_payer_has() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "transfer", 1, 2, 10, "c:1")
    [event] = counter.asked()
    assert isinstance(event, RequestArrived)
    assert event.operations == packed([form_of(Transfer(1, 2, 10))])
    event.token.reply(moved(event, DONE))
    assert caller.answers == [
        {"account": 1, "balance": 90, "action_id": 1, "request_id": "c:1", "history": "h"}
    ]
    counter.call(caller, "transfer", 1, 2, 10, "c:2")
    [event] = counter.asked()
    event.token.reply(moved(event, DECLINED))  # type: ignore[union-attr]
    error = caller.answers[-1]
    assert (error.code, error.account, error.to, error.balance) == ("balance_too_large", 2, 2, None)
    assert counted(counter) == {("transfer", "done"): 1, ("transfer", "balance_too_large"): 1}


@pytest.mark.parametrize("args", [(1, 1, 5), (1, 2, -5), (1, 2), (1, "2", 5), (1, 2, 5, "no id")])
def test_a_transfer_that_cannot_be_one_is_refused_at_the_door(args: tuple[Any, ...]) -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "transfer", *args)
    assert isinstance(caller.answers[0], InvalidRequest)
    assert not counter.asked()


def test_what_a_payee_has_is_told_in_no_form_of_an_answer() -> None:
    """Packed, in a list, asked for again as an outcome."""
    counter, callers = Counter(), [Caller(number) for number in range(3)]
    operations: list[Operation] = [Withdraw(1, 10), Transfer(1, 2, 10), Transfer(1, 3, 10)]
    counter.call(callers[0], "submit", packed_operations(operations), "c:1")
    counter.call(callers[1], "submit", [one.to_wire() for one in operations], "c:1")
    [event] = counter.asked()
    event.token.reply(moved(event, 100, DONE, DECLINED))  # type: ignore[union-attr]
    counter.call(callers[2], "outcome", "c:1")
    [asked] = counter.asked()
    asked.token.reply(moved(event, 100, DONE, DECLINED))  # type: ignore[union-attr]
    assert unpacked(callers[0].answers[0]["outcomes"]) == (100, 90, ("too_large", None, 3))
    for caller in callers[1:]:
        first, second, third = caller.answers[0]["results"]
        assert first == {"account": 1, "balance": 100, "action_id": 1}
        assert second == {"account": 1, "balance": 90, "action_id": 2}
        assert (third["code"], third["account"], third["balance"]) == ("balance_too_large", 3, None)
    assert "40" not in repr([caller.answers for caller in callers])


def test_a_total_and_a_statement_are_answered_as_reads() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "total")
    [event] = counter.asked()
    event.token.reply(Read("h", 7, 3 * LARGEST))  # type: ignore[union-attr]
    assert caller.answers[-1] == {"total": str(3 * LARGEST), "action_id": 7, "history": "h"}
    counter.call(caller, "statement", 1, 2)
    [event] = counter.asked()
    assert isinstance(event, ReadArrived)
    assert (event.query.account, event.query.since) == (1, 2)
    event.token.reply(Read("h", 7, StatementPage([], 6, 4, None)))
    assert caller.answers[-1] == {
        "account": 1, "balance": None, "entries": [], "through": 6, "begins_after": 4,
        "action_id": 7, "history": "h",
    }  # fmt: skip
    for args in ((1, -1), (1, 0, 501), ("1",), (), (1, 0, 1, "seen")):
        counter.call(caller, "statement", *args)
        assert isinstance(caller.answers[-1], InvalidRequest), args
    assert counted(counter)["statement", "done"] == counted(counter)["total", "done"] == 1


def test_a_statement_is_charged_if_it_is_made_outside_of_its_callers_turn() -> None:
    counter, caller = Counter(), Charged()
    counter.call(caller, "balance", 1)
    assert caller.charged_ms == 0
    counter.call(caller, "statement", 1)
    assert caller.charged_ms == LOOKING_MS
    counter.read = Read("h", 7, StatementPage([], 6, 4, None))
    counter.call(caller, "statement", 1)
    assert caller.charged_ms == LOOKING_MS


class Charged(Caller):
    """A connection that adds up what is owed."""

    charged_ms = 0.0

    def charge(self, ms: float) -> None:
        self.charged_ms += ms


def test_what_a_member_could_not_read_is_refused_and_is_no_word_of_the_journal() -> None:
    """So a client that has sent it elsewhere, too, does not take it for the end."""
    counter, caller = Counter(), Caller()
    counter.call(caller, "transfer", 1, 2, 10, "c:1")
    [event] = counter.asked()
    event.token.reply(NotYet("s2 is old: upgrade it first"))  # type: ignore[union-attr]
    assert isinstance(caller.answers[0], InvalidRequest)
    assert caller.answers[0].message == "nothing was done: s2 is old: upgrade it first"
    assert "request_id" not in caller.answers[0].details


def test_a_packed_batch_that_never_happens_is_an_error() -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "submit", packed_operations([Withdraw(1, 10)]), "c:1")
    [event] = counter.asked()
    assert isinstance(event, RequestArrived)
    record = chained(Position(0, 0, b""), 1, event.request, (1, b"", b""), 1)
    event.token.reply(Decided("h", record))
    assert isinstance(caller.answers[0], Cancelled)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\x90",
        b"\x91\x93\x02\x01\x01",
        b"\xdd\xff\xff\xff\xff",
        packed_operations([Withdraw(1, 1)]) + b"\x01",
        packed_operations([Withdraw(1, 1)] * (BATCH + 1)),
    ],
    ids=["empty", "none", "kind", "announced", "more", "too many"],
)
def test_what_is_packed_wrongly_is_refused_before_it_waits(wrong: bytes) -> None:
    counter, caller = Counter(), Caller()
    counter.call(caller, "submit", wrong, "c:1")
    assert isinstance(caller.answers[0], InvalidRequest)
    assert not counter.asked()


class _Argument:
    """Something that can be seen to be gone."""


@pytest.mark.parametrize("object_kind", ["account", "plain"])
def test_the_arguments_of_a_wrong_call_are_not_kept_until_a_collection(object_kind: str) -> None:
    """One large message repeated made 336 MB of 50: a traceback in a frame that it holds is a circle."""
    target = Counter().account if object_kind == "account" else PlainObject(_Plain(), ("balance",))
    caller = Caller()
    gc.collect()
    gc.disable()
    try:
        argument = _Argument()
        seen = weakref.ref(argument)
        begin(target, Call(caller, caller.peer, "balance", (1, None, argument), {}))
        del argument
        assert seen() is None
    finally:
        gc.enable()
    assert "does not take these arguments" in str(caller.answers[0])


class _Plain:
    def balance(self, account: int) -> int:
        return account


# -- what is counted -----------------------------------------------------------------------------------


def counted(counter: Counter) -> dict[tuple[str, str], int]:
    """Return what was answered, by kind and outcome."""
    counts = counter.account.figures.by_kind_and_outcome()
    return {key: count for key, count in counts.items() if count}


def refused(counter: Counter) -> dict[str, int]:
    """Return who was told `Busy`, by why."""
    return {why: count for why, count in counter.admission.refused.items() if count}


def test_each_answer_counts_once_by_what_it_says() -> None:
    counter = Counter()
    for number, status in enumerate(("done", "insufficient", "no_account", "too_large")):
        counter.call(Caller(number), "withdraw", 1, 10, f"c{number}:1")
        [event] = counter.asked()
        event.token.reply(decided(event, status))  # type: ignore[union-attr]
    counter.call(Caller(), "balance", 1)
    [event] = counter.asked()
    event.token.reply(NotLeading("s2"))  # type: ignore[union-attr]
    counter.call(Caller(), "submit", batch(), "d:1")
    [event] = counter.asked()
    event.token.reply(decided(event))  # type: ignore[union-attr]
    assert counted(counter) == {
        ("withdraw", "done"): 1,
        ("withdraw", "insufficient_funds"): 1,
        ("withdraw", "account_not_found"): 1,
        ("withdraw", "balance_too_large"): 1,
        ("balance", "not_primary"): 1,
        ("submit", "done"): 1,
    }


def test_what_is_refused_at_the_door_counts_by_why() -> None:
    full = Counter(waiting_bytes=cost_of(BATCH))
    full.call(Caller(1), "submit", batch(), "a:1")
    full.call(Caller(2), "balance", 1)
    full.call(Caller(3), "withdraw", 1, -5)
    full.call(Caller(4), "withdraw", 1)
    assert refused(full) == {"waiting_bytes": 1}
    assert counted(full) == {("balance", "busy"): 1, ("withdraw", "invalid_request"): 2}
    fast = Counter(stranger_rate=10)
    for number in range(3):
        fast.call(Caller(ours=False), "submit", batch(), f"b{number}:1")
    assert refused(fast) == {"entry_rate": 1}
    assert counted(fast) == {("submit", "busy"): 1}


def test_who_would_wait_too_long_and_who_has_are_counted_apart() -> None:
    """One call takes 100 ms here, 400 may pass until it is decided, and 500 until it is turned away."""
    counter = Counter()
    for number in range(17):
        counter.call(Caller(number), "withdraw", 1, 10, f"s{number}:1")
    for event in counter.asked()[:16]:
        counter.now_ms += 100
        event.token.reply(decided(event, operations=1))  # type: ignore[union-attr]
    late = Caller(9)
    late.waited_ms = 450
    counter.call(late, "withdraw", 1, 10, "late:1")
    assert refused(counter) == {"waiting_time": 1}
    counter.call(Caller(10), "withdraw", 1, 10, "c:1")
    *_, event = counter.asked()
    event.token.reply(IsBusy())  # type: ignore[union-attr]
    assert refused(counter) == {"waiting_time": 1, "overdue": 1}


def test_who_is_gone_and_who_has_waited_too_long_are_counted() -> None:
    counter, gone = Counter(), Caller(1)
    counter.call(gone, "withdraw", 1, 10, "c:1")
    counter.call(Caller(2), "withdraw", 1, 10, "d:1")
    gone.lost = True
    first, _ = counter.asked()
    first.token.reply(decided(first))  # type: ignore[union-attr]
    counter.now_ms = 1001
    counter.admission.give_up_overdue()
    assert counted(counter) == {("withdraw", "gone"): 1, ("withdraw", "in_doubt"): 1}


@pytest.fixture
def _budget_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests cause more lines than there is a budget for."""
    for room in (request_lines, objects):
        monkeypatch.setattr(room, "complaints", Complaints())


@pytest.mark.usefixtures("_budget_of_lines")
def test_a_request_that_goes_another_way_has_a_line_with_its_id() -> None:
    """And what goes the usual way has none, a decline included."""
    counter, one, gone, late = Counter(), Caller(1), Caller(2), Caller(3)
    with structlog.testing.capture_logs() as lines:
        counter.call(one, "withdraw", 1, 10, "c:1")
        counter.call(Caller(4), "withdraw", 1, 11, "c:1")
        counter.call(gone, "withdraw", 1, 10, "c:2")
        counter.call(one, "withdraw", 1, 10, "c:3")
        counter.call(one, "outcome", "c:4")
        first, second, third, fourth = counter.asked()
        first.token.reply(decided(first, "insufficient"))  # type: ignore[union-attr]
        gone.lost = True
        second.token.reply(decided(second))  # type: ignore[union-attr]
        third.token.reply(IsStale(7))  # type: ignore[union-attr]
        assert isinstance(fourth, OutcomeAsked)
        never = chained(Position(0, 0, b""), 1, fourth.request, (1, b"", b""), 1)
        fourth.token.reply(Decided("h", never))
        counter.call(late, "withdraw", 1, 10, "c:5")
        counter.now_ms += 1000
        counter.admission.give_up_overdue()
        counter.call(one, "withdraw", 1, 10, "c:6")
        [waiting] = [event for event in counter.asked() if isinstance(event, RequestArrived)][1:]
        waiting.token.reply(IsBusy())
        counter.call(one, "withdraw", 1, 10, "c:7")
        [old] = [event for event in counter.asked() if isinstance(event, RequestArrived)]
        old.token.reply(IsForgotten())
    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("request refused", "c:1"),
        ("request was cut off", "c:2"),
        ("request came too late", "c:3"),
        ("request cancelled", "c:4"),
        ("request in doubt", "c:5"),
        ("request turned away", "c:6"),
        ("request too old", "c:7"),
    ]
    assert {line["peer"] for line in lines} <= {f"127.0.0.1:{port}" for port in range(1, 5)}


@pytest.mark.usefixtures("_budget_of_lines")
def test_a_request_that_took_long_has_a_line_of_how_long() -> None:
    counter, slow = Counter(), Caller(1, ours=False)
    slow.waited_ms = 1000 * SLOW_S
    counter.call(slow, "withdraw", 1, 10, "c:1")
    [event] = counter.asked()
    with structlog.testing.capture_logs() as lines:
        event.token.reply(decided(event))  # type: ignore[union-attr]
    [line] = lines
    assert (line["event"], line["request_id"]) == ("request was slow", "c:1")
    assert line["ms"] >= 1000 * SLOW_S


@pytest.mark.usefixtures("_budget_of_lines")
def test_a_bug_in_a_call_is_told_with_the_request_that_it_was_about() -> None:
    counter, caller = Counter(), Caller(1)
    call = counter.call(caller, "withdraw", 1, 10, "c:1")
    with structlog.testing.capture_logs() as lines:
        call.fail(RuntimeError("a bug"))
    [line] = lines
    assert (line["event"], line["method"], line["request_id"]) == ("call failed", "withdraw", "c:1")


def test_the_time_in_line_counts_in_how_long_a_call_took() -> None:
    counter, caller = Counter(), Caller()
    caller.waited_ms = 3000.0
    counter.call(caller, "balance", 1)
    [event] = counter.asked()
    event.token.reply(Read("h", 1, 5))  # type: ignore[union-attr]
    seconds = counter.account.figures.seconds()["balance"]
    assert seconds.total >= 3
    assert sum(seconds.counts) == 1
