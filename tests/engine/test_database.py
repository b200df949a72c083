"""What one server asks of a real PostgreSQL: settings and errors of all kinds, and another bank there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from bankrmi.bank.forms import DEPOSIT
from bankrmi.engine import sweeping
from bankrmi.engine.database import EngineDatabase
from bankrmi.engine.deciding import Decisions, WantedRequest
from bankrmi.engine.moving import MovingDatabase, drop_schema
from bankrmi.engine.sweeping import Sweep
from bankrmi.engine.tables import Statements
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.replication.effects import IsStale
from bankrmi.replication.record import Position, packed
from tests.engine.postgresql import PostgreSql, needs_postgresql

pytestmark = needs_postgresql

LEDGER = {1: 100, 2: 200}


def deposit(request: str, account: int = 1) -> WantedRequest:
    session, _, sequence = request.partition(":")
    return WantedRequest((session, int(sequence)), packed([(DEPOSIT, account, 1)]))


def still_wanted(for_s: float = 20.0) -> Any:
    """Return what says that somebody waits, for so long."""
    until_s = time.monotonic() + for_s
    return lambda: time.monotonic() < until_s


async def opened(url: str, ledger: Mapping[int, int] = LEDGER, *, try_s: float = 10.0) -> EngineDatabase:
    bank = EngineDatabase(url, "account", try_s=try_s)
    await bank.open(ledger)
    return bank


async def decided(bank: EngineDatabase, *requests: str, for_s: float = 20.0) -> Decisions:
    found = await bank.decide([deposit(request) for request in requests], still_wanted(for_s))
    assert isinstance(found, Decisions), "nobody was answered in time"
    return found


@contextmanager
def setting(database: PostgreSql, name: str, value: str) -> Iterator[None]:
    """Have all new connections begin with this, as whoever looks after a database may have it."""
    database.ask(f"ALTER ROLE postgres SET {name} = '{value}'")
    try:
        yield
    finally:
        database.ask(f"ALTER ROLE postgres RESET {name}")


def test_a_database_whose_encoding_is_none_tells_the_same(database: PostgreSql) -> None:
    """What initdb makes where no locale is set: psycopg gives its texts as bytes, unless it is told."""
    database.ask("DROP DATABASE IF EXISTS plain")
    database.ask("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0")
    url = database.url.removesuffix("postgres") + "plain"

    async def asked() -> None:
        bank = await opened(url)
        first = await decided(bank, "s:1", "s:3")
        again = await decided(bank, "s:3", "s:2", for_s=3)
        assert again.records["s", 3] == first.records["s", 3]
        assert again.refused == {("s", 2): IsStale(3)}
        await bank.close()

    asyncio.run(asked())


class SlowLedger(dict[int, int]):
    """One whose reading begins with a nap, once, as of a machine that is moved: nothing runs."""

    naps = 1

    def items(self) -> Any:
        """Give what is in it, later."""
        if self.naps > 0:
            self.naps -= 1
            time.sleep(0.5)
        return super().items()


def test_a_server_that_slept_in_a_transaction_which_the_database_ended_repeats_it(
    database: PostgreSql,
) -> None:
    async def asked() -> None:
        bank = await opened(database.url, SlowLedger(LEDGER))
        assert bank.repetitions["away"] == 1
        await decided(bank, "s:1")
        await bank.close()

    with setting(database, "idle_in_transaction_session_timeout", "100ms"):
        asyncio.run(asked())
    assert database.ask("SELECT balance FROM bankrmi_account.account WHERE id = 1") == [(101,)]


def test_another_bank_in_the_place_of_this_one_is_served_by_nobody_who_knew_the_first(
    database: PostgreSql,
) -> None:
    async def asked() -> None:
        bank = await opened(database.url)
        await decided(bank, "s:1")
        database.ask("UPDATE bankrmi_account.bank SET history = 'another'")
        for ask in (
            lambda: bank.decide([deposit("s:2")], still_wanted()),
            lambda: bank.balances([1], still_wanted()),
            lambda: bank.total(still_wanted()),
            lambda: bank.statement(1, 0, 10, still_wanted()),
        ):
            with pytest.raises(OperationFailed, match="another bank"):
                await ask()
        await bank.close()

    asyncio.run(asked())
    assert database.ask("SELECT balance FROM bankrmi_account.account WHERE id = 1") == [(101,)]


def test_a_bank_that_is_on_its_way_there_again_is_served_by_nobody(database: PostgreSql) -> None:
    """Who was there before, when the schema was taken away and a bank is brought there anew."""

    async def asked() -> None:
        bank = await opened(database.url)
        database.ask("UPDATE bankrmi_account.bank SET arriving = 'try'")
        for ask in (
            lambda: bank.decide([deposit("s:2")], still_wanted(1)),
            lambda: bank.balances([1], still_wanted(1)),
            lambda: bank.total(still_wanted(1)),
            lambda: bank.statement(1, 0, 10, still_wanted(1)),
        ):
            assert await ask() is None
        assert "on its way" in bank.why_away
        database.ask("UPDATE bankrmi_account.bank SET arriving = NULL")
        await decided(bank, "s:1")
        await bank.close()

    asyncio.run(asked())
    assert database.ask("SELECT count(*) FROM bankrmi_account.request") == [(1,)]


def test_who_waits_for_a_bank_that_is_taken_back_opens_none_in_its_place(database: PostgreSql) -> None:
    async def asked(moving: MovingDatabase) -> None:
        bank = EngineDatabase(database.url, "account", try_s=10)
        opening = asyncio.create_task(bank.open(LEDGER))
        while not bank.why_away:
            await asyncio.sleep(0.01)
        moving.drop_arriving("a")
        with pytest.raises(ConfigurationError, match="taken back"):
            await asyncio.wait_for(opening, 20)
        await bank.close()

    with MovingDatabase(database.url, "account") as moving:
        with moving.bringing("a", "h") as bringing:
            bringing.take_accounts(LEDGER)
            bringing.note_through(Position(4, 1, b"d" * 16), begins_after=3)
        asyncio.run(asked(moving))
        assert moving.look() is None


def test_a_ledger_that_takes_longer_than_a_request_may_is_opened_all_the_same(database: PostgreSql) -> None:
    async def asked() -> None:
        bank = await asyncio.wait_for(opened(database.url, dict.fromkeys(range(30_000), 1), try_s=0.05), 60)
        await bank.close()

    asyncio.run(asked())
    assert database.ask("SELECT count(*) FROM bankrmi_account.account") == [(30_000,)]


def test_of_a_session_no_request_is_forgotten_before_an_older_one(database: PostgreSql) -> None:
    """Clocks of databases differ: after a takeover the younger request may have the older time."""

    async def asked() -> None:
        bank = await opened(database.url)
        for request in ("s:1", "s:2", "s:3"):
            await decided(bank, request)
        database.ask(
            "UPDATE bankrmi_account.request SET decided_at = now() - interval '3 days' WHERE sequence > 1"
        )
        await bank.sweep(Sweep(keep_days=1, session_days=2))
        again = await decided(bank, "s:2")
        assert not again.refused, "that it was not done would be wrong"
        assert again.records["s", 2].action_ids == (2,)
        await bank.close()

    asyncio.run(asked())


def test_a_statement_says_so_if_an_entry_in_its_middle_is_forgotten_already(
    database: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is old is forgotten in the order of sessions, a few rows at a time, and not in that of entries."""
    monkeypatch.setattr(sweeping, "_ROWS", 1)

    async def asked() -> None:
        bank = await opened(database.url)
        for request in ("z:1", "a:1", "b:1", "c:1"):
            await decided(bank, request)
        database.ask(
            "UPDATE bankrmi_account.request SET decided_at = now() - interval '3 days'"
            " WHERE session IN ('z', 'a')"
        )
        sweep = Sweep(keep_days=1, session_days=2)
        listed: list[tuple[int, list[int]]] = []
        for _ in range(4):
            found = await bank.statement(1, 0, 10, still_wanted())
            assert found is not None
            listed.append((found[2].begins_after, [one["action_id"] for one in found[2].entries]))
            await bank.sweep(sweep)
        assert listed == [(0, [1, 2, 3, 4]), (2, [3, 4]), (2, [3, 4]), (2, [3, 4])]
        database.ask("DELETE FROM bankrmi_account.entry WHERE action_id = 4")
        found = await bank.statement(1, 0, 10, still_wanted())
        assert found is not None
        assert (found[2].begins_after, found[2].through, found[2].entries) == (4, 4, [])
        await bank.close()

    asyncio.run(asked())


def test_two_services_whose_names_begin_alike_are_two_banks_in_one_database(database: PostgreSql) -> None:
    """PostgreSQL cuts the names of schemas off after 63 characters, and says nothing of it."""
    services = ["s" * 63 + last for last in "ab"]
    assert Statements("account").schema == "bankrmi_account"

    async def asked() -> None:
        for number, service in enumerate(services):
            bank = EngineDatabase(database.url, service, try_s=10)
            await bank.open({1: number})
            found = await bank.balances([1], still_wanted())
            assert found is not None
            assert found[1][1].balance == number
            await bank.close()

    try:
        asyncio.run(asked())
        with MovingDatabase(database.url, services[0]) as moving:
            assert moving.schema == Statements(services[0]).schema
            assert moving.look() is not None
    finally:
        for service in services:
            drop_schema(database.url, service)


@pytest.mark.parametrize("option", ["nonsense=1", "password=secret=secret", "sslmode=nonsense"])
def test_a_url_that_the_library_does_not_take_is_told_without_its_words(
    database: PostgreSql, option: str
) -> None:
    url = f"{database.url}?{option}"
    with pytest.raises(ConfigurationError, match=r"is not one that|does not let us in") as refused:
        asyncio.run(asyncio.wait_for(opened(url), 20))
    assert "secret" not in str(refused.value)
    with (
        pytest.raises(ConfigurationError, match=r"is not one that|does not let us in") as refused,
        MovingDatabase(url, "account"),
    ):
        pass
    assert "secret" not in str(refused.value)


def test_a_ledger_that_is_not_the_one_of_the_bank_is_told_and_changes_nothing(
    database: PostgreSql, capsys: pytest.CaptureFixture[str]
) -> None:
    async def asked() -> str:
        for ledger in (LEDGER, LEDGER, {1: 7}):
            assert "another ledger" not in capsys.readouterr().out
            bank = await opened(database.url, ledger)
            await bank.close()
        return capsys.readouterr().out

    assert "the bank in the database was opened with another ledger" in asyncio.run(asked())


@pytest.fixture(scope="module")
def pair() -> Iterator[PostgreSql]:
    with PostgreSql(standby=True) as running:
        yield running


@pytest.fixture
def two_databases(pair: PostgreSql) -> PostgreSql:
    """Return a primary and its synchronous standby, without a bank."""
    pair.ask("DROP SCHEMA IF EXISTS bankrmi_account CASCADE")
    return pair


def test_a_pooler_that_leads_to_a_standby_by_now_is_asked_again_until_it_does_not(
    two_databases: PostgreSql,
) -> None:
    """Behind one, a connection outlives the failover: `BEGIN` is refused there, and not as a change is."""
    standby = f"postgresql://postgres@127.0.0.1:{two_databases.ports['standby'].port}/postgres"

    async def asked() -> None:
        bank = await opened(two_databases.url)
        await bank.close()
        bank._idle.append(await psycopg.AsyncConnection.connect(standby, autocommit=True))
        await decided(bank, "s:1")
        bank._idle.insert(0, await psycopg.AsyncConnection.connect(standby, autocommit=True))
        while len(bank._idle) > 1:
            await bank._idle.pop().close()
        assert await bank.statement(1, 0, 10, still_wanted()) is not None
        await bank.close()

    asyncio.run(asked())


def test_a_commit_that_the_database_was_told_to_wait_for_no_longer_is_not_acknowledged(
    two_databases: PostgreSql,
) -> None:
    """Whoever cancels what hangs (`pg_cancel_backend`) has PostgreSQL call it done: it is on one disk."""
    database = two_databases
    waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    async def asked() -> None:
        bank = await opened(database.url)
        await decided(bank, "s:1")
        database.pause("standby")
        try:
            asking = asyncio.create_task(decided(bank, "s:2", for_s=60))
            for _ in range(2):
                while not (waiting := await asyncio.to_thread(database.ask, waits)) and not asking.done():
                    await asyncio.sleep(0.02)
                assert not asking.done(), "the standby has nothing of it"
                await asyncio.to_thread(database.ask, f"SELECT pg_cancel_backend({waiting[0][0]})")
                until = time.monotonic() + 0.5
                while time.monotonic() < until and not asking.done():
                    await asyncio.sleep(0.02)
            assert not asking.done(), "the standby has nothing of it"
        finally:
            database.resume("standby")
        assert (await asking).records["s", 2].action_ids == (2,)
        await bank.close()

    asyncio.run(asked())


def test_what_was_only_seen_is_no_reason_to_refuse_a_request(two_databases: PostgreSql) -> None:
    """Behind a pooler, a connection outlives a crash; what is seen after that, the standby may not have."""
    database = two_databases

    async def asked() -> None:
        bank = await opened(database.url)
        await decided(bank, "s:1", "s:3")
        database.pause("standby")
        try:
            asking = asyncio.create_task(bank.decide([WantedRequest(("s", 2), b"")], still_wanted(60)))
            done, _ = await asyncio.wait({asking}, timeout=1)
            assert not done, "no commit came after the look"
        finally:
            database.resume("standby")
        found = await asking
        assert isinstance(found, Decisions)
        assert found.refused == {("s", 2): IsStale(3)}
        await bank.close()

    asyncio.run(asked())
