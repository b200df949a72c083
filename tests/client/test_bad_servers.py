"""Servers that are slow, busy, mad or gone: for both clients.

Rule: whatever leaves a client is one of our errors, and says truly whether it happened.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bankrmi
import bankrmi.aio
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client.channel import Channel
from bankrmi.errors import (
    BankError,
    Behind,
    Busy,
    InDoubt,
    InsufficientFunds,
    NotPrimary,
    Unreached,
    Unsettled,
)
from bankrmi.rmi import Call
from bankrmi.rmi.frames import CONNECT_OK, MSGPACK, RESULT, frame_bytes
from bankrmi.rmi.values import write_value
from tests.client.both_clients import BALANCE, WITHDRAW, Perform, asynchronous, blocking, replace_servers
from tests.client.doubles import DoubleBank, Ledger, double_bank
from tests.rmi.strange_servers import strange_server

pytestmark = pytest.mark.parametrize("perform", [blocking, asynchronous])


def later(seconds: float, answering: Callable[[Call], None]) -> Callable[[Call], None]:
    """Answer the first call late, the others at once."""
    calls: list[Call] = []

    def answer(call: Call) -> None:
        calls.append(call)
        if len(calls) == 1:
            asyncio.get_running_loop().call_later(seconds, answering, call)
        else:
            answering(call)

    return answer


# --- slow ---------------------------------------------------------------------------------------------------


def test_a_slow_server_is_waited_for_and_nobody_else_gets_the_request(
    bank: DoubleBank, perform: Perform
) -> None:
    slow = bank.start("s1", later(1.0, Ledger({2: 300})))
    other = bank.start("s2", lambda call: call.answer({"role": "standby"}))
    (receipt,) = perform(bank.configuration, [WITHDRAW], 10)
    assert receipt.balance == 290
    assert len(slow.asked) == 1
    assert {method for method, _ in other.asked} <= {"status"}


def test_a_server_that_stands_still_is_not_waited_for_alone_and_its_answer_counts_all_the_same(
    bank: DoubleBank, perform: Perform
) -> None:
    """It answers no ping; the other one says who leads. When it goes on, its answer is taken."""
    goes_on, ledger = threading.Event(), Ledger({2: 300})

    def stand_still(call: Call) -> None:
        assert goes_on.wait(10)
        ledger(call)

    def say_who_leads(call: Call) -> None:
        goes_on.set()
        call.fail(NotPrimary("s1 leads", primary="s1"))

    first = bank.start("s1", stand_still)
    second = bank.start("s2", say_who_leads)
    (receipt,) = perform(bank.configuration, [WITHDRAW], 10)
    assert receipt.balance == 290
    assert len(first.asked) == 1
    assert second.asked[0] in (first.asked[0], ("status", ())), "it is asked the same, or who leads"


def test_a_slow_greeting_and_a_slow_answer_are_no_doubt(bank: DoubleBank, perform: Perform) -> None:
    """Each takes 1.5 times the patience; this was `InDoubt` at the deadline."""
    greeting = frame_bytes(CONNECT_OK, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": {}, "meta": {}}))

    def slowly(connected: socket.socket) -> None:
        pause = threading.Event()
        connected.recv(1 << 16)
        pause.wait(0.15)
        connected.sendall(greeting)
        request = connected.recv(1 << 16)
        if not request:
            return
        pause.wait(0.15)
        answer = {"account": 2, "balance": 290, "action_id": 0, "history": "h"}
        connected.sendall(frame_bytes(RESULT, MSGPACK, 0, 1, write_value(MSGPACK, answer)))
        connected.recv(1 << 16)

    with strange_server(slowly) as address:
        configuration = replace_servers(bank.configuration, {"s1": address})
        assert perform(configuration, [BALANCE], 5) == [Receipt(2, 290, 0)]


# --- busy ---------------------------------------------------------------------------------------------------


def test_a_busy_server_gets_the_same_request_again_until_it_takes_it(
    bank: DoubleBank, perform: Perform
) -> None:
    ledger, times = Ledger({2: 300}), iter(range(3))

    def busy_at_first(call: Call) -> None:
        if next(times, None) is None:
            ledger(call)
        else:
            call.fail(Busy("too much to do", retry_ms=1))

    account = bank.start("s1", busy_at_first)
    (receipt,) = perform(bank.configuration, [WITHDRAW], 10)
    assert receipt.balance == 290
    assert len({args[2] for _, args in account.asked}) == 1
    assert len(account.asked) == 4


def test_busy_to_the_end_did_not_happen_and_the_session_goes_on(bank: DoubleBank, perform: Perform) -> None:
    account = bank.start("s1", lambda call: call.fail(Busy("too much to do")))
    answers = perform(bank.configuration, [WITHDRAW, WITHDRAW], 1.5)
    assert [(type(one), one.happened) for one in answers] == [(Busy, False)] * 2
    sessions = {args[2].split(":")[0] for method, args in account.asked if method == "withdraw"}
    assert len(sessions) == 1
    assert len(account.asked) < 40


# --- not to be believed -------------------------------------------------------------------------------------


FALSE = [
    7,
    "done",
    {"account": 3, "balance": 290, "action_id": 1, "history": "h1"},
    {"account": 2, "balance": 2**63, "action_id": 1, "history": "h1"},
    {"account": 2, "balance": 290, "action_id": 2**63, "history": "h1"},
    {"account": 2, "balance": 290, "action_id": 1, "history": ""},
    {"account": 2, "balance": 290, "action_id": 1, "history": "h1", "request_id": "x:1"},
]


@pytest.mark.parametrize("answer", FALSE)
def test_what_cannot_be_believed_is_asked_of_another_and_nothing_is_learned_from_it(
    bank: DoubleBank, perform: Perform, answer: object
) -> None:
    def answering(call: Call) -> None:
        call.answer({"request_id": call.args[2], **answer} if isinstance(answer, dict) else answer)

    bank.start("s1", answering)
    honest = bank.start("s2", Ledger({2: 300}))
    receipt, again = perform(bank.configuration, [WITHDRAW, ("deposit", (2, 1))], 5)
    assert (receipt.balance, again.balance) == (290, 291)
    assert honest.asked[0][1][-1] is None


def test_what_nobody_answers_believably_is_in_doubt_or_for_a_read_unsettled(
    bank: DoubleBank, perform: Perform
) -> None:
    bank.start("s1", lambda call: call.answer({"balance": "much"}))
    bank.start("s2", lambda call: call.answer([]))
    change, read = perform(bank.configuration, [WITHDRAW, BALANCE], 0.4)
    assert isinstance(change, InDoubt)
    assert type(read) is Unsettled


@pytest.mark.parametrize("outcomes", [b"", b"\x90", b"\x91\x01", b"\x92\x01\xc0", [1, 2], "ab", None])
def test_a_batch_needs_as_many_outcomes_as_operations(
    bank: DoubleBank, perform: Perform, outcomes: object
) -> None:
    def answer(call: Call) -> None:
        call.answer({"request_id": call.args[1], "history": "h", "action_id": 2, "outcomes": outcomes})

    bank.start("s1", answer)
    batch = ("submit", ([Withdraw(2, 1), Deposit(2, 1)],))
    assert isinstance(perform(bank.configuration, [batch], 1.5)[0], InDoubt)


@pytest.mark.parametrize("code", ["unreached", "operation_failed", "configuration_error", "nonsense", ""])
def test_a_server_cannot_say_what_only_a_client_can_know(
    bank: DoubleBank, perform: Perform, code: str
) -> None:
    class Lie(BankError):
        pass

    Lie.code = code
    bank.start("s1", lambda call: call.fail(Lie("nothing was sent")))
    assert isinstance(perform(bank.configuration, [WITHDRAW], 1.5)[0], InDoubt)


def test_a_server_that_lies_about_how_new_it_is_poisons_one_call_and_not_the_client(
    bank: DoubleBank, perform: Perform
) -> None:
    """It says action id 2^62, which may be; all honest servers are behind then, until that was told once."""
    lie = {"account": 2, "balance": 1, "action_id": 2**62, "history": "h1"}
    ledger = Ledger({2: 300})
    lied: list[Call] = []

    def honest_later(call: Call) -> None:
        seen = call.args[-1]
        if not lied:
            lied.append(call)
            call.answer(lie)
        elif isinstance(seen, list) and seen[1] > len(ledger.done):
            call.fail(Behind("this copy is older", newest=0))
        else:
            ledger(call)

    bank.start("s1", honest_later)
    bank.start("s2", lambda call: call.fail(NotPrimary("s1 leads", primary="s1")))
    _, told, well = perform(bank.configuration, [BALANCE, BALANCE, BALANCE], 0.5)
    assert isinstance(told, Unreached | Unsettled)
    assert well.balance == 300


# --- connections --------------------------------------------------------------------------------------------


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(tmp_path: Path, perform: Perform) -> None:
    """So nothing was sent, and a bank that is gone has done nothing."""
    with double_bank(tmp_path) as bank:
        bank.start("s1", Ledger({2: 300}))

        def gone(client: Any) -> None:
            bank.stop("s1")

        if perform is blocking:
            with bankrmi.connect(bank.configuration, timeout=1.5) as client:
                client.withdraw(2, 10)
                gone(client)
                with pytest.raises(Unreached):
                    client.withdraw(2, 10)
            return

        async def work() -> None:
            async with await bankrmi.aio.connect(bank.configuration, timeout=1.5) as client:
                await client.withdraw(2, 10)
                gone(client)  # The loop stands still, and has not seen it.
                with pytest.raises(Unreached):
                    await client.withdraw(2, 10)

        asyncio.run(work())


def test_a_refusal_is_not_a_reason_to_connect_again(
    bank: DoubleBank, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.start("s1", lambda call: call.fail(InsufficientFunds("no", account=2)))
    begun = []
    open_line = Channel._open

    def counted(channel: Channel, line: Any) -> None:
        begun.append(line)
        open_line(channel, line)

    monkeypatch.setattr(Channel, "_open", counted)
    answers = perform(bank.configuration, [WITHDRAW] * 5, 5)
    assert {type(one) for one in answers} == {InsufficientFunds}
    assert len(begun) == 1
