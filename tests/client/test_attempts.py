"""What a call tries next, when it waits, and when it gives up: one sentence of the rules a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.client.attempts import Attempts
from bankrmi.client.decisions import (
    Answered,
    Begun,
    Candidate,
    Connect,
    Decision,
    Failed,
    Finish,
    Greeted,
    Heard,
    Lost,
    News,
    Ping,
    Send,
    Unconnected,
    Wait,
)
from bankrmi.client.pauses import BACKOFF_MS, BUSY_MS
from bankrmi.client.signs import Signs
from bankrmi.errors import (
    AccessDenied,
    BankError,
    Behind,
    BrokenInvariant,
    Busy,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    NotPrimary,
    Refused,
    Stale,
    Unreached,
    Unsettled,
)

S1, S2, S3 = (Candidate(f"s{number}", f"127.0.0.1:910{number}") for number in (1, 2, 3))
REFUSED = Unconnected("connection refused")
DENIED = Failed(AccessDenied("clients only"))
BUSY = Failed(Busy("too much to do"))
NOT_PRIMARY = Failed(NotPrimary("another leads"))


class Asking:
    """One call, told step by step; `draw` is always 1, so each pause is as long as it may be."""

    def __init__(self, *candidates: Candidate, signs: Signs | None = None, **changes: object) -> None:
        settings: dict[str, object] = {
            "deadline_ms": 10_000,
            "patience_ms": 300,
            "request_id": "a:1",
            "draw": lambda: 1.0,
            **changes,
        }
        self.attempts = Attempts(candidates or (S1, S2), signs=signs or Signs(), **settings)  # type: ignore[arg-type]
        self.number = 0

    def decides(self, now_ms: int = 0) -> Decision:
        return self.attempts.decide(now_ms)

    def connects(self, now_ms: int = 0) -> Candidate:
        decision = self.decides(now_ms)
        assert isinstance(decision, Connect), decision
        self.number = decision.number
        return decision.candidate

    def sends(self, now_ms: int = 0) -> bool:
        """Return whether it only enquires."""
        self.hears(Greeted(), now_ms)
        decision = self.decides(now_ms)
        assert isinstance(decision, Send), decision
        assert decision.number == self.number
        return decision.enquires

    def asks(self, now_ms: int = 0) -> Candidate:
        candidate = self.connects(now_ms)
        assert not self.sends(now_ms)
        return candidate

    def hears(self, news: News, now_ms: int = 0, *, number: int | None = None) -> None:
        self.attempts.observe(number or self.number, news, now_ms)

    def waits(self, now_ms: int) -> int:
        decision = self.decides(now_ms)
        assert isinstance(decision, Wait), decision
        return now_ms + decision.wait_ms

    def pings(self, now_ms: int) -> int:
        decision = self.decides(now_ms)
        assert isinstance(decision, Ping), decision
        return decision.number

    def ends(self, now_ms: int = 0) -> BankError | None:
        decision = self.decides(now_ms)
        assert isinstance(decision, Finish), decision
        return decision.error

    def falls_silent(self, begun_ms: int) -> int:
        """The server that was just asked says nothing, not to a ping either: return when that shows."""
        at_ms = self.waits(begun_ms)
        assert self.pings(at_ms) == self.number
        return self.waits(at_ms)


# --- whom to ask ----------------------------------------------------------------------------------------


def test_the_server_that_led_last_is_asked_first_then_the_others_as_configured() -> None:
    call = Asking(S1, S2, S3, preferred=S2)
    order = []
    for _ in range(3):
        order.append(call.connects())
        call.hears(REFUSED)
    assert order == [S2, S1, S3]


@pytest.mark.parametrize("news", [Lost("reset"), NOT_PRIMARY, Failed(Unsettled("?"))])
def test_after_any_failure_the_other_server_is_asked_at_once(news: News) -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(news)
    assert call.asks() == S2


def test_a_server_that_cannot_be_connected_to_costs_no_wait_either() -> None:
    call = Asking()
    assert call.connects() == S1
    call.hears(REFUSED)
    assert call.connects() == S2


def test_the_server_that_is_named_as_primary_is_asked_next() -> None:
    call = Asking(S1, S2, S3)
    assert call.asks() == S1
    call.hears(Failed(NotPrimary("s3 leads", primary="s3")))
    assert call.asks() == S3
    assert call.attempts.preferred == S3


def test_two_servers_that_name_each_other_are_asked_once_a_round() -> None:
    """In a switchover neither may lead yet; asking them in a tight circle would help nobody."""
    call = Asking()
    assert call.asks() == S1
    call.hears(Failed(NotPrimary("s2 leads", primary="s2")))
    assert call.asks() == S2
    call.hears(Failed(NotPrimary("s1 leads", primary="s1")))
    assert call.waits(0) == 1
    assert call.asks(1) == S1


def test_a_hint_to_a_server_that_is_not_configured_is_not_followed() -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(Failed(NotPrimary("s9 leads", primary="s9", address="192.0.2.1:1")))
    assert call.asks() == S2


def test_the_pauses_between_rounds_grow_to_a_tenth_of_a_second() -> None:
    call, now_ms, pauses = Asking(S1), 0, []
    for _ in range(9):
        assert call.connects(now_ms) == S1
        call.hears(REFUSED, now_ms)
        until_ms = call.waits(now_ms)
        pauses.append(until_ms - now_ms)
        now_ms = until_ms
    assert pauses == [*BACKOFF_MS, 100, 100]


@given(draws=st.lists(st.floats(0, 1), min_size=9, max_size=9))
def test_every_pause_is_drawn_from_half_of_it_to_all_of_it(draws: list[float]) -> None:
    """Callers who failed together must not come back together."""
    call, now_ms = Asking(S1, draw=iter(draws).__next__), 0
    for longest_ms in [*BACKOFF_MS, 100, 100]:
        call.connects(now_ms)
        call.hears(REFUSED, now_ms)
        until_ms = call.waits(now_ms)
        assert longest_ms / 2 - 1 <= until_ms - now_ms <= longest_ms
        now_ms = until_ms


def test_what_a_round_took_counts_towards_the_pause() -> None:
    """Else a client would find the new primary a wait and a pause after it began to lead."""
    call, now_ms = Asking(), 0
    for _ in range(8):
        for _ in range(2):
            call.connects(now_ms)
            call.hears(REFUSED, now_ms)
        now_ms = call.waits(now_ms)
    call.connects(now_ms)
    call.hears(Unconnected("unreachable", silent=True), now_ms + 95)
    call.connects(now_ms + 95)
    call.hears(REFUSED, now_ms + 95)
    assert call.waits(now_ms + 95) == now_ms + 100


# --- slow is not dead -----------------------------------------------------------------------------------


def test_a_server_that_does_not_greet_within_the_patience_is_not_waited_for_alone() -> None:
    call = Asking()
    assert call.connects() == S1
    assert call.waits(0) == 300
    assert call.connects(300) == S2


def test_a_server_that_has_the_request_is_pinged_at_half_the_patience() -> None:
    call = Asking()
    assert call.asks() == S1
    assert call.waits(0) == 150
    assert call.pings(150) == 1
    assert call.waits(150) == 300


def test_a_server_that_answers_neither_the_request_nor_the_ping_is_not_waited_for_alone() -> None:
    call = Asking()
    assert call.asks() == S1
    assert call.falls_silent(0) == 300
    assert call.asks(300) == S2


def test_a_server_that_answers_the_ping_is_waited_for_and_nobody_else_gets_the_request() -> None:
    call, now_ms = Asking(deadline_ms=60_000), 0
    assert call.asks() == S1
    sent = 1
    while now_ms < 50_000:
        match call.decides(now_ms):
            case Wait(wait_ms=wait_ms):
                now_ms += wait_ms
            case Ping(number=1):
                call.hears(Heard(), now_ms + 1, number=1)
            case Connect(number=number, drops=drops):
                assert drops is None
                call.hears(Greeted(), now_ms, number=number)
            case Send(number=number, enquires=enquires):
                sent += not enquires
                call.hears(Answered({"role": "standby"}), now_ms, number=number)
            case other:
                pytest.fail(f"{other}")
    assert sent == 1
    call.hears(Answered(1), now_ms, number=1)
    assert call.decides(now_ms) == Finish(value=1)


def test_the_greeting_may_take_as_long_as_it_takes_and_so_may_the_answer() -> None:
    """A greeting of 290 ms and an answer of 290 ms, for a patience of 300: nobody else is asked."""
    call = Asking()
    assert call.connects() == S1
    assert not call.sends(290)
    assert call.waits(290) == 440
    assert call.pings(440) == 1
    call.hears(Answered(1), 580)
    assert call.decides(580) == Finish(value=1)


def test_an_answer_counts_whenever_it_comes_though_others_were_asked_meanwhile() -> None:
    call = Asking()
    assert call.asks() == S1
    first = call.number
    assert call.asks(call.falls_silent(0)) == S2
    call.hears(Answered("late"), 400, number=first)
    assert call.decides(400) == Finish(value="late")
    assert call.attempts.preferred == S1


def test_a_server_that_was_silent_and_is_heard_again_is_waited_for_again() -> None:
    call = Asking()
    assert call.asks() == S1
    assert call.asks(call.falls_silent(0)) == S2
    call.hears(NOT_PRIMARY, 310)
    call.hears(Heard(), 311, number=1)
    assert call.waits(311) == 600, "only an enquiry is due"


def test_a_silent_server_that_has_the_request_is_not_sent_it_again_but_connected_to_again() -> None:
    """If it greets there and is heard on the first connection, too, it was slow and nothing is broken."""
    call = Asking(S1)
    assert call.asks() == S1
    now_ms = call.falls_silent(0)
    now_ms = call.waits(now_ms)
    assert now_ms == 600
    assert call.connects(now_ms) == S1
    call.hears(Greeted(), 610)
    call.hears(Heard(), 650, number=1)
    decisions = [call.decides(now_ms) for now_ms in range(650, 2000, 10)]
    assert not any(isinstance(decision, Send | Connect) for decision in decisions)


def test_a_server_that_greets_again_and_is_not_heard_on_the_first_connection_is_sent_it_again() -> None:
    call = Asking(S1)
    call.asks()
    assert call.connects(call.waits(call.falls_silent(0))) == S1
    second = call.number
    call.hears(Greeted(), 610)
    assert call.waits(610) == 910
    assert call.decides(910) == Send(second)


def test_a_server_gets_two_connections_at_once_and_no_third() -> None:
    call = Asking(S1, deadline_ms=100_000)
    assert call.connects(0) == S1
    begun, now_ms = [0], 0
    while len(begun) < 5:
        match call.decides(now_ms):
            case Connect(number=number, drops=drops):
                assert drops == (number - 2 if number > 2 else None)
                begun.append(now_ms)
            case Wait(wait_ms=wait_ms):
                now_ms += wait_ms
    assert [later - earlier for earlier, later in pairwise(begun)] == [
        600,
        1200,
        2400,
        2400,
    ]


def test_who_waits_for_others_of_the_client_to_be_connected_is_not_waiting_for_the_server() -> None:
    call = Asking()
    call.connects()
    call.hears(Begun(), 290)
    assert call.waits(300) == 590


def test_of_many_calls_that_wait_for_one_server_one_pings_it() -> None:
    signs = Signs()
    calls = [Asking(signs=signs) for _ in range(5)]
    for call in calls:
        assert call.asks() == S1
    pings = [call for call in calls if isinstance(call.decides(150), Ping)]
    assert len(pings) == 1
    pings[0].hears(Heard(), 155)
    for call in calls:
        call.waits(300)


def test_that_others_hear_the_server_does_not_excuse_a_dead_connection_for_ever() -> None:
    signs = Signs()
    call, now_ms = Asking(signs=signs), 0
    assert call.asks() == S1
    pinged_at = None
    while not isinstance(decision := call.decides(now_ms), Connect) or decision.candidate != S1:
        signs.hear(S1, now_ms)
        if isinstance(decision, Ping):
            pinged_at = now_ms
        elif isinstance(decision, Connect):
            call.hears(REFUSED, now_ms, number=decision.number)
        else:
            now_ms += 10
    assert pinged_at == 1200
    assert now_ms <= 2400 + 700


# --- who leads ------------------------------------------------------------------------------------------


def enquiries(call: Asking, until_ms: int) -> list[tuple[int, Candidate]]:
    """Answer every ping of the first attempt; return when whom it asked whether he leads."""
    asked: list[tuple[int, Candidate]] = []
    now_ms = 0
    while now_ms < until_ms:
        match call.decides(now_ms):
            case Wait(wait_ms=wait_ms):
                now_ms += wait_ms
            case Ping(number=number):
                call.hears(Heard(), now_ms, number=number)
            case Connect(number=number, candidate=candidate):
                asked.append((now_ms, candidate))
                call.hears(Greeted(), now_ms, number=number)
            case Send(number=number, enquires=True):
                call.hears(Answered({"role": "standby"}), now_ms, number=number)
            case other:
                pytest.fail(f"{other}")
    return asked


def test_while_a_server_is_slow_the_others_are_asked_ever_more_seldom_whether_they_lead() -> None:
    call = Asking(deadline_ms=100_000)
    call.asks()
    assert enquiries(call, 20_000) == [(at, S2) for at in (600, 1800, 4200, 9000, 13800, 18600)]


def test_of_many_calls_one_asks_who_leads() -> None:
    signs = Signs()
    calls = [Asking(signs=signs) for _ in range(5)]
    for call in calls:
        call.asks()
        call.waits(0)
    signs.hear(S1, 590)
    assert sum(isinstance(call.decides(600), Connect) for call in calls) == 1


def test_whoever_says_that_it_leads_gets_the_request_and_the_first_keeps_it() -> None:
    """A primary that is cut off answers pings; it does not know that it leads no more."""
    signs = Signs()
    call, other = Asking(signs=signs), Asking(signs=signs)
    for one in (call, other):
        one.asks()
        one.waits(0)
        one.hears(Heard(), 500)
    assert call.connects(600) == S2
    assert call.sends(600)
    call.hears(Answered({"role": "primary"}), 601)
    assert call.asks(601) == S2
    assert other.asks(601) == S2
    call.hears(Answered(1), 605, number=1)
    assert call.decides(605) == Finish(value=1)


def test_who_has_disclaimed_is_only_asked_whether_it_leads_as_long_as_another_has_the_request() -> None:
    call = Asking()
    call.asks()
    assert call.asks(call.falls_silent(0)) == S2
    call.hears(NOT_PRIMARY, 310)
    assert call.connects(call.waits(310)) == S2
    assert call.sends(311), "an enquiry"
    call.hears(Answered({"role": "standby"}), 312)
    call.hears(Lost("reset"), 313, number=1)
    assert call.asks(call.waits(313)) in (S1, S2)


# --- busy -----------------------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_after_pauses_that_grow_to_a_quarter_of_a_second() -> None:
    call, now_ms, pauses = Asking(S1), 0, []
    for _ in range(8):
        assert call.asks(now_ms) == S1
        call.hears(BUSY, now_ms)
        busy_ms = now_ms
        while now_ms < (until_ms := call.attempts._busy[S1]):
            now_ms = min(until_ms, call.waits(now_ms))
        pauses.append(now_ms - busy_ms)
    assert pauses == [*BUSY_MS, 250, 250]


@pytest.mark.parametrize(("wanted", "least_ms"), [(400, 400), (10**12, 1000), (-5, 0), ("soon", 0)])
def test_a_busy_server_may_say_when_to_come_again_within_bounds(wanted: int, least_ms: int) -> None:
    call = Asking(S1)
    call.asks()
    call.hears(Failed(Busy("full", retry_ms=wanted)))
    now_ms = 0
    while isinstance(decision := call.decides(now_ms), Wait):
        now_ms += decision.wait_ms
    assert least_ms < now_ms <= least_ms + 10


def test_busy_to_the_end_means_it_did_not_happen_if_nobody_else_has_it() -> None:
    call = Asking(S1)
    call.asks()
    call.hears(BUSY)
    assert isinstance(call.ends(10_000), Busy)

    call = Asking(S1, S2)
    call.asks()
    call.hears(Lost("reset"))
    call.asks()
    call.hears(BUSY)
    assert isinstance(call.ends(10_000), InDoubt)


def test_a_server_that_has_not_looked_at_it_leaves_no_doubt() -> None:
    for undecided, error in ((True, Busy), (False, InDoubt), (1, InDoubt)):
        call = Asking(S1, S2)
        call.asks()
        call.hears(Failed(NotPrimary("s2 leads", primary="s2", undecided=undecided)))
        call.asks()
        call.hears(BUSY)
        assert type(call.ends(10_000)) is error


def ends_after_busy_only(request_id: str | None = "a:1") -> tuple[Finish, int]:
    """Return how a call ends that hears nothing but `Busy`, at once, and when."""
    call, now_ms = Asking(S1, request_id=request_id), 0
    while not isinstance(decision := call.decides(now_ms), Finish):
        if isinstance(decision, Wait):
            now_ms += decision.wait_ms
        elif isinstance(decision, Connect):
            call.number = decision.number
            call.hears(Greeted(), now_ms)
        else:
            call.hears(BUSY, now_ms)
    return decision, now_ms


def test_an_update_that_is_turned_away_is_not_sent_so_late_that_it_would_end_in_doubt() -> None:
    end, ended_at_ms = ends_after_busy_only()
    assert isinstance(end.error, Busy)
    assert 4_000 < ended_at_ms <= 4_500
    end, ended_at_ms = ends_after_busy_only(request_id=None)
    assert isinstance(end.error, Busy)
    assert ended_at_ms == 10_000, "a read has no outcome that could be unknown"


# --- what is said in the end ----------------------------------------------------------------------------


def test_no_wait_is_longer_than_the_call_has_time() -> None:
    call = Asking(deadline_ms=120)
    assert call.connects(100) == S1
    assert call.waits(100) == 120


def test_nothing_sent_by_the_deadline_means_it_did_not_happen() -> None:
    call = Asking()
    assert call.connects() == S1
    call.hears(REFUSED)
    error = call.ends(10_000)
    assert isinstance(error, Unreached)
    assert "connection refused" in error.message


def test_a_connection_that_broke_before_the_request_was_sent_leaves_nothing_in_doubt() -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(REFUSED)
    assert isinstance(call.ends(10_000), Unreached)


@pytest.mark.parametrize("news", [Lost("reset"), Failed(Unsettled("?")), Failed(BrokenInvariant("stopping"))])
def test_anything_sent_and_unanswered_by_the_deadline_is_in_doubt(news: News) -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(news)
    assert call.connects() == S2
    call.hears(REFUSED)
    error = call.ends(10_000)
    assert isinstance(error, InDoubt)
    assert error.request_id == "a:1"


def test_a_request_that_is_still_with_a_server_at_the_deadline_is_in_doubt() -> None:
    call = Asking()
    call.asks()
    assert isinstance(call.ends(10_000), InDoubt)


def test_that_a_server_says_unreached_is_not_believed() -> None:
    """Only the caller himself can know that nothing was sent."""
    call = Asking(S1)
    call.asks()
    call.hears(Failed(Unreached("says who?")))
    assert isinstance(call.ends(10_000), InDoubt)


def test_a_read_that_nobody_answered_changed_nothing() -> None:
    call = Asking(request_id=None)
    assert call.asks() == S1
    assert isinstance(call.ends(10_000), Unreached)


def test_a_request_that_may_have_been_sent_before_is_in_doubt_even_if_nobody_is_reached() -> None:
    """A script repeats an id, or asks for an outcome: reaching nobody now proves nothing about before."""
    call = Asking(may_be_under_way=True)
    assert call.connects() == S1
    call.hears(REFUSED)
    assert isinstance(call.ends(10_000), InDoubt)


def test_whether_all_are_behind_is_known_from_the_last_word_of_each() -> None:
    call = Asking()
    call.asks()
    call.hears(Failed(Behind("older")))
    told = [call.attempts.all_are_behind]
    call.asks()
    call.hears(NOT_PRIMARY)
    told.append(call.attempts.all_are_behind)
    call.asks(call.waits(0))
    call.hears(Lost("reset"), 1)
    assert [*told, call.attempts.all_are_behind] == [False, True, False]


@pytest.mark.parametrize("kind", [InsufficientFunds, InvalidRequest, Stale])
def test_what_was_refused_is_not_sent_again(kind: type[Refused]) -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(Failed(kind("no")))
    assert isinstance(call.ends(), kind)
    assert isinstance(call.ends(99_999), kind)


def test_a_server_that_denies_access_is_not_asked_again_and_the_others_are() -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(DENIED)
    assert call.connects() == S2
    call.hears(REFUSED)
    assert call.waits(0) == 1
    assert call.connects(1) == S2


def test_access_denied_by_all_is_final_if_nothing_was_sent_and_in_doubt_otherwise() -> None:
    for first, kind in ((DENIED, AccessDenied), (Lost("reset"), InDoubt)):
        call = Asking()
        assert call.asks() == S1
        call.hears(first)
        assert call.asks() == S2
        call.hears(DENIED)
        if kind is InDoubt:
            assert call.asks(call.waits(0)) == S1
            call.hears(DENIED)
        assert isinstance(call.ends(1), kind)


def test_that_one_server_takes_no_such_request_says_nothing_about_what_another_one_was_sent() -> None:
    """Its limits are others, say; the one that died may have done it.  What the journal says is final."""
    too_many = Failed(InvalidRequest("20 operations are too many: at most 10 in a request"))
    call = Asking()
    assert call.asks() == S1
    call.hears(Lost("reset"))
    assert call.asks() == S2
    call.hears(too_many)
    assert call.asks(call.waits(0)) == S1
    call.hears(too_many)
    assert isinstance(call.ends(1), InDoubt)

    call = Asking()
    call.asks()
    call.hears(Lost("reset"))
    call.asks()
    call.hears(Failed(InvalidRequest("used before, for another operation", request_id="a:1")))
    assert isinstance(call.ends(), InvalidRequest)

    call = Asking(request_id=None)
    call.asks()
    call.hears(Lost("reset"))
    call.asks()
    call.hears(Failed(InvalidRequest("not an account id")))
    assert isinstance(call.ends(), InvalidRequest)


def test_an_opinion_of_one_server_is_none_while_another_still_has_the_request() -> None:
    call = Asking()
    call.asks()
    assert call.asks(call.falls_silent(0)) == S2
    call.hears(Failed(InvalidRequest("too many")), 310)
    assert isinstance(call.decides(310), Wait)


def test_an_answer_is_the_end_and_its_server_the_one_to_ask_first_next_time() -> None:
    call = Asking()
    assert call.asks() == S1
    call.hears(Lost("reset"))
    assert call.asks() == S2
    call.hears(Answered({"balance": 290}))
    assert call.decides() == Finish(value={"balance": 290})
    assert call.attempts.preferred == S2


def test_without_time_nothing_is_tried() -> None:
    assert isinstance(Asking(deadline_ms=0).ends(0), Unreached)


# --- whatever happens -----------------------------------------------------------------------------------


BEFORE_SENDING: list[News] = [REFUSED, Unconnected("no route", silent=True), Begun(), Greeted(), Greeted()]
UNSETTLED = [
    Unsettled("?"),
    Behind("older"),
    NotPrimary("no"),
    NotPrimary("s2", primary="s2"),
    BrokenInvariant("!"),
    Unreached("says who?"),
]
INDEFINITE: list[News] = [Lost("reset"), *map(Failed, UNSETTLED)]
FINAL: list[News] = [Failed(InsufficientFunds("no")), Failed(Stale("no")), Answered(1)]
AFTER_SENDING: list[News] = [*INDEFINITE, BUSY, DENIED, Heard(), REFUSED, *FINAL]
ENQUIRED: list[News] = [
    Answered({"role": "primary"}),
    Answered({"role": "standby"}),
    Answered(7),
    *INDEFINITE,
]


@dataclass
class Driven:
    """One call, driven to its end on a clock of its own."""

    end: Finish = field(default_factory=Finish)
    ended_at_ms: int = 0
    connected: list[Candidate] = field(default_factory=list)
    taken: int = 0  # How often a server may have taken it.
    final: list[News] = field(default_factory=list)
    after_the_final: int = 0
    open: dict[int, bool | None] = field(default_factory=dict)  # By number: not sent; sent; an enquiry.


def drive(attempts: Attempts, data: st.DataObject, *, answers: bool, silence: bool = True) -> Driven:
    """News comes of any attempt that is open, in any order, or not at all."""
    driven, now_ms = Driven(), 0
    after_sending = (
        AFTER_SENDING if answers else [one for one in AFTER_SENDING if one not in (*FINAL, DENIED)]
    )
    for _ in range(3000):
        decision = attempts.decide(now_ms)
        driven.after_the_final += bool(driven.final) and not isinstance(decision, Finish)
        match decision:
            case Finish():
                driven.end, driven.ended_at_ms = decision, now_ms
                return driven
            case Connect(number=number, candidate=candidate, drops=drops):
                driven.connected.append(candidate)
                driven.open[number] = False
                if drops is not None:
                    driven.taken += driven.open.pop(drops) is True
            case Send(number=number, enquires=enquires):
                assert driven.open[number] is False
                driven.open[number] = None if enquires else True
            case Ping(number=number):
                assert driven.open[number] is True
            case Wait(wait_ms=wait_ms):
                assert wait_ms >= 1
                now_ms += wait_ms
        if (
            isinstance(decision, Connect | Send | Wait)
            and driven.open
            and data.draw(st.booleans() if silence else st.just(True))
        ):
            number = data.draw(st.sampled_from(sorted(driven.open)))
            sent = driven.open[number]
            news = data.draw(
                st.sampled_from(ENQUIRED if sent is None else after_sending if sent else BEFORE_SENDING)
            )
            if isinstance(news, Begun | Greeted | Heard):
                attempts.observe(number, news, now_ms)
                continue
            del driven.open[number]
            if sent:
                driven.taken += news in INDEFINITE
                driven.final += [news] if news in FINAL else []
            attempts.observe(number, news, now_ms)
    raise AssertionError("it goes on and on")


@given(data=st.data(), deadline_ms=st.integers(0, 2000), patience_ms=st.integers(2, 500), read=st.booleans())
def test_every_call_ends_by_its_deadline_with_an_honest_answer(
    data: st.DataObject, deadline_ms: int, patience_ms: int, read: bool
) -> None:
    """It ends in time; nothing is sent after a refusal; "it did not happen" is said only when it is sure."""
    request_id = None if read else "a:1"
    call = Asking(S1, S2, S3, deadline_ms=deadline_ms, patience_ms=patience_ms, request_id=request_id)
    driven = drive(call.attempts, data, answers=True)
    assert driven.ended_at_ms <= deadline_ms
    assert len(driven.final) <= 1
    assert not driven.after_the_final
    error = driven.end.error
    if driven.final:
        assert driven.end.value == 1 or isinstance(error, InsufficientFunds | Stale)
    elif isinstance(error, Unreached | AccessDenied | Busy):
        assert read or not (driven.taken or True in driven.open.values())
    elif read:
        assert type(error) is Unsettled
    else:
        assert isinstance(error, InDoubt)
        assert error.request_id == "a:1"


@settings(max_examples=30)
@given(data=st.data(), servers=st.sampled_from([(S1,), (S1, S2), (S1, S2, S3)]))
def test_while_time_remains_every_server_is_asked_again_and_again(
    data: st.DataObject, servers: tuple[Candidate, ...]
) -> None:
    call = Asking(*servers, deadline_ms=1500, patience_ms=50)
    driven = drive(call.attempts, data, answers=False, silence=False)
    assert set(driven.connected[: 3 * len(servers)]) == set(servers)
    assert len(driven.connected) >= 2 * len(servers)


# --- how fast a successor is found ----------------------------------------------------------------------


def found_at(takeover_ms: int, *, silent: bool) -> int:
    """Return when a call that began at 0 is answered, by s2, which leads from `takeover_ms` on.

    s1 is stopped (`silent`) or dead; s2 names it as the primary until then.
    """
    call, now_ms = Asking(preferred=S1), 0
    servers: dict[int, Candidate] = {}
    for _ in range(10_000):
        match call.decides(now_ms):
            case Finish(error=None):
                return now_ms
            case Wait(wait_ms=wait_ms):
                now_ms += wait_ms
            case Connect(number=number, candidate=candidate):
                servers[number] = candidate
                if candidate == S2:
                    call.hears(Greeted(), now_ms, number=number)
                elif not silent:
                    call.hears(REFUSED, now_ms, number=number)
            case Send(number=number, enquires=enquires):
                leads = now_ms >= takeover_ms
                news = Answered({"role": "primary" if leads else "standby"}) if enquires else Answered(1)
                failed = Failed(NotPrimary("s1 leads", primary="s1"))
                call.hears(news if leads or enquires else failed, now_ms, number=number)
            case other:
                pytest.fail(f"{other}")
    pytest.fail("never")


@given(takeover_ms=st.integers(0, 38))
def test_the_successor_of_a_dead_primary_is_found_at_once(takeover_ms: int) -> None:
    """The pauses are short while a takeover after a crash takes: no more than 20 ms are lost."""
    assert found_at(takeover_ms, silent=False) <= takeover_ms + 20


@given(takeover_ms=st.integers(300, 5000))
def test_the_successor_of_a_stopped_primary_is_found_within_a_pause(takeover_ms: int) -> None:
    """A tenth of a second at most (the aim is lease + 250 ms)."""
    assert found_at(takeover_ms, silent=True) <= takeover_ms + 105


# --- whoever becomes known ------------------------------------------------------------------------------


def nobody_known() -> Asking:
    call = Asking(deadline_ms=1000)
    call.attempts.go_on_with((), None)
    call.attempts.nobody = "nobody was learned"
    return call


def test_with_nobody_known_a_call_waits_and_asks_whoever_becomes_known() -> None:
    call = nobody_known()
    assert call.waits(0) == BACKOFF_MS[-1]
    call.attempts.go_on_with((S1, S2), S2)
    assert call.connects(3) == S2
    call.hears(REFUSED, 3)
    assert call.connects(3) == S1


def test_with_nobody_known_a_call_ends_at_its_deadline_and_says_why() -> None:
    call, now_ms, waits = nobody_known(), 0, 0
    while now_ms < 1000:
        now_ms = call.waits(now_ms)
        waits += 1
    assert now_ms == 1000
    assert waits == 1000 // BACKOFF_MS[-1]
    error = call.ends(now_ms)
    assert isinstance(error, Unreached)
    assert "nobody was learned" in error.message


def test_others_that_become_known_take_the_place_of_those_that_did_not_answer() -> None:
    call = Asking(S1)
    assert call.connects() == S1
    call.hears(REFUSED)
    now_ms = call.waits(0)
    call.attempts.go_on_with((S2, S3), None)
    order = []
    for _ in range(2):
        order.append(call.connects(now_ms - 1))
        call.hears(REFUSED, now_ms - 1)
    assert order == [S2, S3], "at once, and nobody else"
