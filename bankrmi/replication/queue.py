"""Requests that wait for a group, dealt out fairly.  Pure; what a request costs is reckoned here.

Rule 1: the oldest request is in the next group, whatever it costs: nobody waits for ever.
Rule 2: the rest of a group goes round the callers, one request each, the cheapest first, and of those that
        cost about the same, the oldest; a share of it stays theirs when the oldest one alone fills the group,
        so a light caller never waits behind many batches.
Rule 3: a request is never split (A4), and those of one session stay in the order in which they came.
Rule 4: who is dropped leaves nothing behind, and was not decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from heapq import heappop, heappush
from typing import Any

from bankrmi.replication.events import OutcomeAsked, RequestArrived

__all__ = ["OPERATION_BYTES", "QUEUE_LIMIT", "REQUEST_BYTES", "RequestQueue", "cost_of"]

OPERATION_BYTES = 32
"""What an operation costs beside its bytes: its outcome, and the time in which both copies have done it."""

REQUEST_BYTES = 640
"""Usually: what a request costs beside its operations, in the same coin: to look it up, journal and answer it
takes as long as twenty of them (measured), and a group is bounded so that it does not take long."""

QUEUE_LIMIT = 65_536
"""Requests that may wait, whatever they cost; who counts their bytes stands before us."""

SHARE = 4
"""One part in this many of a group is for the others, when the oldest request alone fills it."""

_Request = RequestArrived | OutcomeAsked


def cost_of(event: _Request, request_bytes: int = REQUEST_BYTES) -> int:
    """Return what deciding a request costs; for an outcome nobody knows how much is to be read."""
    if type(event) is OutcomeAsked:
        return request_bytes
    assert type(event) is RequestArrived
    return request_bytes + OPERATION_BYTES * event.operation_count + len(event.operations)


class RequestQueue:
    """The requests that one primary has not decided yet."""

    def __init__(self, request_bytes: int = REQUEST_BYTES) -> None:
        self._request_bytes = request_bytes
        self._waiting: deque[tuple[_Request, int]] = deque()  # With what each costs.

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: _Request) -> bool:
        """Wait behind all others; return whether there is room."""
        waiting = self._waiting
        if len(waiting) >= QUEUE_LIMIT:
            return False
        waiting.append((event, cost_of(event, self._request_bytes)))
        return True

    def put_back(self, events: Iterable[_Request]) -> None:
        """What was taken and not decided waits before all others, in the order in which it was taken."""
        self._waiting.extendleft([(event, cost_of(event, self._request_bytes)) for event in events][::-1])

    def take(self, room: int) -> list[_Request]:
        """Take out what the next group decides, in the order in which it came."""
        everything = [event for event, _ in self._waiting]
        costs = [cost for _, cost in self._waiting]
        if sum(costs) <= room or len(everything) == 1:
            self._waiting.clear()
            return everything
        chosen = _dealt(everything, costs, room)
        self._waiting = deque(one for place, one in enumerate(self._waiting) if place not in chosen)
        return [everything[place] for place in sorted(chosen)]

    def drop(self, tokens: Collection[Any]) -> list[Any]:
        """Give these up, as far as they are here: they are not decided; return whom that concerns."""
        dropped = [event.token for event, _ in self._waiting if event.token in tokens]
        if dropped:
            self._waiting = deque(one for one in self._waiting if one[0].token not in tokens)
        return dropped

    def take_tokens(self) -> list[Any]:
        """Give up every request; return whom to tell."""
        tokens = [event.token for event, _ in self._waiting]
        self._waiting.clear()
        return tokens


def _dealt(events: list[_Request], costs: list[int], room: int) -> set[int]:
    """Return the places of those that go into a group which has no room for all."""
    chosen = {0}
    room = max(room - costs[0], room // SHARE)
    heads: list[tuple[int, int, int, Iterator[int]]] = []  # Turn, size of the cost, place: the first is next.

    def take_turn(turn: int, lane: Iterator[int]) -> None:
        place = next(lane, None)
        if place is not None:
            heappush(heads, (turn, costs[place].bit_length(), place, lane))

    first, *others = _lanes(events)
    next(first)  # The oldest one is in already: its caller's next one waits for the others.
    take_turn(1, first)
    for lane in others:
        take_turn(0, lane)
    while heads:
        turn, _, place, lane = heappop(heads)
        if costs[place] <= room:  # Else this caller's next one waits, and those behind it with it.
            room -= costs[place]
            chosen.add(place)
            take_turn(turn + 1, lane)
    return chosen


def _lanes(events: list[_Request]) -> list[Iterator[int]]:
    """Return the places of each caller's requests; a session stays with its first caller."""
    lanes: dict[str, list[int]] = {}
    lane_of_session: dict[str, str] = {}
    for place, event in enumerate(events):
        session = event.request[0]
        lane = lane_of_session.setdefault(session, event.caller or session)
        lanes.setdefault(lane, []).append(place)
    return [iter(places) for places in lanes.values()]
