"""Servers that are slow, busy, mad or gone, and a machine without files, threads or names: for both clients.

Rule: whatever leaves a client is one of our errors, and says truly whether it happened.
"""

from __future__ import annotations

import asyncio
import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import bankrmi
import bankrmi.aio
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client.channel import Channel
from bankrmi.config import Configuration
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
from bankrmi.rmi.frames import CONNECT_OK, EXCEPTION, MSGPACK, PING, RESULT, frame_bytes
from bankrmi.rmi.values import write_value
from tests.client.doubles import DoubleBank, Ledger, double_bank
from tests.rmi.strange_servers import strange_server

Answers = list[Any]


def blocking(
    configuration: Configuration, calls: list[tuple[str, tuple[Any, ...]]], timeout: float
) -> Answers:
    """Return what each call came to, one after the other, with one client."""
    answers: Answers = []
    with bankrmi.connect(configuration, timeout=timeout) as client:
        for method, args in calls:
            try:
                answers.append(getattr(client, method)(*args))
            except BankError as error:
                answers.append(error)
    return answers


def asynchronous(
    configuration: Configuration, calls: list[tuple[str, tuple[Any, ...]]], timeout: float
) -> Answers:
    """Return the same with the asyncio client."""

    async def work() -> Answers:
        answers: Answers = []
        async with await bankrmi.aio.connect(configuration, timeout=timeout) as client:
            for method, args in calls:
                try:
                    answers.append(await getattr(client, method)(*args))
                except BankError as error:
                    answers.append(error)
        return answers

    return asyncio.run(work())


Perform = Callable[[Configuration, list[tuple[str, tuple[Any, ...]]], float], Answers]
WITHDRAW = ("withdraw", (2, 10))
BALANCE = ("balance", (2,))

pytestmark = pytest.mark.parametrize("perform", [blocking, asynchronous])


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[DoubleBank]:
    with double_bank(tmp_path, patience_ms=300) as opened:
        yield opened


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
    assert second.asked[0] == first.asked[0]


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


def replace_servers(configuration: Configuration, servers: dict[str, str]) -> Configuration:
    return configuration.model_copy(update={"servers": servers})


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
    answers = perform(bank.configuration, [WITHDRAW, WITHDRAW], 0.3)
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


@pytest.mark.parametrize("results", [[], [{}], [1, 2], "ab"])
def test_a_batch_needs_as_many_results_as_operations(
    bank: DoubleBank, perform: Perform, results: object
) -> None:
    def answer(call: Call) -> None:
        call.answer({"request_id": call.args[1], "history": "h", "action_id": 1, "results": results})

    bank.start("s1", answer)
    batch = ("submit", ([Withdraw(2, 1), Deposit(2, 1)],))
    assert isinstance(perform(bank.configuration, [batch], 0.3)[0], InDoubt)


@pytest.mark.parametrize("code", ["unreached", "operation_failed", "configuration_error", "nonsense", ""])
def test_a_server_cannot_say_what_only_a_client_can_know(
    bank: DoubleBank, perform: Perform, code: str
) -> None:
    class Lie(BankError):
        pass

    Lie.code = code
    bank.start("s1", lambda call: call.fail(Lie("nothing was sent")))
    assert isinstance(perform(bank.configuration, [WITHDRAW], 0.3)[0], InDoubt)


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


# --- bytes --------------------------------------------------------------------------------------------------


GREETING = frame_bytes(CONNECT_OK, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": {}, "meta": {}}))
ENDLESS: object = []
for _ in range(400):
    ENDLESS = [ENDLESS]
ERRORS: list[object] = [
    {"attributes": {"code": "busy", "self": 1, "retry_ms": 2**70}, "args": ["x"]},
    {"attributes": {"code": "not_primary", **{f"d{n}": "x" * 2000 for n in range(50)}}, "args": [{"a": 1}]},
    {"__class__": "builtins.KeyError", "args": [ENDLESS]},
    {"attributes": {"code": "stale", 5: 6, "request_id": [1]}, "args": [ENDLESS]},
    ENDLESS,
    None,
    2**60,
]


def speaks(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Answer each message with the next piece, then close."""

    def behave(connected: socket.socket) -> None:
        connected.settimeout(2)
        try:
            for piece in pieces:
                if not connected.recv(1 << 16):
                    return
                connected.sendall(piece)
        except OSError:
            pass

    return behave


def ends_in(perform: Perform, bank: DoubleBank, pieces: tuple[bytes, ...]) -> BankError:
    with strange_server(speaks(*pieces)) as address:
        configuration = replace_servers(bank.configuration, {"s1": address})
        (error,) = perform(configuration, [WITHDRAW], 0.15)
    assert isinstance(error, BankError), error
    assert len(str(error)) < 3000
    return error


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_a_server_calls_an_error_becomes_one_of_ours(
    bank: DoubleBank, perform: Perform, error: object
) -> None:
    frame = frame_bytes(RESULT, MSGPACK, EXCEPTION, 1, write_value(MSGPACK, error))
    assert isinstance(ends_in(perform, bank, (GREETING, frame)), InDoubt | Busy)


def test_closing_at_any_byte_is_honestly_told(bank: DoubleBank, perform: Perform) -> None:
    """Before the greeting is whole, nothing was sent; after it, the request was."""
    answer = {"account": 2, "balance": 290, "action_id": 1, "history": "h1", "request_id": "no"}
    frame = frame_bytes(RESULT, MSGPACK, 0, 1, write_value(MSGPACK, answer))
    for length in (0, 1, 7, 39, 40, len(GREETING) - 1):
        assert isinstance(ends_in(perform, bank, (GREETING[:length],)), Unreached)
    for length in (0, 1, 7, 39, 40, len(frame) - 1, len(frame)):
        assert isinstance(ends_in(perform, bank, (GREETING, frame[:length])), InDoubt)


def test_no_garbage_leaves_a_client_as_anything_but_an_error_of_ours(
    bank: DoubleBank, perform: Perform
) -> None:
    chance = random.Random(9)
    error = frame_bytes(RESULT, MSGPACK, EXCEPTION, 1, write_value(MSGPACK, ERRORS[1]))
    pong = frame_bytes(PING, MSGPACK, 0, 1, b"pong")
    for _ in range(25):
        pieces = []
        for piece in (GREETING, chance.choice([error, pong, GREETING])):
            garbled = bytearray(piece)
            for _ in range(chance.choice([0, 1, 1, 3])):
                garbled[chance.randrange(len(garbled))] = chance.randrange(256)
            pieces.append(bytes(garbled))
        ends_in(perform, bank, tuple(pieces))


# --- the own machine ----------------------------------------------------------------------------------------


@contextmanager
def no_more_files() -> Iterator[None]:
    """Nothing can be opened any more in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[socket.socket] = []
    try:
        with socket.socket() as highest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno() + 8, hard))
        while True:
            held.append(socket.socket())
    except OSError:
        yield
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_files_nothing_was_sent(bank: DoubleBank, perform: Perform) -> None:
    if perform is asynchronous:

        async def work() -> Any:
            async with await bankrmi.aio.connect(bank.configuration, timeout=0.3) as client:
                with no_more_files():
                    try:
                        return await client.withdraw(2, 10)
                    except BankError as error:
                        return error

        answer = asyncio.run(work())
    else:
        with no_more_files():
            (answer,) = perform(bank.configuration, [WITHDRAW], 0.3)
    assert isinstance(answer, Unreached)


def test_without_threads_or_names_nothing_was_sent(
    bank: DoubleBank, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def no_thread(thread: threading.Thread) -> None:
        if "_do_shutdown" not in thread.name:  # That is asyncio's own end.
            raise RuntimeError("can't start new thread")
        start(thread)

    named = replace_servers(bank.configuration, {"s1": "no-such-host.invalid:1"})
    assert isinstance(perform(named, [WITHDRAW], 0.3)[0], Unreached)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert isinstance(perform(named, [WITHDRAW], 0.3)[0], Unreached)


def test_a_name_server_that_is_mad_costs_nothing(bank: DoubleBank, perform: Perform) -> None:
    bank.start("s1", Ledger({2: 300}))
    for said in (GREETING, b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        frame = frame_bytes(RESULT, MSGPACK, 0, 1, write_value(MSGPACK, {"a": 2**60, "b": ENDLESS}))
        with strange_server(speaks(said, frame)) as address:
            configuration = bank.configuration.model_copy(update={"nameserver": address})
            assert isinstance(perform(configuration, [BALANCE], 5)[0], Receipt)


# --- connections --------------------------------------------------------------------------------------------


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(tmp_path: Path, perform: Perform) -> None:
    """So nothing was sent, and a bank that is gone has done nothing."""
    with double_bank(tmp_path) as bank:
        bank.start("s1", Ledger({2: 300}))

        def gone(client: Any) -> None:
            bank.stop("s1")

        if perform is blocking:
            with bankrmi.connect(bank.configuration, timeout=0.3) as client:
                client.withdraw(2, 10)
                gone(client)
                with pytest.raises(Unreached):
                    client.withdraw(2, 10)
            return

        async def work() -> None:
            async with await bankrmi.aio.connect(bank.configuration, timeout=0.3) as client:
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
    begin = Channel._begin

    def counted(channel: Channel, number: int) -> None:
        begun.append(number)
        begin(channel, number)

    monkeypatch.setattr(Channel, "_begin", counted)
    answers = perform(bank.configuration, [WITHDRAW] * 5, 5)
    assert {type(one) for one in answers} == {InsufficientFunds}
    assert len(begun) == 1
