"""How many connections are begun at once, and who comes in when."""

from __future__ import annotations

from bankrmi.client.decisions import Candidate
from bankrmi.client.gate import Gate

S1, S2 = Candidate("s1", "127.0.0.1:1"), Candidate("s2", "127.0.0.1:2")


class Queue:
    """Callers by number; `entered` in the order in which they were let in."""

    def __init__(self, at_once: int) -> None:
        self.gate = Gate(100, at_once=at_once)
        self.entered: list[int] = []

    def enter(self, number: int, candidate: Candidate = S1, now_ms: int = 0) -> None:
        self.gate.enter(candidate, number, lambda: self.entered.append(number), now_ms)


def test_as_many_as_may_enter_at_once_and_the_others_in_order_as_they_leave() -> None:
    queue = Queue(2)
    for number in range(5):
        queue.enter(number)
    assert queue.entered == [0, 1]
    queue.gate.leave(S1, 1, 1)
    assert queue.entered == [0, 1, 2]
    queue.gate.leave(S1, 0, 1)
    assert queue.entered == [0, 1, 2, 3]


def test_who_gives_up_in_the_queue_is_not_let_in() -> None:
    queue = Queue(1)
    for number in range(3):
        queue.enter(number)
    queue.gate.leave(S1, 1, 1)
    queue.gate.leave(S1, 0, 2)
    assert queue.entered == [0, 2]


def test_each_server_has_a_queue_of_its_own() -> None:
    queue = Queue(1)
    queue.enter(0)
    queue.enter(1, S2)
    assert queue.entered == [0, 1]


def test_who_is_not_greeted_for_long_holds_nobody_up() -> None:
    queue = Queue(1)
    queue.enter(0)
    queue.enter(1)
    queue.gate.turn(S1, 399)
    assert queue.entered == [0]
    queue.gate.turn(S1, 400)
    assert queue.entered == [0, 1]
