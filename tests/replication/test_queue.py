"""Groups are fair: nobody waits for ever, and the light do not wait behind batches.  A4."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bankrmi.replication.events import OutcomeAsked, RequestArrived
from bankrmi.replication.queue import OPERATION_BYTES, SHARE, RequestQueue, cost_of

OPERATION = b"12345678"
UNIT = OPERATION_BYTES + len(OPERATION)


def request(session: str, number: int = 1, operations: int = 1, caller: str = "") -> RequestArrived:
    name = f"{session}:{number}"
    return RequestArrived(name, (session, number), OPERATION * operations, operations, None, caller)


def queued(*requests: RequestArrived | OutcomeAsked) -> RequestQueue:
    queue = RequestQueue()
    for one in requests:
        queue.put(one)
    return queue


def names(events: list[RequestArrived | OutcomeAsked]) -> list[str]:
    return [event.token for event in events]


def test_what_fits_is_taken_in_the_order_in_which_it_came() -> None:
    queue = queued(request("a", operations=5), request("b"), request("a", 2))
    assert names(queue.take(100 * UNIT)) == ["a:1", "b:1", "a:2"]
    assert not queue


def test_a_light_caller_is_in_the_next_group_however_many_batches_came_before() -> None:
    queue = queued(*(request(f"batch{n}", operations=8000) for n in range(63)), request("light"))
    assert names(queue.take(7700 * UNIT)) == ["batch0:1", "light:1"]
    queue.put(request("light", 2))
    assert names(queue.take(7700 * UNIT)) == ["batch1:1", "light:2"]


def test_batches_of_about_the_same_cost_are_taken_in_the_order_in_which_they_came() -> None:
    """A few bytes more must not let others pass again and again: a caller would wait ten times longer."""
    batches = [request(f"batch{n}", operations=8000 + (32 - n)) for n in range(32)]
    queue = queued(*batches)
    taken = [name for _ in range(11) for name in names(queue.take(3 * cost_of(batches[0])))]
    assert taken[:32] == [batch.token for batch in batches]


def test_a_batch_is_in_some_group_however_many_light_ones_come() -> None:
    queue = queued(*(request(f"light{n}") for n in range(50)), request("batch", operations=90))
    for turn in range(60):
        taken = names(queue.take(100 * UNIT))
        if "batch:1" in taken:
            return
        for n in range(100):
            queue.put(request(f"more{turn}.{n}"))
    raise AssertionError("the batch waits for ever")


def test_callers_take_turns() -> None:
    """Somebody with a hundred requests gets one for one of each other's."""
    many = [request(f"s{n}", caller="greedy") for n in range(100)]
    queue = queued(*many, request("x", caller="modest"), request("y", caller="other"))
    assert names(queue.take(4 * cost_of(many[0]))) == ["s0:1", "s1:1", "x:1", "y:1"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"), st.sampled_from(["", "one", "two"]), st.integers(1, 40), st.booleans()
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_every_request_is_taken_once_whole_and_in_its_sessions_order(
    drawn: list[tuple[str, str, int, bool]], room: int
) -> None:
    """And a group takes no more than its room and a share, but for one request that is larger."""
    queue, put = RequestQueue(), []
    for number, (session, caller, operations, is_outcome) in enumerate(drawn, 1):
        name = (session, number)
        event = (
            OutcomeAsked(f"{session}:{number}", name, None, caller)
            if is_outcome
            else request(session, number, operations, caller)
        )
        put.append(event)
        queue.put(event)
    groups = []
    while queue:
        oldest = put[min(put.index(event) for event, _ in queue._waiting)]
        group = queue.take(room * UNIT)
        assert oldest in group
        most = max(room * UNIT, cost_of(oldest) + room * UNIT // SHARE)
        assert sum(map(cost_of, group)) <= most
        groups += group
    assert sorted(groups, key=put.index) == put
    for session in "abcd":
        numbers = [event.request[1] for event in groups if event.request[0] == session]
        assert numbers == sorted(numbers)


def test_what_is_put_back_is_first_again() -> None:
    queue = queued(request("a"), request("b"), request("c"))
    taken = queue.take(100 * UNIT)
    queue.put(request("d"))
    queue.put_back(taken[1:])
    assert names(queue.take(100 * UNIT)) == ["b:1", "c:1", "d:1"]


def test_who_is_dropped_is_not_taken() -> None:
    queue = queued(request("a"), request("b"), request("c"))
    queue.drop({"b:1", "somebody else"})
    assert len(queue) == 2
    assert names(queue.take(100 * UNIT)) == ["a:1", "c:1"]
