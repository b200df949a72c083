"""Slow is not dead: how long a call waits for a server, and whom it asks meanwhile."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bankrmi.client.decisions import (
    Answered,
    Candidate,
    Connect,
    Failed,
    Finish,
    Greeted,
    Heard,
    Lost,
    Ping,
    Send,
    Wait,
)
from bankrmi.client.signs import Signs
from bankrmi.errors import Behind
from tests.client.one_call import NOT_PRIMARY, REFUSED, S1, S2, S3, Asking

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
                assert drops == (number - 1 if number > 2 else None), "the one that has waited longest stays"
                begun.append(now_ms)
            case Wait(wait_ms=wait_ms):
                now_ms += wait_ms
    assert [later - earlier for earlier, later in pairwise(begun)] == [
        600,
        1200,
        2400,
        2400,
    ]


@pytest.mark.parametrize("greeting_ms", [1_000, 5_000, 20_000])
def test_whoever_takes_that_long_to_greet_is_asked_then(greeting_ms: int) -> None:
    """With a connection thrown away every 2.4 s nobody who took longer was ever greeted."""
    call = Asking(S1, deadline_ms=60_000)
    begun: dict[int, int] = {}
    now_ms = 0
    while now_ms < 60_000:
        for number, at_ms in list(begun.items()):
            if now_ms >= at_ms + greeting_ms:
                del begun[number]
                call.hears(Greeted(), now_ms, number=number)
        match call.decides(now_ms):
            case Connect(number=number, drops=drops):
                begun[number] = now_ms
                begun.pop(drops or 0, None)
            case Send():
                assert now_ms <= greeting_ms + 300
                return
            case Wait(wait_ms=wait_ms):
                now_ms += min(wait_ms, 100)
            case other:
                pytest.fail(f"{other}")
    pytest.fail("nothing was sent")


def test_a_ping_that_went_out_late_has_its_time_all_the_same() -> None:
    """This process stood still, or asked a name server: that is not the other one's silence."""
    call = Asking(leader_answers=False)
    assert call.asks() == S1
    call.waits(0)
    assert call.pings(1000) == 1
    assert call.waits(1000) == 1150
    call.hears(Heard(), 1149)
    assert call.waits(1150) > 1150


def test_an_enquiry_that_hangs_keeps_nobody_from_the_server_that_leads_by_now() -> None:
    signs = Signs()
    call = Asking(signs=signs)
    assert call.asks() == S1
    call.waits(0)
    call.hears(Heard(), 500)
    assert call.connects(600) == S2  # And it is never greeted.
    hanging = call.number
    call.waits(601)
    call.hears(Heard(), 900, number=1)
    signs.lead(S2, 950)
    decision = call.decides(950)
    assert decision == Connect(hanging + 1, S2, drops=hanging)


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


def test_all_others_are_asked_who_leads_though_the_first_of_them_cannot_be_reached() -> None:
    """One was stuck, one dead, and one led: each time the dead one was asked (seed 420000734 of three)."""
    call = Asking(S1, S2, S3)
    assert call.asks() == S1
    call.waits(0)
    call.hears(Heard(), 500)
    assert call.connects(600) == S2
    call.hears(REFUSED, 600)
    assert call.connects(600) == S3
    assert call.sends(600)


def test_of_many_calls_one_asks_who_leads() -> None:
    signs = Signs()
    calls = [Asking(signs=signs) for _ in range(5)]
    for call in calls:
        call.asks()
        call.waits(0)
    signs.hear(S1, 590)
    assert sum(isinstance(call.decides(600), Connect) for call in calls) == 1


def test_whoever_says_that_it_leads_gets_the_request_and_the_first_keeps_it() -> None:
    """A primary that is cut off answers pings; it does not know that it no longer leads."""
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


def test_of_two_that_say_in_one_millisecond_that_they_lead_both_are_asked() -> None:
    """The first one was cut off, and did not know that it no longer led (seed 668004652 of three)."""
    call = Asking(S1, S2, S3)
    call.asks()
    call.waits(0)
    call.hears(Heard(), 500)
    for server in (S2, S3):
        assert call.connects(600) == server
        assert call.sends(600)
    call.hears(Answered({"role": "primary"}), 601, number=2)
    assert call.asks(601) == S2
    call.hears(Answered({"role": "primary"}), 601, number=3)
    call.hears(Failed(Behind("behind: at 124")), 601, number=4)
    assert call.asks(601) == S3


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
