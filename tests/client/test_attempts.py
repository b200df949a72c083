"""Whom a call asks, and in which order: one sentence of the rules a test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.client.decisions import Candidate, Failed, Lost, News, Unconnected
from bankrmi.client.pauses import BACKOFF_MS
from bankrmi.errors import NotPrimary, Unreached, Unsettled
from tests.client.one_call import NOT_PRIMARY, REFUSED, S1, S2, S3, Asking

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


def test_one_that_has_moved_is_asked_where_it_lives_now() -> None:
    moved = Candidate(S2.server, "127.0.0.1:9109")
    call = Asking(S1, S2, moved)
    assert call.asks() == S1
    call.hears(Failed(NotPrimary("s2 leads", primary="s2", address=moved.address)))
    assert call.asks() == moved


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
