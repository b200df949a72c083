"""The asyncio client does the same as the blocking one; here what its driver adds."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import bankrmi.aio
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.errors import AccountNotFound, InDoubt, InsufficientFunds, NotPrimary, OperationFailed, Unreached
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
        async with await bankrmi.aio.connect(bank.configuration, timeout=0.3) as client:
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


def test_a_cancelled_call_leaves_its_id_in_a_note_and_its_session_behind(tmp_path: Path) -> None:
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
            assert raised.value.__notes__ == [f"the outcome of {request_id} is unknown"]
            account.answering = Ledger({2: 300})
            await client.withdraw(2, 10)
            assert account.asked[1][1][2].split(":")[0] != request_id.split(":")[0]

    with double_bank(tmp_path, patience_ms=5000) as bank:
        run(work())
