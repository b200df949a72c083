"""What moving a bank does in a real PostgreSQL: one try at a time, and nothing is missed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from bankrmi.bank.forms import DEPOSIT
from bankrmi.engine.moving import KeptRequest, MovingDatabase
from bankrmi.errors import OperationFailed
from bankrmi.replication.record import Position, Record, chained, packed
from tests.engine.postgresql import PostgreSql, needs_postgresql

pytestmark = needs_postgresql

BEGIN = Position(4, 1, b"d" * 16)


def record(before: Position, account: int, balance: int) -> Record:
    decided = (1, packed([(DEPOSIT, account, 1)]), packed([balance]))
    return chained(before, 1, ("s", before.action_id), decided, 1_700_000_000_000_000)


@pytest.fixture
def moving(database: PostgreSql) -> Iterator[MovingDatabase]:
    """A database to which the try "a" has brought a bank, with accounts 1 and 2; it is not open."""
    with MovingDatabase(database.url, "account") as moving:
        with moving.bringing("a", "h") as bringing:
            content = packed([(DEPOSIT, 1, 1)]), packed([100])
            bringing.take_requests([KeptRequest("old", 9, (4,), *content, 1_700_000_000_000_000)])
            bringing.take_accounts({1: 100, 2: 200})
            bringing.note_through(BEGIN, begins_after=3)
        yield moving


def test_what_is_on_its_way_is_there_whole_or_not_at_all_and_can_be_gone_on_from(
    moving: MovingDatabase, database: PostgreSql
) -> None:
    with suppress(ZeroDivisionError), moving.bringing("b", "h") as bringing:
        bringing.take_accounts({7: 1})
        raise ZeroDivisionError
    row = moving.look()
    assert row is not None
    assert (row.arriving, row.through, row.base, row.begins_after) == ("a", BEGIN, 4, 3)
    more = record(BEGIN, 2, 201)
    moving.bring_more("a", [more], opens=False)
    moving.bring_more("a", [], opens=True)
    row = moving.look()
    assert row is not None
    assert (row.arriving, row.through) == (None, more.position)
    with moving.read() as leaving:
        assert dict(leaving.accounts()) == {1: 100, 2: 201}
        assert leaving.newest_action_id() == 5
        assert [(one.session, one.sequence) for one in leaving.newest_requests()] == [("old", 9), ("s", 4)]


def test_a_try_that_another_one_has_taken_the_place_of_changes_nothing_more(
    moving: MovingDatabase, database: PostgreSql
) -> None:
    with MovingDatabase(database.url, "account") as second:
        second.claim("b", "a")
        late: Callable[[], None]
        for late in (
            lambda: moving.bring_more("a", [record(BEGIN, 2, 201)], opens=False),
            lambda: moving.bring_more("a", [], opens=True),
            lambda: moving.drop_arriving("a"),
        ):
            with pytest.raises(OperationFailed, match="another `bankrmi migrate` works on"):
                late()
        second.drop_arriving("b")
        assert second.look() is None
        with pytest.raises(OperationFailed):
            moving.bring_more("a", [], opens=True)


def test_what_was_decided_before_the_bank_was_retired_is_read_though_it_is_committed_later(
    moving: MovingDatabase, database: PostgreSql
) -> None:
    moving.bring_more("a", [], opens=True)
    found: dict[int, int] = {}
    with (
        psycopg.connect(database.url, autocommit=True) as server,
        MovingDatabase(database.url, "account") as reader,
    ):
        server.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        assert server.execute("SELECT retired_for FROM bankrmi_account.bank").fetchone() == (None,)
        server.execute("UPDATE bankrmi_account.account SET balance = 7 WHERE id = 1")
        moving.retire("servers", "next")

        def read() -> None:
            with reader.read() as leaving:
                found.update(leaving.accounts())

        reading = threading.Thread(target=read)
        reading.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SafeSnapshot'"
        database.until(lambda: database.ask(waits) == [(1,)] or not reading.is_alive())
        server.execute("COMMIT")
        reading.join(30)
    assert found == {1: 7, 2: 200}


def test_nothing_is_retired_twice_and_it_is_reinstated_by_whom_it_was_retired_for(
    moving: MovingDatabase, database: PostgreSql
) -> None:
    with pytest.raises(OperationFailed, match="on its way there"):
        moving.retire("servers", "next")
    moving.bring_more("a", [], opens=True)
    moving.retire("servers", "next")
    with pytest.raises(OperationFailed, match="has left"):
        moving.retire("others", "another")
    with pytest.raises(OperationFailed):
        moving.reinstate("another", lambda: None)
    moving.reinstate("next", lambda: None)
    row = moving.look()
    assert row is not None
    assert (row.retired_for, row.successor) == (None, None)


def test_whoever_looks_after_the_database_and_ends_what_stands_still_does_not_end_a_move(
    database: PostgreSql,
) -> None:
    """A large bank is fetched for minutes, in one transaction, which does nothing meanwhile."""
    limits = ("idle_in_transaction_session_timeout", "statement_timeout")
    for name in limits:
        database.ask(f"ALTER ROLE postgres SET {name} = '100ms'")
    try:
        with MovingDatabase(database.url, "account") as moving:
            with moving.bringing("a", "h") as bringing:
                bringing.take_accounts({1: 100})
                time.sleep(0.3)
                moving._execute("SELECT pg_sleep(0.3)")
                bringing.note_through(BEGIN, begins_after=3)
            moving.bring_more("a", [], opens=True)
            moving.retire("servers", "next")
            with moving.held("next"):
                time.sleep(0.3)
            with moving.read() as leaving:
                time.sleep(0.3)
                assert dict(leaving.accounts()) == {1: 100}
    finally:
        for name in limits:
            database.ask(f"ALTER ROLE postgres RESET {name}")


def test_what_the_database_was_told_to_wait_for_no_longer_is_not_a_step_that_was_done() -> None:
    """It is on one disk: the next takeover may lose it, and both would be served."""
    waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with PostgreSql(standby=True) as database, MovingDatabase(database.url, "account") as moving:
        with moving.bringing("a", "h") as bringing:
            bringing.take_accounts({1: 100})
            bringing.note_through(BEGIN, begins_after=3)
        moving.bring_more("a", [], opens=True)
        database.pause("standby")
        with ThreadPoolExecutor(1) as retiring:
            retired = retiring.submit(moving.retire, "servers", "next")
            database.until(lambda: database.ask(waits))
            database.ask(f"SELECT pg_cancel_backend(({waits}))")
            with pytest.raises(OperationFailed, match="run the command again"):
                retired.result(30)
        database.resume("standby")
