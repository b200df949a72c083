"""The asyncio client does the same as the blocking one; here what its driver adds."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import bankrmi.aio
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client import idle, loop_client
from bankrmi.client.channel import Channel
from bankrmi.errors import (
    AccountNotFound,
    Busy,
    InDoubt,
    InsufficientFunds,
    NotPrimary,
    OperationFailed,
    Unreached,
)
from bankrmi.rmi import Call
from tests.client.doubles import Ledger, double_bank


def run(work: Any) -> Any:
    return asyncio.run(work)


def test_the_operations_and_their_answers(tmp_path: Path) -> None:
    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration) as client:
            assert await client.balance(2) == Receipt(2, 300, 0)
            withdrawn = await client.withdraw(2, 10)
            assert withdrawn.balance == 290
            assert await client.outcome(str(withdrawn.request_id)) == [withdrawn]
            assert (await client.deposit(2, 5, request_id="a:1")).balance == 295
            done, refused = await client.submit([Withdraw(2, 1), Deposit(50, 1)])
            assert isinstance(done, Receipt)
            assert isinstance(refused, AccountNotFound)
            assert (await client.status())["role"] == "primary"
        with pytest.raises(OperationFailed):
            await client.balance(2)

    with double_bank(tmp_path) as bank:
        bank.start("s1", Ledger({2: 300}))
        run(work())


def test_many_tasks_go_out_side_by_side(tmp_path: Path) -> None:
    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration) as client:
            await asyncio.gather(*(client.withdraw(2, 1) for _ in range(50)))
            assert (await client.balance(2)).balance == 250

    with double_bank(tmp_path) as bank:
        account = bank.start("s1", Ledger({2: 300}))
        run(work())
        assert len({args[2] for method, args in account.asked if method == "withdraw"}) == 50


def test_a_server_that_dies_under_a_request_costs_only_the_time_to_ask_the_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration) as client:
            assert (await client.withdraw(2, 10)).balance == 290

    with double_bank(tmp_path) as bank:
        first = bank.start("s1", lambda call: threading.Thread(target=bank.stop, args=["s1"]).start())
        second = bank.start("s2", Ledger({2: 300}))
        run(work())
        assert first.asked == second.asked


def test_a_silent_server_is_given_up_after_the_patience_and_the_named_one_is_followed(tmp_path: Path) -> None:
    waited: list[int] = []

    async def work() -> None:
        tell = lambda: waited.append(1)  # noqa: E731
        async with await bankrmi.aio.connect(bank.configuration, on_waiting=tell) as client:
            assert (await client.withdraw(2, 10)).balance == 290
            assert (await client.withdraw(2, 10)).balance == 280

    with double_bank(tmp_path, patience_ms=100) as bank:
        bank.start("s1", lambda call: None)
        bank.start("s2", Ledger({2: 300}))
        run(work())
    assert waited == [1]


def test_refused_is_final_and_unanswered_is_in_doubt_and_unsent_did_not_happen(tmp_path: Path) -> None:
    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration, timeout=1.5) as client:
            with pytest.raises(Unreached):
                await client.withdraw(2, 10)
            account = bank.start("s1", lambda call: call.fail(InsufficientFunds("no")))
            with pytest.raises(InsufficientFunds):
                await client.withdraw(2, 10)
            assert len(account.asked) == 1
            account.answering = lambda call: call.fail(NotPrimary("nobody leads"))
            with pytest.raises(InDoubt) as raised:
                await client.withdraw(2, 10)
            assert raised.value.request_id

    with double_bank(tmp_path) as bank:
        run(work())


def test_a_cancelled_call_leaves_its_id_as_an_attribute_and_its_session_behind(tmp_path: Path) -> None:
    async def work() -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        def keep_waiting(_: Call) -> None:
            loop.call_soon_threadsafe(asked.set)

        account = bank.start("s1", keep_waiting)
        async with await bankrmi.aio.connect(bank.configuration) as client:
            call = asyncio.create_task(client.withdraw(2, 10))
            await asyncio.wait_for(asked.wait(), 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await call
            request_id = account.asked[0][1][2]
            assert raised.value.request_id == request_id  # type: ignore[attr-defined]
            assert raised.value.__notes__ == [f"the outcome of {request_id} is unknown"]
            account.answering = Ledger({2: 300})
            await client.withdraw(2, 10)
            assert account.asked[1][1][2].split(":")[0] != request_id.split(":")[0]

    with double_bank(tmp_path, patience_ms=5000) as bank:
        run(work())


def test_a_call_that_ran_into_a_timeout_of_asyncio_leaves_its_id_in_the_cause(tmp_path: Path) -> None:
    async def work() -> None:
        loop, limit = asyncio.get_running_loop(), asyncio.timeout(60)

        def ends(_: Call) -> None:
            loop.call_soon_threadsafe(lambda: limit.reschedule(loop.time()))

        async def call(client: bankrmi.aio.AsyncBankClient) -> None:
            async with limit:
                await client.withdraw(2, 10)

        account = bank.start("s1", ends)
        async with await bankrmi.aio.connect(bank.configuration) as client:
            with pytest.raises(TimeoutError) as raised:
                await call(client)
            cause: Any = raised.value.__cause__
            assert cause.request_id == account.asked[0][1][2]

    with double_bank(tmp_path, patience_ms=5000) as bank:
        run(work())


def test_a_client_outlives_its_event_loop(tmp_path: Path) -> None:
    """Four withdrawals by four `asyncio.run`: four receipts, each done once."""
    with double_bank(tmp_path) as bank:
        account = bank.start("s1", Ledger({2: 300}))
        client = run(bankrmi.aio.connect(bank.configuration))
        receipts = [run(client.withdraw(2, 10)) for _ in range(4)]
        assert [receipt.balance for receipt in receipts] == [290, 280, 270, 260]
        assert len(account.asked) == 4
        run(client.close())
        gc.collect()


def test_two_event_loops_in_two_threads_may_share_a_client(tmp_path: Path) -> None:
    with double_bank(tmp_path) as bank:
        account = bank.start("s1", Ledger({2: 300}))
        client = run(bankrmi.aio.connect(bank.configuration))

        async def pay() -> None:
            await asyncio.gather(*(client.withdraw(2, 1) for _ in range(20)))

        threads = [threading.Thread(target=run, args=[pay()]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len({args[2] for _, args in account.asked}) == 60
        run(client.close())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_begins_with_connections_of_its_own(tmp_path: Path) -> None:
    with double_bank(tmp_path) as bank:
        account = bank.start("s1", Ledger({2: 300}))

        async def work() -> None:
            async with await bankrmi.aio.connect(bank.configuration) as client:
                await client.withdraw(2, 1)
                child = os.fork()
                if child == 0:
                    asyncio.events._set_running_loop(None)
                    os._exit(0 if asyncio.run(client.withdraw(2, 1)).balance == 298 else 1)
                assert os.waitpid(child, 0)[1] == 0
                assert (await client.withdraw(2, 1)).balance == 297

        run(work())
        sessions = [args[2].split(":")[0] for _, args in account.asked]
        assert sessions[0] == sessions[2] != sessions[1]


def test_a_crowd_shares_as_many_connections_as_a_client_may_have_and_keeps_them_for_the_next_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = 0
    open_line = Channel._open

    def counted(channel: Channel, line: Any) -> None:
        nonlocal opened
        opened += 1
        open_line(channel, line)

    monkeypatch.setattr(Channel, "_open", counted)

    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration) as client:
            for _ in range(3):
                await asyncio.gather(*(client.withdraw(2, 1) for _ in range(300)))

    with double_bank(tmp_path, patience_ms=20_000, timeout_ms=60_000) as bank:
        bank.start("s1", Ledger({2: 10_000}))
        run(work())
    assert opened == bank.configuration.client.calls_at_once == 128


def test_who_waits_for_too_long_behind_other_calls_is_told_that_nothing_was_sent(tmp_path: Path) -> None:
    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration, timeout=0.4) as client:
            first = asyncio.create_task(client.withdraw(2, 1))
            await asyncio.sleep(0)
            with pytest.raises(Busy, match=r"nothing was sent: this client has 1 calls under way") as busy:
                await client.withdraw(2, 1, request_id="mine:1")
            assert busy.value.details["request_id"] == "mine:1"
            with pytest.raises(InDoubt):
                await first
            answers.set()
            assert (await client.withdraw(2, 1)).balance < 300

    with double_bank(tmp_path, calls_at_once=1) as bank:
        answers = threading.Event()
        ledger = Ledger({2: 300})
        account = bank.start("s1", lambda call: ledger(call) if answers.is_set() else None)
        run(work())
        assert "mine:1" not in [args[2] for _, args in account.asked]


def test_who_is_cancelled_behind_other_calls_carries_an_id_whose_outcome_can_be_asked(tmp_path: Path) -> None:
    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration, timeout=5) as client:
            first = asyncio.create_task(client.withdraw(2, 1))
            second = asyncio.create_task(client.withdraw(2, 1))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await second
            asked = cancelled.value.request_id  # type: ignore[attr-defined]
            assert cancelled.value.__notes__ == [f"{asked} was not sent"]
            answers.set()
            assert (await first).balance == 299
            assert (await client.withdraw(2, 1)).balance == 298  # Its turn was not lost.

    with double_bank(tmp_path, calls_at_once=1) as bank:
        answers = threading.Event()
        ledger = Ledger({2: 300})

        def answer(call: Any) -> None:
            answers.wait(5)
            ledger(call)

        bank.start("s1", answer)
        run(work())


def test_connections_that_nobody_uses_for_long_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "IDLE_MS", 50)
    monkeypatch.setattr(loop_client, "IDLE_MS", 50)

    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration) as client:
            await asyncio.gather(*(client.withdraw(2, 1) for _ in range(10)))
            (home,) = client._homes.values()
            async with asyncio.timeout(10):
                while len(home.idle):
                    await asyncio.sleep(0.01)
            assert (await client.balance(2)).balance == 290

    with double_bank(tmp_path) as bank:
        bank.start("s1", Ledger({2: 300}))
        run(work())


def test_of_many_tasks_one_asks_the_name_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leads; on a busy machine one that waits for long asks besides who else there is."""
    asked = []

    async def look_up(_: object, tags: tuple[str, ...], *more: object) -> list[object]:
        asked.append("role:primary" in tags)
        await asyncio.sleep(0)
        return []

    monkeypatch.setattr(loop_client, "look_up_async", look_up)

    async def work() -> None:
        async with await bankrmi.aio.connect(bank.configuration) as client:
            await asyncio.gather(*(client.withdraw(2, 1) for _ in range(50)))

    with double_bank(tmp_path) as bank:
        bank.start("s1", Ledger({2: 300}))
        run(work())
    assert asked.count(True) == 1
