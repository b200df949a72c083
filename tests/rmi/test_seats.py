"""Who may be connected, and who makes room for whom: without a socket, and with a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.rmi.seats import FIRST_CALL_S, OURS_STAY_S, NoSeat, SeatPlan, Seats, origin

PLAN = SeatPlan(unfinished=4, callers=6, operators=2, of_each_server=3, servers=frozenset({"s1", "s2"}))


@dataclass(eq=False)
class One:
    """A connection."""

    name: str
    active_at: float
    busy: bool = False

    def __repr__(self) -> str:
        return self.name


class House:
    """Seats, and a clock that goes on by a second with everything that happens."""

    def __init__(self, plan: SeatPlan = PLAN) -> None:
        self.seats: Seats[One] = Seats(plan)
        self.now = 1000.0
        self.cut: list[One] = []

    def come(self, name: str, host: str = "a", role: str = "client", server: str = "") -> One:
        """Connect, and do the handshake at once."""
        self.now += 1
        one = One(name, self.now)
        self._note(self.seats.arrive(one, host, self.now))
        self._note(self.seats.finish(one, host, role, server, self.now))
        return one

    def knock(self, name: str, host: str = "a", after: float = 1.0) -> One:
        """Connect, and say nothing."""
        self.now += after
        one = One(name, self.now)
        self._note(self.seats.arrive(one, host, self.now))
        return one

    def call(self, one: One) -> None:
        self.now += 0.01
        one.active_at = self.now

    def _note(self, victim: One | None) -> None:
        if victim is not None:
            assert victim not in self.seats
            self.cut.append(victim)


def names(of: list[One]) -> list[str]:
    return [one.name for one in of]


def test_who_has_been_idle_for_longest_makes_room() -> None:
    house = House()
    first, *_ = [house.come(f"c{number}") for number in range(6)]
    house.call(first)
    for _ in range(2):
        house.come("new")
    assert names(house.cut) == ["c1", "c2"]


def test_callers_without_our_handshake_make_room_first() -> None:
    house = House()
    for number in range(5):
        house.come(f"ours{number}")
    stock = house.come("stock", role="")
    house.call(stock)
    house.come("new")
    assert house.cut == [stock]


def test_among_addresses_those_with_more_than_their_share_make_room() -> None:
    house = House()
    house.come("lone", host="b")
    crowd = [house.come(f"a{number}", host="a") for number in range(5)]
    house.come("another of the crowd", host="a")
    house.come("of a third address", host="c")
    assert house.cut == crowd[:2]


def test_a_crowd_of_ours_over_the_seats_does_not_cut_each_other_off() -> None:
    """1 600 callers of 1 000 seats: each newcomer cut one who had just been served, and came again."""
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    for one in crowd:
        house.call(one)
    for number in range(3):
        with pytest.raises(NoSeat, match="busy: all 6 connections of this server are in use; try again"):
            house.come(f"new {number}")
        house.now -= 1  # They come one after the other, within a moment.
    assert house.cut == []
    house.now += 3.0
    house.come("new")
    assert house.cut == [crowd[0]]


def test_an_idle_crowd_of_ours_makes_room_though_one_that_called_has_been_idle_for_longer() -> None:
    house = House()
    old = house.come("old")
    house.call(old)
    crowd = [house.come(f"c{number}") for number in range(5)]
    house.come("new")
    assert house.cut == [crowd[0]]


def test_one_of_ours_that_has_just_come_makes_no_room_before_its_first_call_can_arrive() -> None:
    """A crowd cut each other off between the greeting and the first call, which may have been sent: doubt."""
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    house.now = crowd[0].active_at + FIRST_CALL_S - 1.01
    with pytest.raises(NoSeat):
        house.come("too soon")
    assert house.cut == []
    house.come("new")
    assert house.cut == [crowd[0]]


def test_an_idle_crowd_of_ours_makes_room_for_all_who_come_in_one_moment() -> None:
    """That nobody of another rank was idle held for all of them, for a moment after each of them."""
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    house.now += 10
    for number in range(6):
        house.now -= 1
        house.come(f"new {number}")
    assert house.cut == crowd


def test_who_is_active_makes_room_for_another_address_that_has_less_than_its_share() -> None:
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    for one in crowd:
        house.call(one)
    house.come("other", host="b")
    assert house.cut == [crowd[0]]


def test_one_address_may_have_all_that_nobody_else_wants() -> None:
    house = House()
    for number in range(6):
        house.come(f"a{number}", host="a")
    assert house.cut == []


def test_nobody_with_a_call_in_progress_makes_room() -> None:
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    for one in crowd:
        one.busy = True
    with pytest.raises(NoSeat, match="busy: all 6 connections of this server are in use"):
        house.come("new")
    crowd[3].busy = False
    house.come("new")
    assert house.cut == [crowd[3]]


def test_an_address_that_has_all_seats_and_never_ends_its_calls_keeps_no_other_out() -> None:
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    for one in crowd:
        one.busy = True
    for number in range(3):
        house.come(f"other {number}", host="b").busy = True
    assert house.cut == crowd[:2:-1]
    for host in "ab":
        with pytest.raises(NoSeat):
            house.come("one too many", host=host)
    assert len(house.cut) == 3


def test_operators_who_never_end_their_calls_keep_no_other_one_out() -> None:
    house = House()
    false = [house.come(f"false {number}", role="operator") for number in range(2)]
    for one in false:
        one.busy = True
    for number in range(6):
        house.come(f"c{number}").busy = True
    true = house.come("true", role="operator")
    assert (true in house.seats, house.cut) == (True, [false[1]])


def test_who_came_after_others_were_looked_at_may_make_room_before_them() -> None:
    house = House()
    crowd = [house.come(f"c{number}") for number in range(6)]
    for one in crowd:
        house.call(one)
    called_at = house.now
    with pytest.raises(NoSeat):
        house.come("new")  # All were looked at: none may go.
    house.seats.leave(crowd[0])
    house.now = called_at - 0.9
    silent = house.come("silent")
    house.now = silent.active_at + FIRST_CALL_S - 0.9
    house.come("another")
    assert house.now < called_at + OURS_STAY_S
    assert house.cut == [silent]


def test_a_knock_at_a_full_server_costs_little_however_many_addresses_there_are() -> None:
    """Counted, not timed: each connection is looked at a few times, and only by the first who knocks."""
    house = House(SeatPlan(unfinished=4, callers=200, operators=2, of_each_server=3))
    looks = 0

    class Looked(One):
        @property
        def busy(self) -> bool:
            nonlocal looks
            looks += 1
            return True

        @busy.setter
        def busy(self, _: bool) -> None:
            pass

    for number in range(200):
        one = Looked(f"c{number}", house.now)
        house.seats.arrive(one, f"h{number}", house.now)
        house.seats.finish(one, f"h{number}", "client", "", house.now)
    for _ in range(20):
        with pytest.raises(NoSeat):
            house.come("new", host="h0")
        house.now -= 1 - 1e-5  # Within a moment.
    assert looks <= 3 * 200


def test_who_is_idle_is_found_behind_many_who_are_not() -> None:
    house = House(SeatPlan(unfinished=4, callers=100, operators=2, of_each_server=3))
    for number in range(99):
        house.come(f"c{number}").busy = True
    idle = house.come("idle")
    house.come("new")
    assert house.cut == [idle]


def test_an_operator_gets_in_whatever_the_callers_do() -> None:
    house = House()
    for number in range(6):
        house.come(f"c{number}").busy = True
    first, second = house.come("o1", role="operator"), house.come("o2", role="operator")
    house.come("o3", role="operator")
    assert house.cut == [first]
    second.busy = house.come("o4", role="operator").busy = True


def test_a_server_gets_in_whatever_callers_operators_and_other_servers_do() -> None:
    house = House()
    for role, server, count in (("client", "", 6), ("operator", "", 2), ("server", "s2", 3)):
        for number in range(count):
            house.come(f"{role}{number}", role=role, server=server).busy = True
    s1 = house.come("s1", role="server", server="s1")
    assert (s1 in house.seats, house.cut) == (True, [])


def test_a_name_that_is_not_known_has_no_reserve() -> None:
    house = House()
    for number in range(6):
        house.come(f"false{number}", role="server", server="s3")
    ours = house.come("ours")
    assert names(house.cut) == ["false0"]
    assert not any(house.seats.reserved_for_servers(one) for one in house.seats)
    house.come("more", role="server", server="s9")
    assert (names(house.cut), ours in house.seats) == (["false0", "false1"], True)


def test_a_server_has_a_few_connections_and_never_a_callers() -> None:
    house = House()
    first = house.come("first", role="server", server="s2")
    for number in range(20):
        house.come(f"s2 {number}", role="server", server="s2").busy = True
    assert sum(house.seats.reserved_for_servers(one) for one in house.seats) == len(house.seats) == 3
    assert names(house.cut[:2]) == ["first", "s2 2"]
    assert first not in house.seats


def test_who_calls_in_a_servers_name_without_a_pause_keeps_the_true_one_not_out() -> None:
    house = House()
    for number in range(3):
        house.come(f"false {number}", role="server", server="s2").busy = True
    true = house.come("true", role="server", server="s2")
    assert (true in house.seats, names(house.cut)) == (True, ["false 2"])


def test_a_crowd_in_a_servers_name_does_not_cut_off_its_link_in_use() -> None:
    house = House()
    link = house.come("link", role="server", server="s2")
    for number in range(20):
        house.call(link)
        for _ in range(5):
            house.now -= 0.99  # They come fast, and call, too.
            house.call(house.come(f"false{number}", role="server", server="s2"))
    assert link in house.seats
    assert len(house.cut) == 98


def test_a_server_that_comes_back_gets_the_seat_of_a_connection_that_died() -> None:
    house = House()
    dead = [house.come(f"dead{number}", role="server", server="s2") for number in range(3)]
    for one in dead:
        house.call(one)
    house.now += 60
    house.come("back again", role="server", server="s2")
    assert house.cut == [dead[0]]


def test_a_false_server_of_another_address_makes_room_for_the_true_one() -> None:
    house = House()
    true = house.come("true", host="a", role="server", server="s2")
    false = [house.come(f"false{number}", host="b", role="server", server="s2") for number in range(2)]
    true.active_at = house.now + 0.9  # In use, that is, when the next one comes.
    house.come("true again", host="a", role="server", server="s2")
    true.active_at = house.now + 0.9
    house.come("false again", host="b", role="server", server="s2")
    assert true in house.seats
    assert house.cut == false


def test_before_the_handshake_only_who_has_idled_makes_room() -> None:
    house = House()
    slow = [house.knock(f"slow{number}", after=0.01) for number in range(4)]
    assert house.seats.crowded(0, house.now)
    house.knock("one too many", after=0.01)
    assert house.cut == []
    assert house.seats.crowded(0, house.now + 0.1)
    assert not house.seats.crowded(0, house.now + 0.3)
    house.knock("later", after=0.3)
    assert house.cut == [slow[0]]


def test_before_the_handshake_the_address_with_most_makes_room() -> None:
    house = House()
    lone = house.knock("lone", host="b")
    crowd = [house.knock(f"idle{number}", host="a") for number in range(3)]
    house.knock("another", host="a")
    assert house.cut == crowd[:1]
    assert lone in house.seats


def test_room_is_made_even_if_the_greedy_address_is_too_young_to_go() -> None:
    house = House()
    old = house.knock("old", host="b")
    house.now += 1
    for number in range(3):
        house.knock(f"young{number}", host="a", after=0.01)
    assert not house.seats.crowded(0, house.now)
    house.knock("one more", host="a", after=0.01)
    assert house.cut == [old]
    assert house.seats.unfinished == PLAN.unfinished


def test_whoever_has_a_handshake_is_no_longer_in_the_way_of_those_who_have_none() -> None:
    house = House()
    for number in range(6):
        house.come(f"c{number}")
    assert house.seats.unfinished == 0
    assert not house.seats.crowded(3, house.now)
    assert house.seats.crowded(4, house.now)


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.7:9101", "192.0.2.7"),
        ("[2001:db8:1:2:3:4:5:6]:9101", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::1]:80", "2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.7]:9101", "192.0.2.7"),
        ("[fe80::1%eth0]:9101", "fe80::/64"),
        ("?:0", "?"),
    ],
)
def test_a_network_of_one_machine_counts_as_one_address(address: str, counts_as: str) -> None:
    assert origin(address) == counts_as


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["come", "leave", "call", "begin", "end"]),
            st.integers(0, 30),
            st.sampled_from("abc"),
            st.sampled_from(["", "client", "operator", "server"]),
            st.sampled_from(["s1", "s2", "s3"]),
        ),
        max_size=120,
    )
)
def test_there_are_never_more_than_seats_and_nobody_busy_is_cut(
    steps: list[tuple[str, int, str, str, str]],
) -> None:
    """But for the connections of one server: of those somebody always makes room."""
    house = House()
    present: list[One] = []
    for what, which, host, role, server in steps:
        one = present[which % len(present)] if present else None
        if what == "come":
            try:
                house.come(f"{role} {server}", host=host, role=role, server=server)
            except NoSeat:
                assert sum(other.busy for other in present) >= PLAN.callers
        elif one is not None and what == "leave":
            house.seats.leave(one)
        elif one is not None:
            one.busy = what == "begin" or (one.busy and what == "call")
            house.call(one)
        assert not any(victim.busy for victim in house.cut if victim.name not in ("server s1", "server s2"))
        present = list(house.seats)
        assert len(house.seats) <= PLAN.total
        assert house.seats.unfinished <= PLAN.unfinished


def test_seats_are_counted_by_who_has_them() -> None:
    house = House()
    for number in range(2):
        house.come(f"client {number}")
    house.come("stranger", role="")
    house.come("false server", role="server", server="s9")
    house.come("operator", role="operator")
    house.come("server", role="server", server="s1")
    house.knock("silent")
    assert house.seats.by_kind() == {
        "unfinished": 1,
        "clients": 2,
        "strangers": 2,
        "operators": 1,
        "servers": 1,
    }
    assert sum(house.seats.by_kind().values()) == len(house.seats)
