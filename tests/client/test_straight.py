"""A call that goes straight is one that `Attempts` would have made in the same way, and could go on with."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.client.attempts import Attempts
from bankrmi.client.calls import FIRST, ClientCall
from bankrmi.client.decisions import Answered, Connect, Decision, Failed, Finish, Greeted, Send, Wait
from bankrmi.client.memory import Memory
from bankrmi.client.requests import Session, asked_status, withdrawn
from bankrmi.client.signs import Signs
from bankrmi.config import Configuration
from bankrmi.errors import Busy, InsufficientFunds, NotPrimary, Unreached
from tests.client.one_call import BUSY, NOT_PRIMARY, S1, S2, S3, Asking
from tests.client.test_attempts_whatever_happens import AFTER_SENDING, BEFORE_SENDING, ENQUIRED

DEADLINE_MS = 5000


def signs_of_a_leader() -> Signs:
    signs = Signs()
    signs.lead(S2, 40)
    return signs


def some_call(signs: Signs, seed: int, patience_ms: int, request_id: str | None) -> Attempts:
    return Asking(
        S1,
        S2,
        S3,
        signs=signs,
        draw=random.Random(seed).random,
        patience_ms=patience_ms,
        deadline_ms=DEADLINE_MS,
        request_id=request_id,
        preferred=S1,
    ).attempts


@given(
    seed=st.integers(0, 1 << 40),
    sent_ms=st.integers(1, 4000),
    patience_ms=st.integers(2, 500) | st.just(20_000),
    read=st.booleans(),
)
def test_whatever_happens_it_goes_on_as_if_it_had_been_decided_step_by_step(
    seed: int, sent_ms: int, patience_ms: int, read: bool
) -> None:
    """The same decisions at the same moments, to the end; and nobody can tell by the signs."""
    signs = [signs_of_a_leader(), signs_of_a_leader()]
    request_id = None if read else "a:1"
    step_by_step, straight = (some_call(one, seed, patience_ms, request_id) for one in signs)
    assert step_by_step.decide(sent_ms) == Connect(FIRST, S2)
    step_by_step.observe(FIRST, Greeted(), sent_ms)
    assert step_by_step.decide(sent_ms) == Send(FIRST)
    decision: Decision = step_by_step.decide(sent_ms)
    assert decision == Wait(max(1, min(DEADLINE_MS - sent_ms, patience_ms // 2)))
    signs[1].hear(S2, sent_ms)
    straight.go_on_from(S2, sent_ms)

    chance, now_ms = random.Random(seed), sent_ms
    sent = {FIRST: AFTER_SENDING}
    while not isinstance(decision, Finish):
        match decision:
            case Wait(wait_ms=wait_ms):
                now_ms += chance.choice([wait_ms, chance.randint(0, wait_ms)])
            case Connect(number=number, drops=drops):
                sent[number] = BEFORE_SENDING
                sent.pop(drops or 0, None)
            case Send(number=number, enquires=enquires):
                sent[number] = ENQUIRED if enquires else AFTER_SENDING
        if chance.random() < 0.3:
            number = chance.choice(sorted(sent))
            news = chance.choice(sent[number])
            for call in (step_by_step, straight):
                call.observe(number, news, now_ms)
        decision = step_by_step.decide(now_ms)
        assert _shown(straight.decide(now_ms)) == _shown(decision)
        assert straight.preferred == step_by_step.preferred
        assert straight.may_have_been_taken == step_by_step.may_have_been_taken
    assert _everything(signs[0]) == _everything(signs[1])


def test_its_time_counts_from_when_it_was_sent() -> None:
    """An update that was turned away after nearly half of its time is not sent again."""
    straight = some_call(signs_of_a_leader(), 1, 20_000, "a:1")
    straight.go_on_from(S2, 1)
    straight.observe(FIRST, BUSY, DEADLINE_MS // 2)
    decision = straight.decide(DEADLINE_MS // 2)
    assert isinstance(decision, Finish)
    assert isinstance(decision.error, Busy)


def _shown(decision: Decision) -> str:
    return repr(decision)  # Errors are equal if they say the same.


def _everything(signs: Signs) -> dict[str, Any]:
    return {name: getattr(signs, name) for name in Signs.__slots__}


# --- one call -------------------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    configuration = Configuration(
        path=tmp_path / "config.yaml",
        nameserver="127.0.0.1:9100",
        servers={one.server: one.address for one in (S1, S2, S3)},
    )
    memory = Memory(configuration, 5.0, None)
    memory.signs.lead(S2, 40)
    memory.primary = S1
    return memory


def straight_call(memory: Memory) -> ClientCall:
    call = ClientCall(withdrawn(2, 10, "a:1"), memory, 100)
    call.identify(Session())
    assert call.begin(101) == S2
    assert call.go_straight(S2, 101) == Wait(memory.patience_ms // 2)
    assert memory.signs.heard_ms(S2) == 101  # As with any connection that is there.
    return call


ANSWER = {"account": 2, "balance": 290, "action_id": 7, "request_id": "a:1", "history": "h"}


def test_who_is_asked_first_is_whom_the_attempts_would_ask(memory: Memory) -> None:
    call = ClientCall(withdrawn(2, 10, "a:1"), memory, 100)
    assert call.begin(101) == S2
    decision = call.decide(101)
    assert isinstance(decision, Connect)
    assert decision.candidate == S2


@pytest.mark.parametrize("why", ["nobody led yet", "the leader is none of the servers", "its time is over"])
def test_a_call_does_not_go_straight_when_others_might_be_asked_first(memory: Memory, why: str) -> None:
    now_ms = 101
    match why:
        case "nobody led yet":
            memory.signs = Signs()
        case "the leader is none of the servers":
            memory.candidates = (S1, S3)
        case _:
            now_ms = 100 + memory.timeout_ms
    assert ClientCall(withdrawn(2, 10, "a:1"), memory, 100).begin(now_ms) is None


def test_a_question_that_every_server_answers_does_not_go_straight(memory: Memory) -> None:
    assert ClientCall(asked_status(), memory, 100).begin(101) is None


def test_its_answer_is_the_end_and_tells_others_who_leads(memory: Memory) -> None:
    call = straight_call(memory)
    assert call.observe(FIRST, Answered(dict(ANSWER)), 105)
    end = call.decide(105)
    assert isinstance(end, Finish)
    assert call.finish(end).balance == 290
    assert (memory.primary, memory.signs.leader, memory.signs.leading_since_ms) == (S2, S2, 105)
    assert memory.signs.heard_ms(S2) == 105
    assert memory.seen.on_wire() == ("h", 7)


def test_an_answer_that_cannot_be_believed_leaves_it_in_doubt_and_others_are_asked(memory: Memory) -> None:
    call = straight_call(memory)
    assert not call.observe(FIRST, Answered(ANSWER | {"account": 3}), 105)
    assert isinstance(call.decide(105), Connect)
    assert memory.seen.on_wire() is None
    assert "outcome of a:1 is unknown" in str(call.broken_off(ValueError("x")))


def test_a_refusal_ends_it_and_another_leader_is_followed(memory: Memory) -> None:
    refused, moved = straight_call(memory), straight_call(memory)
    refused.observe(FIRST, Failed(InsufficientFunds("no", account=2)), 105)
    end = refused.decide(105)
    assert isinstance(end, Finish)
    with pytest.raises(InsufficientFunds):
        refused.finish(end)
    moved.observe(FIRST, Failed(NotPrimary("no", primary="s3")), 105)
    decision = moved.decide(105)
    assert isinstance(decision, Connect)
    assert decision.candidate == S3


def test_once_it_may_have_been_sent_it_is_never_said_that_it_was_not(memory: Memory) -> None:
    before = ClientCall(withdrawn(2, 10, "a:1"), memory, 100)
    assert isinstance(before.broken_off(ValueError("x")), Unreached)
    interruption = KeyboardInterrupt()
    straight_call(memory).note_on(interruption)
    assert interruption.__notes__ == ["the outcome of a:1 is unknown"]
    assert straight_call(memory).broken_off(ValueError("x")).happened is None


def test_of_two_leaders_the_one_that_is_none_is_left(memory: Memory) -> None:
    call = straight_call(memory)
    call.observe(FIRST, NOT_PRIMARY, 105)
    assert call.preferred != S2
