"""Everybody who waits shares one budget; retries join; who is gone costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from bankrmi import config
from bankrmi.server.waiting import OPERATION_BYTES, QUESTION_BYTES, Waiting, WaitingRoom, cost_of


@dataclass
class Somebody:
    gone: bool = False


def waiting(key: str | None = None, operations: int = 0) -> Waiting:
    return Waiting(lambda *_: None, cost_of(operations), key, None)


def test_over_the_budget_there_is_no_room_until_somebody_has_left() -> None:
    room = WaitingRoom(cost_of(10) + cost_of(0), slow_ms=400)
    first = waiting("a", 10)
    room.enter(first, Somebody(), 0)
    assert room.has_room(cost_of(0), 0)
    assert not room.has_room(cost_of(1), 0)
    room.leave(first, 0)
    assert room.held_bytes == 0
    assert room.has_room(cost_of(1), 0)


def test_nobody_is_let_in_who_would_wait_too_long_as_fast_as_others_were_served() -> None:
    room = WaitingRoom(1 << 30, slow_ms=400)
    behind = [waiting(str(number)) for number in range(20)]
    for one in behind:
        room.enter(one, Somebody(), 0)
    assert room.has_room(cost_of(0), 900), "hardly anything is known yet"
    assert not room.has_room(cost_of(0), 1500), "in all that time nobody was served"
    for one in behind[:16]:
        room.leave(one, 1500)
    assert room.has_room(0, 1500), "four, and sixteen took 1500 ms"
    assert not room.has_room(2 * cost_of(0), 1500)
    for one in behind[16:]:
        room.leave(one, 1500, turned_away=True)
    assert room.has_room(1 << 30, 1500), "nobody waits"


def test_who_waits_long_is_named() -> None:
    room = WaitingRoom(1 << 20, slow_ms=400)
    first, second = waiting("a"), waiting("b")
    room.enter(first, Somebody(), 0)
    room.enter(second, Somebody(), 100)
    assert room.waiting_since(99) == [first]
    room.leave(first, 100)
    assert room.waiting_since(99) == []


def test_whoever_asks_the_same_gets_the_same_answer() -> None:
    room = WaitingRoom(1 << 20, slow_ms=400)
    one, other, entry = Somebody(), Somebody(), waiting("a", 1)
    room.enter(entry, one, 0)
    assert room.find("a") is entry
    room.join(entry, other, 5)
    assert room.leave(entry, 0) == [one, other]
    assert room.find("a") is None
    assert room.leave(entry, 0) == []
    assert room.held_bytes == 0


def test_reads_are_never_the_same() -> None:
    room = WaitingRoom(1 << 20, slow_ms=400)
    room.enter(waiting(), Somebody(), 0)
    assert room.find(None) is None


def test_who_waited_too_long_is_named_and_what_nobody_waits_for_has_left() -> None:
    room = WaitingRoom(1 << 20, slow_ms=400)
    early, late, gone = Somebody(), Somebody(), Somebody(gone=True)
    shared, lonely, lost = waiting("a"), waiting("b"), waiting("c")
    room.enter(shared, early, 0)
    room.join(shared, late, 50)
    room.enter(lonely, early, 10)
    room.enter(lost, gone, 90)
    left, overdue = room.give_up(10, 0)
    assert left == [lonely, lost]
    assert overdue == [(shared, early), (lonely, early)]
    assert room.leave(shared, 0) == [late], "who joined waits for as long as anybody"
    assert room.held_bytes == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "join", "leave", "give up"]), st.integers(0, 9)), max_size=60
    )
)
def test_what_is_held_is_what_waits(steps: list[tuple[str, int]]) -> None:
    room, entries = WaitingRoom(1 << 30, slow_ms=400), {}
    for now, (step, number) in enumerate(steps):
        if step == "enter" and room.find(str(number)) is None:
            entries[number] = waiting(str(number), number)
            room.enter(entries[number], Somebody(), now)
        elif number in entries and step == "join" and entries[number] in room:
            room.join(entries[number], Somebody(), now)
        elif number in entries and step == "leave":
            room.leave(entries[number], now)
        elif step == "give up":
            room.give_up(now - number, now)
        held = [entry for entry in entries.values() if entry in room]
        assert room.held_bytes == sum(entry.cost for entry in held)
        assert len(room) == len(held)


def test_the_configuration_knows_what_waiting_costs() -> None:
    assert (config._QUESTION_BYTES, config._OPERATION_BYTES) == (QUESTION_BYTES, OPERATION_BYTES)
