"""The blocking client against servers that answer, refuse, name another, fall silent and die."""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import ref

import pytest

import bankrmi
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client import BankClient
from bankrmi.client.permits import Permits
from bankrmi.errors import (
    AccountNotFound,
    BrokenInvariant,
    Busy,
    Cancelled,
    ConfigurationError,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    NotPrimary,
    OperationFailed,
    Stale,
    Unreached,
)
from bankrmi.rmi import Call
from tests.client.doubles import DoubleBank, Ledger, double_bank, name_server, named
from tests.rmi.account import until


@pytest.fixture
def client(bank: DoubleBank) -> Iterator[BankClient]:
    with bankrmi.connect(bank.configuration) as opened:
        yield opened


def never(call: Call) -> None:
    """Keep the caller waiting."""


def not_primary(primary: str) -> object:
    return lambda call: call.fail(NotPrimary(f"{primary} leads", primary=primary))


def test_the_operations_and_their_answers(bank: DoubleBank, client: BankClient) -> None:
    bank.start("s1", Ledger({2: 300, 3: 450}))
    assert client.balance(2) == Receipt(2, 300, 0)
    withdrawn = client.withdraw(2, 10)
    assert (withdrawn.balance, withdrawn.action_id) == (290, 1)
    assert client.outcome(str(withdrawn.request_id)) == [withdrawn]
    assert client.deposit(3, 50, request_id="script:1") == Receipt(3, 500, 2, "script:1")
    assert client.status()["role"] == "primary"


def test_a_batch_is_one_request_and_each_operation_has_its_own_answer(
    bank: DoubleBank, client: BankClient
) -> None:
    account = bank.start("s1", Ledger({2: 300}))
    done, refused = client.submit([Withdraw(2, 10), Deposit(50, 1)], request_id="script:7")
    assert done == Receipt(2, 290, 1, "script:7")
    assert isinstance(refused, AccountNotFound)
    assert (refused.account, refused.request_id) == (50, "script:7")
    assert len(account.asked) == 1


def test_every_request_has_an_id_of_its_own_in_one_session(bank: DoubleBank, client: BankClient) -> None:
    account = bank.start("s1", Ledger({2: 300}))
    for _ in range(3):
        client.withdraw(2, 1)
    sessions, sequences = zip(*(args[2].split(":") for _, args in account.asked), strict=True)
    assert len(set(sessions)) == 1
    assert sequences == ("1", "2", "3")


def test_the_newest_that_was_seen_is_sent_along(bank: DoubleBank, client: BankClient) -> None:
    account = bank.start("s1", Ledger({2: 300}))
    client.withdraw(2, 1)
    client.balance(2)
    assert [args[-1] for _, args in account.asked] == [None, ["h1", 1]]


def test_with_one_server_dead_the_other_is_asked(bank: DoubleBank, client: BankClient) -> None:
    bank.start("s2", Ledger({2: 300}))
    assert client.withdraw(2, 10).balance == 290


def test_the_named_primary_is_followed_and_remembered(bank: DoubleBank, client: BankClient) -> None:
    first = bank.start("s1", not_primary("s2"))  # type: ignore[arg-type]
    bank.start("s2", Ledger({2: 300}))
    client.withdraw(2, 10)
    client.withdraw(2, 10)
    assert len(first.asked) == 1


def test_a_server_that_dies_under_a_request_costs_only_the_time_to_ask_the_other(
    bank: DoubleBank, client: BankClient
) -> None:
    """The same request under the same id, so that it is done once whoever had it already."""
    first = bank.start("s1", lambda call: threading.Thread(target=bank.stop, args=["s1"]).start())
    second = bank.start("s2", Ledger({2: 300}))
    began = time.monotonic()
    assert client.withdraw(2, 10).balance == 290
    assert time.monotonic() - began < 1.5
    assert first.asked == second.asked


def test_a_silent_server_is_given_up_after_the_patience(tmp_path: Path) -> None:
    with double_bank(tmp_path, patience_ms=100) as bank, bankrmi.connect(bank.configuration) as client:
        bank.start("s1", never)
        bank.start("s2", Ledger({2: 300}))
        waited: list[int] = []
        client._memory.on_waiting = lambda: waited.append(1)
        assert client.withdraw(2, 10).balance == 290
        assert client.balance(2).balance == 290
        assert waited == [1]


@pytest.mark.parametrize("kind", [InsufficientFunds, AccountNotFound, Stale, Cancelled])
def test_what_is_refused_is_refused_and_not_sent_again(
    bank: DoubleBank, client: BankClient, kind: type[bankrmi.errors.Refused]
) -> None:
    """Stock Pyro makes a CommunicationError of an unknown class, and a naive wrapper would send it again."""
    first = bank.start("s1", lambda call: call.fail(kind("no", account=2)))
    second = bank.start("s2", Ledger({2: 300}))
    with pytest.raises(kind) as raised:
        client.withdraw(2, 10)
    assert raised.value.account == 2
    assert (len(first.asked), len(second.asked)) == (1, 0)


def test_nobody_there_means_it_did_not_happen(bank: DoubleBank) -> None:
    with bankrmi.connect(bank.configuration, timeout=0.2) as client:
        with pytest.raises(Unreached):
            client.withdraw(2, 10)
        with pytest.raises(Unreached):
            client.balance(2)


def test_reaching_nobody_leaves_an_id_of_ones_own_and_an_outcome_open(bank: DoubleBank) -> None:
    with bankrmi.connect(bank.configuration, timeout=0.2) as client:
        for ask in (lambda: client.withdraw(2, 10, request_id="a:1"), lambda: client.outcome("a:1")):
            with pytest.raises(InDoubt) as raised:
                ask()
            assert raised.value.request_id == "a:1"


@pytest.mark.parametrize("answering", [never, lambda call: call.fail(BrokenInvariant("I stop"))])
def test_sent_and_unanswered_is_in_doubt_and_the_session_is_left(bank: DoubleBank, answering: object) -> None:
    """Whoever has the id can still repeat the request, because nothing newer of its session follows."""
    account = bank.start("s1", answering)  # type: ignore[arg-type]
    with bankrmi.connect(bank.configuration, timeout=1.5) as client:
        with pytest.raises(InDoubt) as raised:
            client.withdraw(2, 10)
        session = str(raised.value.request_id).split(":")[0]
        until(lambda: bool(account.asked))
        ledger = account.answering = Ledger({2: 300})
        assert client.withdraw(2, 5).request_id != f"{session}:2"
        assert client.withdraw(2, 10, request_id=str(raised.value.request_id)).balance == 285
        assert len(ledger.done) == 2


def test_what_is_malformed_is_never_sent(bank: DoubleBank, client: BankClient) -> None:
    account = bank.start("s1", Ledger({2: 300}))
    for wrong in (
        lambda: client.withdraw(2, -1),
        lambda: client.withdraw(2, 1.5),  # type: ignore[arg-type]
        lambda: client.balance("2"),  # type: ignore[arg-type]
        lambda: client.deposit(2, 2**63),
        lambda: client.withdraw(2, 1, request_id="no id"),
        lambda: client.outcome("no id"),
        lambda: client.submit([]),
        lambda: client.submit([("withdraw", 2, 1)]),  # type: ignore[list-item]
        lambda: client.submit([Withdraw(2, 1)] * 8193),
    ):
        with pytest.raises(InvalidRequest):
            wrong()
    assert account.asked == []


def test_an_answer_that_cannot_be_read_settles_nothing(bank: DoubleBank) -> None:
    bank.start("s1", lambda call: call.answer({"balance": "much"}))
    with bankrmi.connect(bank.configuration, timeout=0.5) as client, pytest.raises(InDoubt) as raised:
        client.withdraw(2, 10)
    assert raised.value.request_id


def test_threads_have_sessions_of_their_own(bank: DoubleBank, client: BankClient) -> None:
    account = bank.start("s1", Ledger({2: 300}))
    meeting = threading.Barrier(4)

    def pay() -> None:
        meeting.wait()
        for _ in range(20):
            client.withdraw(2, 1)

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert client.balance(2).balance == 220
    request_ids = [args[2] for method, args in account.asked if method == "withdraw"]
    assert len(set(request_ids)) == 80


def test_the_name_server_tells_who_leads(bank: DoubleBank, client: BankClient) -> None:
    first = bank.start("s1", not_primary("s2"))  # type: ignore[arg-type]
    bank.start("s2", Ledger({2: 300}))
    answer = named({"s2": (bank.configuration.servers["s2"], "primary")})
    with name_server(bank.configuration.nameserver, answer) as names:
        assert client.withdraw(2, 10).balance == 290
    assert names.asked == [{"service:account", "role:primary"}]
    assert first.asked == []


def test_closing_twice_is_fine_and_a_closed_client_says_so(bank: DoubleBank, client: BankClient) -> None:
    bank.start("s1", Ledger({2: 300}))
    client.balance(2)
    client.close()
    client.close()
    with pytest.raises(OperationFailed, match="closed"):
        client.balance(2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_use_its_parents_session(bank: DoubleBank, client: BankClient) -> None:
    account = bank.start("s1", Ledger({2: 300}))
    client.withdraw(2, 1)
    child = os.fork()
    if child == 0:
        os._exit(0 if client.withdraw(2, 1).balance == 298 else 1)
    assert os.waitpid(child, 0)[1] == 0
    client.withdraw(2, 1)
    sessions = [args[2].split(":")[0] for _, args in account.asked]
    assert sessions[0] == sessions[2] != sessions[1]


def test_an_interrupted_call_leaves_its_id_as_an_attribute(bank: DoubleBank, client: BankClient) -> None:
    account = bank.start("s1", never)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt) as raised:
            client.withdraw(2, 10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert raised.value.request_id == account.asked[0][1][2]  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Interrupted while it is closed, a socket is left.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wherever_it_is_interrupted_after_it_was_sent_a_call_carries_its_request_id(
    bank: DoubleBank, client: BankClient
) -> None:
    """At every line of ours, one after the other, until one call gets through."""
    account = bank.start("s1", Ledger({2: 1_000_000}))
    known = {client.withdraw(2, 1).request_id}
    ours = {str(Path(bankrmi.client.__file__).parent / name) for name in ("blocking_client.py", "channel.py")}
    for line in range(10_000):
        left, inside = line, False

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left, inside
            if frame.f_code.co_name == "_perform" and event == "return":
                inside = False
            if event == "call" and frame.f_code.co_name == "_send":
                inside = True
            if inside and event == "line" and frame.f_code.co_filename in ours:
                left -= 1
                if left < 0:
                    inside = False
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        try:
            sys.settrace(trace)
            known.add(client.withdraw(2, 1).request_id)
        except KeyboardInterrupt as interruption:
            sys.settrace(before)
            known.add(interruption.request_id)  # type: ignore[attr-defined]
        else:
            sys.settrace(before)
            assert line > 20, "it was interrupted in many places"
            assert {call[1][2] for call in account.asked} <= known
            gc.collect()
            return
    raise AssertionError("it never gets through")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Interrupted while it is closed, a socket is left.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_interruption_costs_a_client_one_of_its_permits(tmp_path: Path) -> None:
    """With one permit alone: a lost one would end the client, and a lock that stays held would hang it."""
    files = {str(Path(bankrmi.client.__file__).parent / "permits.py"), queue.__file__, threading.__file__}
    with double_bank(tmp_path, calls_at_once=1) as bank:
        bank.start("s1", Ledger({2: 1_000_000}))
        with bankrmi.connect(bank.configuration, timeout=5) as client:
            for line in range(10_000):
                left = line

                def trace(frame: FrameType, event: str, _: object) -> Any:
                    nonlocal left
                    code = frame.f_code
                    where = code.co_name == "_perform" or code.co_filename in files
                    if event == "line" and where:
                        left -= 1
                        if left == -1:
                            raise KeyboardInterrupt
                    return trace

                before = sys.gettrace()
                try:
                    sys.settrace(trace)
                    client.withdraw(2, 1)
                except KeyboardInterrupt:
                    sys.settrace(before)
                else:
                    sys.settrace(before)
                    assert line > 15, "it was interrupted in many places"
                    gc.collect()
                    return
                gc.collect()
                assert len(client._kept.permits) >= 1, f"after {line} lines"
    raise AssertionError("it never gets through")


def test_a_client_that_is_thrown_away_takes_its_permits_along() -> None:
    permits = Permits(3)
    taken = permits.take(0)
    assert taken is not None
    gone = ref(permits._queue)
    del permits
    taken.give_back()
    assert gone() is None


def test_threads_share_as_many_connections_as_a_client_may_have(tmp_path: Path) -> None:
    with (
        double_bank(tmp_path, calls_at_once=3) as bank,
        bankrmi.connect(bank.configuration, timeout=60) as client,
    ):
        bank.start("s1", Ledger({2: 300}))
        threads = [threading.Thread(target=client.withdraw, args=(2, 1)) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert client.balance(2).balance == 240
        assert 1 <= len(client._kept.idle) <= 3


def in_doubt(client: BankClient) -> None:
    with pytest.raises(InDoubt):
        client.withdraw(2, 1)


def test_a_thread_that_waits_too_long_behind_others_is_told_that_nothing_was_sent(
    tmp_path: Path,
) -> None:
    with double_bank(tmp_path, calls_at_once=1) as bank:
        account = bank.start("s1", never)
        with bankrmi.connect(bank.configuration, timeout=1) as client:
            first = threading.Thread(target=in_doubt, args=(client,))
            first.start()
            until(lambda: account.asked)
            with pytest.raises(Busy, match="nothing was sent: this client has 1 calls under way"):
                client.withdraw(2, 1)
            first.join(20)
        assert len(account.asked) == 1


def test_a_callback_of_the_callers_that_fails_is_no_stranger_among_our_errors(bank: DoubleBank) -> None:
    def fails() -> None:
        raise RecursionError("in the callback")

    with bankrmi.connect(bank.configuration, timeout=1.5, on_waiting=fails) as client:
        with pytest.raises(Unreached, match="in the callback"):
            client.withdraw(2, 10)
        bank.start("s1", lambda call: call.fail(NotPrimary("nobody leads")))
        with pytest.raises(InDoubt, match="in the callback"):
            client.withdraw(2, 10)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "3", b"3", 10**400, [1]], ids=type)
def test_a_timeout_that_is_none_is_refused(bank: DoubleBank, timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a timeout"):
        bankrmi.connect(bank.configuration, timeout=timeout)


@pytest.mark.parametrize("configuration", [5, {"servers": {}}, b"config.yaml"], ids=type)
def test_what_is_neither_a_configuration_nor_a_path_is_refused(configuration: Any) -> None:
    with pytest.raises(ConfigurationError, match="neither a configuration nor its path"):
        bankrmi.connect(configuration)
