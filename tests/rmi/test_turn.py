"""Whose message is served next: each rule of `turn`, with a clock that the test sets."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.rmi.turn import Line, Turn
from tests.examples import examples


class Driven:
    """A loop in which messages take the time that the test says."""

    def __init__(self, **settings: float) -> None:
        self.now_ms = 0.0
        self.turn: Turn[str] = Turn(lambda: self.now_ms, **settings)
        self.served: list[str] = []

    def wait(self, *callers: str) -> None:
        for caller in callers:
            self.turn.wait(caller, _line(caller))

    def serve(self, cost_ms: float) -> str | None:
        """Serve the next one, if anybody may be in this turn."""
        caller = self.turn.next()
        if caller is not None:
            self.now_ms += cost_ms
            self.turn.spent(caller, _line(caller), cost_ms)
            self.served.append(caller)
        return caller

    def serve_for(self, ms: float, costs: dict[str, float]) -> None:
        """Let turns follow each other; whoever was served has the next message ready at once."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.turn.begin()
            while (caller := self.turn.next()) is not None:
                self.now_ms += costs[caller]
                self.turn.spent(caller, _line(caller), costs[caller])
                self.served.append(caller)
                self.turn.wait(caller, _line(caller))
            self.now_ms += max(0.1, self.turn.pause_ms() or 0.0)


def _line(caller: str) -> Line:
    return {"s": Line.STRANGERS, "g": Line.GREETINGS, "S": Line.SERVERS}.get(caller[0], Line.OURS)


def test_a_turn_ends_when_its_budget_is_spent_and_no_message_is_cut() -> None:
    driven = Driven(budget_ms=4)
    driven.wait("a", "b", "c", "d")
    assert [driven.serve(3), driven.serve(30), driven.serve(1)] == ["a", "b", None]
    assert not driven.turn.is_free(Line.OURS)
    assert driven.turn.pause_ms() == 0
    driven.turn.begin()
    assert [driven.serve(1), driven.serve(1), driven.serve(1)] == ["c", "d", None]
    assert driven.turn.is_free(Line.OURS)
    assert driven.turn.pause_ms() is None


def test_after_a_dear_message_come_a_few_turns_without_one() -> None:
    """A light round trip passes several turns: reading, deciding, answering."""
    driven = Driven(budget_ms=4)
    driven.turn.spent("d1", Line.OURS, 5.0)
    driven.turn.spent("d2", Line.OURS, 5.0)
    driven.wait("d1", "d2")
    turns: list[list[str]] = []
    for _ in range(32):
        driven.turn.begin()
        driven.wait("light")
        turns.append([])
        while (caller := driven.turn.next()) is not None:
            driven.turn.spent(caller, Line.OURS, 0.1 if caller == "light" else 5.0)
            turns[-1].append(caller)
            if caller != "light":
                driven.wait(caller)
    assert [number for number, served in enumerate(turns) if {*served} != {"light"}] == [7, 15, 23, 31]
    assert [served[0] for served in turns[7::8]] == ["d1", "d2", "d1", "d2"]
    assert sum(served.count("light") for served in turns) >= 31


def test_who_was_dear_stays_so_until_light_messages_have_followed() -> None:
    """Who alternates would else cost every round of the light ones a dear message of each such caller."""
    driven = Driven()
    sly = [f"sly {number}" for number in range(8)]
    for one in sly:
        driven.turn.spent(one, Line.OURS, 5.0)
        driven.turn.spent(one, Line.OURS, 0.1)
    driven.wait(*sly, "light")
    driven.turn.begin()
    assert driven.serve(0.1) == "light"
    for _ in range(7):
        driven.turn.spent("sly 0", Line.OURS, 0.1)
    for _ in range(10):
        driven.turn.begin()
    driven.wait("sly 0")
    assert "sly 0" not in driven.turn._dear


def test_what_was_no_message_makes_nobody_light_again_and_nobody_dear() -> None:
    """Else whoever has just got a long one passes all who wait with messages as dear as his next one."""
    driven = Driven()
    driven.turn.spent("d1", Line.OURS, 5.0)
    for _ in range(20):
        driven.turn.spent("d1", Line.OURS, 0.1, is_message=False)
        driven.turn.spent("a", Line.OURS, 5.0, is_message=False)
    assert set(driven.turn._dear) == {"d1"}


def test_a_piece_of_an_answer_is_never_dear_whoever_waits_for_it() -> None:
    driven = Driven()
    driven.wait("d1", "d2")
    driven.serve(3)
    driven.serve(3)
    driven.turn.begin()
    driven.wait("d1")
    driven.turn.wait("d2", Line.OURS, for_answer=True)
    assert driven.serve(0.1) == "d2"
    assert driven.serve(3) is None, "a dear message comes later"


def test_who_had_to_wait_for_the_processor_is_not_dear() -> None:
    driven = Driven()
    driven.turn.spent("light", Line.OURS, 20.0, 0.2)
    driven.turn.spent("dear", Line.OURS, 20.0, 19.0)
    assert list(driven.turn._dear) == ["dear"]


def test_servers_come_before_callers_and_leave_them_their_turn() -> None:
    driven = Driven(budget_ms=4, servers_ms=8)
    driven.wait("a", "b", "S1", "S2", "S3")
    assert [driven.serve(7), driven.serve(7), driven.serve(3), driven.serve(3)] == ["S1", "S2", "a", "b"]
    assert driven.serve(1) is None
    assert not driven.turn.is_free(Line.SERVERS)
    assert driven.turn.pause_ms() == 0
    driven.turn.begin()
    assert driven.serve(1) == "S3"
    assert driven.turn.is_free(Line.SERVERS)


def test_a_server_waits_for_at_most_one_dear_message_of_others_in_its_name() -> None:
    driven = Driven()
    false = {f"S false {number}": 60.0 for number in range(16)}
    driven.wait(*false)
    driven.serve_for(2000, false)
    driven.wait("S true")
    driven.served.clear()
    driven.serve_for(1000, {**false, "S true": 0.5})
    assert driven.served[0].startswith("S false"), "it came while one was next"
    assert driven.served[1::2] == ["S true"] * len(driven.served[1::2])
    assert len(driven.served) > 10


def test_what_servers_cost_is_not_taken_from_the_budget_of_callers() -> None:
    driven = Driven(budget_ms=4)
    assert driven.turn.spent("S", Line.SERVERS, 30.0)
    assert driven.turn.is_free(Line.OURS)
    driven.turn.charge(Line.SERVERS, 1000.0)
    driven.wait("g")
    assert driven.serve(1) == "g"


def test_half_of_a_turn_is_told_so_that_the_next_one_can_be_arranged() -> None:
    driven = Driven(budget_ms=4)
    assert not driven.turn.spent("a", Line.OURS, 1.5)
    assert driven.turn.spent("a", Line.OURS, 0.5)


def test_a_newcomer_waits_for_at_most_one_dear_message() -> None:
    driven = Driven()
    heavy = [f"h{number}" for number in range(16)]
    costs = dict.fromkeys(heavy, 10.0) | {"new": 0.1}
    driven.wait(*heavy)
    driven.serve_for(500, costs)
    driven.wait("new")
    driven.served.clear()
    driven.serve_for(30, costs)
    assert "new" in driven.served[:2]


def test_a_light_caller_is_served_between_any_two_dear_messages() -> None:
    driven = Driven()
    heavy = [f"h{number}" for number in range(16)]
    driven.wait(*heavy, "light")
    driven.serve_for(2000, dict.fromkeys(heavy, 10.0) | {"light": 0.1})
    steady = driven.served[len(heavy) * 2 :]
    dear = [place for place, caller in enumerate(steady) if caller != "light"]
    assert all("light" in steady[one:following] for one, following in itertools.pairwise(dear))


@settings(max_examples=examples(25))
@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=30))
def test_nobody_waits_while_another_is_served_more_than_twice_as_often(costs: list[float]) -> None:
    """Of callers of one kind, dear ones as well as light ones."""
    driven = Driven()
    names = {f"c{number}": cost for number, cost in enumerate(costs)}
    driven.wait(*names)
    driven.serve_for(40 * sum(costs), names)
    for kind in (True, False):
        served = [driven.served.count(name) for name, cost in names.items() if (cost > 1.0) == kind]
        assert not served or max(served) <= 2 * min(served) + 2


def test_strangers_have_a_share_of_the_time_and_no_more() -> None:
    driven = Driven(strangers_share=0.25)
    strangers = {f"s{number}": 5.0 for number in range(16)}
    driven.wait(*strangers)
    driven.serve_for(10_000, strangers)
    taken_ms = 5.0 * len(driven.served)
    assert 2_300 <= taken_ms <= 2_600


def test_what_strangers_owe_is_paid_off_by_waiting_before_any_of_them_is_served() -> None:
    driven = Driven(strangers_share=0.25)
    driven.wait("s1", "s2")
    assert driven.serve(30) == "s1"
    driven.turn.begin()
    assert driven.serve(1) is None
    assert not driven.turn.is_free(Line.STRANGERS)
    assert driven.turn.is_free(Line.OURS), "our own do not wait for it"
    pause_ms = driven.turn.pause_ms()
    assert pause_ms is not None
    assert pause_ms > 0
    driven.now_ms += pause_ms + 1
    assert driven.serve(1) == "s2"


def test_what_a_message_costs_later_is_owed_at_once() -> None:
    driven = Driven(strangers_share=0.25)
    driven.turn.charge(Line.STRANGERS, 120)
    driven.wait("s1", "ours")
    assert driven.serve(0.1) == "ours"
    assert driven.serve(0.1) is None
    driven.now_ms += 390
    assert driven.serve(0.1) is None
    driven.now_ms += 20
    assert driven.serve(0.1) == "s1"


def test_handshakes_do_not_wait_for_what_strangers_owe() -> None:
    driven = Driven()
    driven.turn.charge(Line.STRANGERS, 10_000)
    driven.wait("s1", "g1")
    assert driven.serve(0.2) == "g1"


def test_a_crowd_gets_in_though_those_who_are_in_always_ask_for_something() -> None:
    driven = Driven(budget_ms=1000)
    driven.wait(*"abcdehi", "s1", "g1", "g2", "g3")
    assert [driven.serve(0.1) for _ in range(11)] == [*"abcd", "g1", *"ehi", "g2", "s1", "g3"]


def test_a_flood_of_handshakes_is_served_once_in_five_times() -> None:
    driven = Driven(budget_ms=4)
    driven.wait(*"abcdefhi", *(f"g{number}" for number in range(50)))
    driven.served.clear()
    driven.serve_for(200, dict.fromkeys([*"abcdefhi", *(f"g{number}" for number in range(50))], 0.1))
    floods = sum(caller[0] == "g" for caller in driven.served)
    assert 0.15 < floods / len(driven.served) < 0.25


def test_a_stranger_is_served_after_each_round_of_our_own() -> None:
    driven = Driven(budget_ms=1000)
    driven.wait("a", "b", "s1", "s2")
    assert [driven.serve(0.1) for _ in range(4)] == ["a", "b", "s1", "s2"]
    driven.wait("a", "s1", "b", "s2")
    assert [driven.serve(0.1) for _ in range(4)] == ["a", "b", "s1", "s2"]


def test_what_was_not_used_is_not_saved_up_for_long() -> None:
    driven = Driven(strangers_share=0.25)
    driven.now_ms += 3_600_000
    driven.wait(*(f"s{number}" for number in range(100)))
    served = 0
    while driven.serve(5) is not None:
        driven.turn.begin()
        served += 1
    assert served <= 8
