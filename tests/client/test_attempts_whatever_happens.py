"""Whatever happens, in any order, a call ends in time and honestly; and it finds a successor soon."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.client.attempts import Attempts
from bankrmi.client.decisions import (
    Answered,
    Candidate,
    Connect,
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
from bankrmi.errors import (
    AccessDenied,
    Behind,
    BrokenInvariant,
    Busy,
    InDoubt,
    InsufficientFunds,
    NotPrimary,
    Stale,
    Unreached,
    Unsettled,
)
from tests.client.one_call import BUSY, DENIED, REFUSED, S1, S2, S3, Asking
from tests.examples import examples

# --- whatever happens -----------------------------------------------------------------------------------


BEFORE_SENDING: list[News] = [REFUSED, Unconnected("no route", silent=True), BUSY, Greeted(), Greeted()]
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
            if isinstance(news, Greeted | Heard):
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


@settings(max_examples=examples(15))
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
