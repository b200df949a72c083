"""What a call does that is turned away."""

from __future__ import annotations

import pytest

from bankrmi.client.decisions import Connect, Failed, Finish, Greeted, Lost, Wait
from bankrmi.client.pauses import BUSY_MS
from bankrmi.errors import Busy, InDoubt, NotPrimary
from tests.client.one_call import BUSY, S1, S2, Asking


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


def test_of_two_that_are_busy_the_one_is_asked_first_that_wants_it_sooner() -> None:
    call = Asking(S1, S2)
    assert call.asks() == S1
    call.hears(Failed(Busy("full", retry_ms=1000)))
    call.attempts._busy[S2] = 320  # So it said, in answer to somebody's question.
    assert call.waits(0) == 320
    assert call.asks(320) == S2


def test_nobody_waits_for_a_busy_server_that_is_none_of_the_bank_any_more() -> None:
    call = Asking(S1)
    assert call.asks() == S1
    call.hears(Failed(Busy("full", retry_ms=1000)))
    call.attempts.go_on_with([S2], None)
    assert call.asks(1) == S2


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
