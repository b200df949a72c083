"""What a call says in the end: whether it happened, if that can be known."""

from __future__ import annotations

import pytest

from bankrmi.client.decisions import Answered, Failed, Finish, Lost, News, Wait
from bankrmi.errors import (
    AccessDenied,
    Behind,
    BrokenInvariant,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    NotPrimary,
    Refused,
    Stale,
    Unreached,
    Unsettled,
)
from tests.client.one_call import DENIED, NOT_PRIMARY, REFUSED, S1, S2, Asking


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


def test_the_error_tells_what_every_server_said_last_whoever_was_asked_last() -> None:
    for first, second in ((S1, S2), (S2, S1)):
        call = Asking(first, second)
        for _ in range(2):
            asked = call.connects()
            if asked == S1:
                call.hears(REFUSED)
            else:
                call.sends()
                call.hears(Failed(NotPrimary("nobody is known to lead", undecided=True)))
        error = call.ends(10_000)
        assert "(s1 (127.0.0.1:9101): connection refused; s2: nobody is known to lead)" in str(error)
