"""What work costs a simulated process: more of it costs more, and nothing is free by oversight."""

from __future__ import annotations

from bankrmi.replication.effects import Answer, Decided, SendMessage
from bankrmi.replication.events import MessageArrived, RequestArrived, Tick
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.record import Position, Record, chained, packed
from bankrmi.robustness.simulator.work import Work, longest_request_ms

WORK = Work(10)


def record(before: Position, number: int, count: int = 1, size: int = 10) -> Record:
    return chained(before, 1, ("s", number), (count, packed(["x" * size] * count), packed([5] * count)), 1)


def records(count: int, size: int = 10) -> list[Record]:
    found: list[Record] = []
    before = Position(0, 0, b"")
    for number in range(count):
        found.append(record(before, number, size=size))
        before = found[-1].position
    return found


def checkpoint(count: int, size: int = 10) -> Checkpoint:
    start = Position(0, 0, b"")
    return Checkpoint(
        history="h",
        epoch=1,
        primary="s1",
        start_id="s1#1",
        number=1,
        previous=start,
        base=start,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
        records=records(count, size),
    )


def test_a_message_costs_by_its_bytes_as_well_as_by_its_elements() -> None:
    def arrives(count: int, size: int) -> float:
        return WORK.step_ms(MessageArrived(None, checkpoint(count, size)), [], 0)

    def sent(count: int, size: int) -> float:
        return WORK.step_ms(Tick(), [SendMessage("s2", checkpoint(count, size))], 0)

    def called(count: int, size: int) -> float:
        return WORK.call_ms(RequestArrived.of(None, ("s", 1), ["x" * size] * count, None, "c"))

    for cost_ms in (arrives, sent, called):
        assert cost_ms(5, 10) < cost_ms(5, 1000) < cost_ms(50, 1000)


def test_what_is_answered_costs_by_its_operations() -> None:
    opening = Position(0, 0, b"")
    one, many = (
        WORK.step_ms(Tick(), [Answer(None, Decided("h", record(opening, 1, count)))], 0) for count in (1, 100)
    )
    assert one < many


def test_where_work_costs_no_time_nothing_does() -> None:
    assert Work(0).step_ms(MessageArrived(None, checkpoint(5)), [SendMessage("s2", checkpoint(5))], 5) == 0
    assert Work(0).witness_ms(proposed=True) == Work(0).install_ms(1 << 20) == 0


def test_the_longest_legal_request_takes_as_long_as_it_was_measured_to() -> None:
    """A batch of 8 192, primary and standby together: more than 10 ms, less than 100."""
    assert 10 < longest_request_ms(8192) < 100
