"""What a call tries next, when it waits, and when it gives up: one sentence of the rules a test."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.client.attempts import (
    BACKOFF_MS,
    Answered,
    Attempts,
    Candidate,
    Failed,
    Finish,
    Lost,
    Outcome,
    TimedOut,
    Try,
    Unconnected,
    Wait,
)
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

S1, S2, S3 = (Candidate(f"s{number}", f"127.0.0.1:910{number}") for number in (1, 2, 3))
REFUSED = Unconnected("connection refused")
SILENT = Unconnected("no greeting", silent=True)
DENIED = Failed(AccessDenied("clients only"))


def attempts_of(*candidates: Candidate, **changes: object) -> Attempts:
    settings: dict[str, object] = {"deadline_ms": 10_000, "patience_ms": 300, "request_id": "a:1", **changes}
    return Attempts(candidates or (S1, S2), **settings)  # type: ignore[arg-type]


def tried(attempts: Attempts, now_ms: int = 0) -> Candidate:
    decision = attempts.decide(now_ms)
    assert isinstance(decision, Try), decision
    return decision.candidate


def ended(attempts: Attempts, now_ms: int = 0) -> Finish:
    decision = attempts.decide(now_ms)
    assert isinstance(decision, Finish), decision
    return decision


def test_the_server_that_led_last_is_asked_first_then_the_others_as_configured() -> None:
    attempts = attempts_of(S1, S2, S3, preferred=S2)
    order = []
    for _ in range(3):
        order.append(tried(attempts))
        attempts.observe(REFUSED)
    assert order == [S2, S1, S3]


@pytest.mark.parametrize("outcome", [REFUSED, Lost("reset"), TimedOut(), Failed(NotPrimary("another leads"))])
def test_after_any_failure_the_other_server_is_asked_at_once(outcome: Outcome) -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(outcome)
    assert tried(attempts) == S2


def test_the_server_that_is_named_as_primary_is_asked_next() -> None:
    attempts = attempts_of(S1, S2, S3)
    assert tried(attempts) == S1
    attempts.observe(Failed(NotPrimary("s3 leads", primary="s3")))
    assert tried(attempts) == S3
    assert attempts.preferred == S3


def test_two_servers_that_name_each_other_are_asked_once_a_round() -> None:
    """In a switchover neither may lead yet; asking them in a tight circle would help nobody."""
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(Failed(NotPrimary("s2 leads", primary="s2")))
    assert tried(attempts) == S2
    attempts.observe(Failed(NotPrimary("s1 leads", primary="s1")))
    assert attempts.decide(0) == Wait(1)
    assert tried(attempts, 1) == S1


def test_a_hint_to_a_server_that_is_not_configured_is_not_followed() -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(Failed(NotPrimary("s9 leads", primary="s9", address="192.0.2.1:1")))
    assert tried(attempts) == S2


def test_the_pauses_between_rounds_grow_to_a_tenth_of_a_second() -> None:
    attempts, now_ms, pauses = attempts_of(S1), 0, []
    for _ in range(9):
        assert tried(attempts, now_ms) == S1
        attempts.observe(REFUSED)
        decision = attempts.decide(now_ms)
        assert isinstance(decision, Wait)
        pauses.append(decision.wait_ms)
        now_ms += decision.wait_ms
    assert pauses == [*BACKOFF_MS, 100, 100]


def test_what_a_round_took_counts_towards_the_pause() -> None:
    """Else a client would find the new primary a silence and a pause after it began to lead."""
    attempts, now_ms = attempts_of(), 0
    for _ in range(8):
        tried(attempts, now_ms)
        attempts.observe(REFUSED)
        tried(attempts, now_ms)
        attempts.observe(REFUSED)
        decision = attempts.decide(now_ms)
        assert isinstance(decision, Wait)
        now_ms += decision.wait_ms
    tried(attempts, now_ms)
    attempts.observe(SILENT)
    tried(attempts, now_ms + 95)
    attempts.observe(REFUSED)
    assert attempts.decide(now_ms + 95) == Wait(5)


def test_a_server_that_was_silent_is_asked_last_and_waited_for_shorter_until_it_greets() -> None:
    attempts = attempts_of()
    assert attempts.decide(0) == Try(S1, 300, 300)
    attempts.observe(TimedOut())
    assert attempts.decide(300) == Try(S2, 300, 300)
    attempts.observe(Failed(NotPrimary("s1 leads", primary="s1")))
    assert attempts.decide(301) == Wait(1)
    assert tried(attempts, 302) == S2
    attempts.observe(Failed(NotPrimary("s1 leads", primary="s1")))
    assert attempts.decide(303) == Try(S1, 100, 600)


def test_a_busy_server_gets_more_time_but_never_more_than_eight_times() -> None:
    attempts, allowed = attempts_of(S1, deadline_ms=1_000_000), []
    for _ in range(6):
        decision = attempts.decide(0)
        while isinstance(decision, Wait):
            decision = attempts.decide(0)
        assert isinstance(decision, Try)
        allowed.append(decision.timeout_ms)
        attempts.observe(TimedOut())
    assert allowed == [300, 600, 1200, 2400, 2400, 2400]


def test_no_attempt_is_allowed_more_time_than_the_call_has() -> None:
    assert attempts_of(deadline_ms=120).decide(100) == Try(S1, 20, 20)


def test_nothing_sent_by_the_deadline_means_it_did_not_happen() -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(REFUSED)
    error = ended(attempts, 10_000).error
    assert isinstance(error, Unreached)
    assert "connection refused" in error.message


@pytest.mark.parametrize(
    "outcome", [Lost("reset"), TimedOut(), Failed(Unsettled("?")), Failed(BrokenInvariant("stopping"))]
)
def test_anything_sent_and_unanswered_by_the_deadline_is_in_doubt(outcome: Outcome) -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(outcome)
    assert tried(attempts) == S2
    attempts.observe(REFUSED)
    error = ended(attempts, 10_000).error
    assert isinstance(error, InDoubt)
    assert error.request_id == "a:1"


def test_a_read_that_nobody_answered_changed_nothing() -> None:
    attempts = attempts_of(request_id=None)
    assert tried(attempts) == S1
    attempts.observe(TimedOut())
    assert isinstance(ended(attempts, 10_000).error, Unreached)


def test_a_request_that_may_have_been_sent_before_is_in_doubt_even_if_nobody_is_reached() -> None:
    """A script repeats an id, or asks for an outcome: reaching nobody now proves nothing about before."""
    attempts = attempts_of(may_be_under_way=True)
    assert tried(attempts) == S1
    attempts.observe(REFUSED)
    assert isinstance(ended(attempts, 10_000).error, InDoubt)


@pytest.mark.parametrize("kind", [InsufficientFunds, InvalidRequest, Stale])
def test_what_was_refused_is_not_sent_again(kind: type[Refused]) -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(Failed(kind("no")))
    assert isinstance(ended(attempts).error, kind)
    assert isinstance(ended(attempts, 99_999).error, kind)


def test_a_server_that_denies_access_is_not_asked_again_and_the_others_are() -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(DENIED)
    assert tried(attempts) == S2
    attempts.observe(REFUSED)
    assert attempts.decide(0) == Wait(1)
    assert tried(attempts, 1) == S2


def test_access_denied_by_all_is_final_if_nothing_was_sent_and_in_doubt_otherwise() -> None:
    for first, kind in ((DENIED, AccessDenied), (Lost("reset"), InDoubt)):
        attempts = attempts_of()
        assert tried(attempts) == S1
        attempts.observe(first)
        assert tried(attempts) == S2
        attempts.observe(DENIED)
        if kind is InDoubt:
            assert attempts.decide(0) == Wait(1)
            assert tried(attempts, 1) == S1
            attempts.observe(DENIED)
        assert isinstance(ended(attempts, 1).error, kind)


def test_that_one_server_takes_no_such_request_says_nothing_about_what_another_one_was_sent() -> None:
    """Its limits are others, say; the one that died may have done it.  What the journal says is final."""
    too_many = Failed(InvalidRequest("20 operations are too many: at most 10 in a request"))
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(Lost("reset"))
    assert tried(attempts) == S2
    attempts.observe(too_many)
    assert attempts.decide(0) == Wait(1)
    assert tried(attempts, 1) == S1
    attempts.observe(too_many)
    assert isinstance(ended(attempts, 1).error, InDoubt)

    attempts = attempts_of()
    tried(attempts)
    attempts.observe(Lost("reset"))
    tried(attempts)
    attempts.observe(Failed(InvalidRequest("used before, for another operation", request_id="a:1")))
    assert isinstance(ended(attempts).error, InvalidRequest)

    attempts = attempts_of(request_id=None)
    tried(attempts)
    attempts.observe(Lost("reset"))
    tried(attempts)
    attempts.observe(Failed(InvalidRequest("not an account id")))
    assert isinstance(ended(attempts).error, InvalidRequest)


def test_an_answer_is_the_end_and_its_server_the_one_to_ask_first_next_time() -> None:
    attempts = attempts_of()
    assert tried(attempts) == S1
    attempts.observe(Lost("reset"))
    assert tried(attempts) == S2
    attempts.observe(Answered({"balance": 290}))
    assert ended(attempts) == Finish(value={"balance": 290})
    assert attempts.preferred == S2


def test_without_time_nothing_is_tried() -> None:
    assert isinstance(ended(attempts_of(deadline_ms=0), 0).error, Unreached)


UNSETTLED = [
    Unsettled("?"),
    Behind("older"),
    NotPrimary("no"),
    NotPrimary("s2", primary="s2"),
    BrokenInvariant("!"),
]
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.sampled_from([REFUSED, SILENT, Lost("reset"), TimedOut()]),
    st.sampled_from(UNSETTLED).map(Failed),
    st.just(DENIED),
    st.sampled_from([InsufficientFunds("no"), Stale("no")]).map(Failed),
    st.just(Answered(1)),
)
NO_ANSWERS: st.SearchStrategy[Outcome] = st.one_of(
    st.sampled_from([REFUSED, SILENT, Lost("reset"), TimedOut()]), st.sampled_from(UNSETTLED).map(Failed)
)


@dataclass
class Driven:
    """One call, driven to its end on a clock of its own."""

    end: Finish
    ended_at_ms: int
    longest_step_ms: int = 0
    asked: list[Candidate] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def drive(attempts: Attempts, data: st.DataObject, outcomes: st.SearchStrategy[Outcome]) -> Driven:
    driven = Driven(end=Finish(), ended_at_ms=0)
    now_ms = 0
    while True:
        decision = attempts.decide(now_ms)
        match decision:
            case Finish():
                driven.end, driven.ended_at_ms = decision, now_ms
                return driven
            case Wait(wait_ms=wait_ms):
                assert wait_ms >= 1
                now_ms += wait_ms
            case Try(candidate=candidate, connect_ms=connect_ms, timeout_ms=timeout_ms):
                assert 1 <= connect_ms <= timeout_ms
                outcome = data.draw(outcomes)
                took_ms = st.just(timeout_ms) if isinstance(outcome, TimedOut) else st.integers(0, connect_ms)
                now_ms += data.draw(took_ms)
                driven.asked.append(candidate)
                driven.outcomes.append(outcome)
                attempts.observe(outcome)


@given(data=st.data(), deadline_ms=st.integers(0, 2000), patience_ms=st.integers(1, 500), read=st.booleans())
def test_every_call_ends_by_its_deadline_with_an_honest_answer(
    data: st.DataObject, deadline_ms: int, patience_ms: int, read: bool
) -> None:
    """It ends in time; nothing is sent after a refusal; "it did not happen" is said only when it is sure."""
    request_id = None if read else "a:1"
    driven = drive(
        attempts_of(S1, S2, S3, deadline_ms=deadline_ms, patience_ms=patience_ms, request_id=request_id),
        data,
        OUTCOMES,
    )
    assert driven.ended_at_ms <= deadline_ms
    final = [
        isinstance(one, Answered)
        or (isinstance(one, Failed) and isinstance(one.error, Refused) and one is not DENIED)
        for one in driven.outcomes
    ]
    assert not any(final[:-1])
    sent = any(not isinstance(one, Unconnected) and one is not DENIED for one in driven.outcomes)
    error = driven.end.error
    if final and final[-1]:
        assert driven.end.value == 1 or isinstance(error, InsufficientFunds | Stale)
    elif isinstance(error, Unreached | AccessDenied):
        assert read or not sent
    else:
        assert isinstance(error, InDoubt)
        assert error.request_id == "a:1"


@given(data=st.data(), servers=st.sampled_from([(S1,), (S1, S2), (S1, S2, S3)]))
def test_while_time_remains_every_server_is_asked_again_and_again(
    data: st.DataObject, servers: tuple[Candidate, ...]
) -> None:
    driven = drive(attempts_of(*servers, deadline_ms=6000, patience_ms=50), data, NO_ANSWERS)
    for start in range(0, len(driven.asked) - len(servers), len(servers)):
        assert set(driven.asked[start : start + len(servers)]) == set(servers)
    assert len(driven.asked) >= 2 * len(servers)


def found_at(now_ms: int, takeover_ms: int, silent: bool) -> int:
    """Return when a call that began at 0 is answered, by s2, which leads from `takeover_ms` on.

    s1 is stopped (`silent`) or dead; s2 names it as the primary until then.
    """
    attempts = attempts_of(preferred=S1)
    while True:
        match attempts.decide(now_ms):
            case Finish(error=None):
                return now_ms
            case Wait(wait_ms=wait_ms):
                now_ms += wait_ms
            case Try(candidate=candidate, connect_ms=connect_ms) if candidate == S1:
                now_ms += connect_ms if silent else 0
                attempts.observe(SILENT if silent else REFUSED)
            case Try():
                leads = now_ms >= takeover_ms
                attempts.observe(Answered(1) if leads else Failed(NotPrimary("s1 leads", primary="s1")))
            case other:
                pytest.fail(f"{other}")


@given(takeover_ms=st.integers(0, 38))
def test_the_successor_of_a_dead_primary_is_found_at_once(takeover_ms: int) -> None:
    """The pauses are short while a takeover after a crash takes: no more than 20 ms are lost."""
    assert found_at(0, takeover_ms, silent=False) <= takeover_ms + 20


@given(takeover_ms=st.integers(300, 5000))
def test_the_successor_of_a_stopped_primary_is_found_within_a_greetings_time(takeover_ms: int) -> None:
    """A third of the patience is lost on the stopped one in each round (the aim is lease + 250 ms)."""
    assert found_at(0, takeover_ms, silent=True) <= takeover_ms + 105


def nobody_known() -> Attempts:
    attempts = Attempts((), deadline_ms=1000, patience_ms=300)
    attempts.nobody = "nobody was learned"
    return attempts


def test_with_nobody_known_a_call_waits_and_asks_whoever_becomes_known() -> None:
    attempts = nobody_known()
    assert [attempts.decide(0) for _ in range(3)] == [Wait(1), Wait(2), Wait(5)]
    attempts.go_on_with((S1, S2), S2)
    assert tried(attempts) == S2
    attempts.observe(REFUSED)
    assert tried(attempts) == S1


def test_with_nobody_known_a_call_ends_at_its_deadline_and_says_why() -> None:
    attempts = nobody_known()
    for now_ms in range(0, 1000, 50):
        decision = attempts.decide(now_ms)
        assert isinstance(decision, Wait)
        assert now_ms + decision.wait_ms <= 1000
    error = ended(attempts, 1000).error
    assert isinstance(error, Unreached)
    assert "nobody was learned" in error.message


def test_others_that_become_known_take_the_place_of_those_that_did_not_answer() -> None:
    attempts = attempts_of(S1)
    assert tried(attempts) == S1
    attempts.observe(REFUSED)
    assert isinstance(attempts.decide(0), Wait)
    attempts.go_on_with((S2, S3), None)
    assert tried(attempts, 10) == S2
