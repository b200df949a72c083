"""Servers on a real PostgreSQL: killed, paused, handed over, under load; and what people see of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import Pyro5.api
import pytest

from bankrmi.client import connect
from bankrmi.errors import (
    AccountNotFound,
    Cancelled,
    Forgotten,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    Unreached,
)
from bankrmi.replication.sessions import new_session
from tests.engine.load import at_work, check
from tests.engine.postgresql import PostgreSql, needs_postgresql
from tests.system.cluster import LEDGER, Cluster
from tests.system.commands import bankrmi
from tests.system.ports import own_addresses

pytestmark = needs_postgresql

PATIENT = {"timeout_ms": 30_000}


@pytest.fixture
def two_databases() -> Iterator[PostgreSql]:
    with PostgreSql(standby=True) as running:
        yield running


def test_everything_that_a_bank_answers_is_answered_by_each_server(
    database: PostgreSql, tmp_path: Path
) -> None:
    with (
        own_addresses(1) as [watched],
        Cluster(tmp_path, engine=database.url, metrics={"s1": watched}) as cluster,
    ):
        cluster.start_all()
        bank = cluster.client(timeout=30)
        assert bank.balance(2).balance == LEDGER[2]
        assert (bank.withdraw(2, 10).balance, bank.deposit(2, 1).action_id) == (LEDGER[2] - 10, 2)
        with pytest.raises(InsufficientFunds) as declined:
            bank.withdraw(1, 10_000)
        assert declined.value.details["balance"] == LEDGER[1]
        with pytest.raises(AccountNotFound):
            bank.balance(999)
        assert bank.transfer(2, 3, 7).balance == LEDGER[2] - 16
        assert bank.transfer(3, 2, 7).balance == LEDGER[3]
        with pytest.raises(InsufficientFunds):
            bank.transfer(1, 2, 10_000)
        assert (bank.open_account(77).balance, bank.deposit(77, 1).balance) == (0, 1)
        assert (bank.withdraw(77, 1).balance, bank.close_account(77).balance) == (0, 0)
        with pytest.raises(AccountNotFound):
            bank.balance(77)
        assert bank.total().total == sum(LEDGER.values()) - 9
        _statements(cluster)
        first = bank.withdraw(3, 5, request_id="again:1")
        assert bank.withdraw(3, 5, request_id="again:1") == first
        with pytest.raises(InvalidRequest, match="used before, for another operation"):
            bank.withdraw(3, 6, request_id="again:1")
        with pytest.raises(Cancelled):
            bank.outcome("never:1")
        with pytest.raises(Cancelled):
            bank.withdraw(3, 5, request_id="never:1")
        assert bank.outcome("again:1") == [first]

        for server in cluster.servers:
            address = cluster.configuration.servers[server]
            with Pyro5.api.Proxy(f"PYRO:bankrmi.account.{server}@{address}") as plain:
                assert plain.balance(3)["balance"] == LEDGER[3] - 5
                assert plain.status()["role"] == "serving"
        with Pyro5.api.Proxy(f"PYRO:Pyro.NameServer@{cluster.configuration.nameserver}") as names:
            serving = names.yplookup(meta_all=["service:account", "role:primary"])
            assert sorted(serving) == [f"bankrmi.account.{server}" for server in cluster.servers]

        _commands(cluster)
        _what_is_watched(cluster, watched)
        _a_server_dies(cluster)
        database.kill("primary")
        cluster.until(
            lambda: bankrmi(cluster, "status", "--check").returncode == 8, "it is told, and nobody asked"
        )
        assert "no answer" not in bankrmi(cluster, "status").stdout
        code, text = fetched(watched, "/ready")
        assert (code, "the database does not answer" in text) == (503, True)
        database.start("primary")
        cluster.until(lambda: bankrmi(cluster, "status", "--check").returncode == 0, "it is back")
    again = tmp_path / "again"  # The bank is open: another ledger changes nothing.
    with Cluster(again, engine=database.url, ledger={1: 7}) as cluster:
        cluster.start_all()
        assert cluster.client(timeout=30).balance(3).balance == LEDGER[3] - 5


def _statements(cluster: Cluster) -> None:
    bank = cluster.client(timeout=30)
    listed = bank.statement(2)
    said = [(one.action_id, one.kind, one.amount, one.balance, one.paid_by) for one in listed.entries]
    assert said == [
        (1, "withdraw", 10, LEDGER[2] - 10, None),
        (2, "deposit", 1, LEDGER[2] - 9, None),
        (3, "transfer", 7, LEDGER[2] - 16, None),
        (4, "transfer", 7, LEDGER[2] - 9, 3),
    ]
    assert listed.action_id == listed.through == 5, "of one that is declined who is to be paid is not told"
    assert [one.action_id for one in bank.statement(2, since=2, limit=1).entries] == [4]
    assert [one.status for one in bank.statement(1).entries] == ["insufficient", "insufficient"]
    assert (bank.statement(77).balance, len(bank.statement(77).entries)) == (None, 4)
    assert bank.statement(999).entries == []
    assert bankrmi(cluster, "total").stdout == f"All accounts: {sum(LEDGER.values()) - 9}\n"
    file = cluster.directory / "statement.json"
    file.write_text(bankrmi(cluster, "statement", "2", "--json").stdout)
    checked = bankrmi(cluster, "verify-statement", str(file), str(cluster.directory))
    assert checked.returncode == 2
    assert "have no digests" in checked.stderr


def fetched(address: str, path: str) -> tuple[int, str]:
    """Return status and text of a page."""
    host, port = address.split(":")
    asked = HTTPConnection(host, int(port), timeout=20)
    asked.request("GET", path)
    answer = asked.getresponse()
    text = answer.read().decode()
    asked.close()
    return answer.status, text


def _what_is_watched(cluster: Cluster, address: str) -> None:
    for path, wanted in (("/health", 200), ("/ready", 200), ("/primary", 200), ("/standby", 503)):
        assert fetched(address, path)[0] == wanted, path
    only = cluster.configuration.with_servers({"s1": cluster.configuration.servers["s1"]})
    with connect(only, timeout=30) as bank:
        bank.deposit(5, 1)
    shown = fetched(address, "/metrics")[1]
    for line in (
        "bankrmi_database_answers 1.0",
        "bankrmi_retired 0.0",
        'bankrmi_repetitions_total{why="away"} 0.0',
    ):
        assert line in shown, shown
    for line in (
        r'bankrmi_requests_total{kind="deposit",outcome="done"} [1-9]',
        r"bankrmi_transaction_seconds_count [1-9]",
        r"bankrmi_group_requests_count [1-9]",
        r'bankrmi_info{.*server="s1".*} 1',
    ):
        assert re.search(line, shown), (line, shown)


def _commands(cluster: Cluster) -> None:
    shown = bankrmi(cluster, "status")
    assert shown.stdout.startswith("service account: 2 of 2 servers answer; the accounts are in postgres at ")
    assert bankrmi(cluster, "status", "--check").returncode == 0
    found = json.loads(bankrmi(cluster, "status", "--json").stdout)
    assert [one["database_answers"] for one in found["servers"]] == [True, True]
    assert bankrmi(cluster, "balance", "4").stdout == f"Current balance: {LEDGER[4]}\n"
    for command in (["switchover", "--yes"], ["history"], ["server", "remove", "s2", "--yes"], ["doctor"]):
        refused = bankrmi(cluster, *command)
        assert refused.returncode == 2, (command, refused)
        assert "names an engine" in refused.stderr
        assert "Traceback" not in refused.stderr


def _a_server_dies(cluster: Cluster) -> None:
    bank = cluster.client(timeout=30)
    bank.deposit(6, 1)
    for number in range(2, 6):
        cluster.kill("s1" if number % 2 else "s2")
        assert bank.deposit(6, 1).balance == number
        cluster.start("s1" if number % 2 else "s2")


def test_servers_and_their_database_are_killed_under_load_and_nothing_is_lost_or_done_twice(
    database: PostgreSql, tmp_path: Path
) -> None:
    with Cluster(tmp_path, engine=database.url, servers=3, client=PATIENT) as cluster:
        cluster.start_all()

        async def misfortunes() -> None:
            async with at_work(cluster.config, clients=8) as work:
                await work.until(100)
                for victim in cluster.servers:
                    cluster.kill(victim)
                    await work.until(60)
                    cluster.start(victim)
                database.kill("primary")
                database.start("primary")
                await work.until(100)
                cluster.kill("s1")
                database.kill("primary")
                database.start("primary")
                await work.until(60)
            check(work, database)
            assert not work.doubtful, "there was time enough for an answer to all"

        asyncio.run(misfortunes())


@pytest.mark.long
def test_what_was_acknowledged_is_there_when_the_standby_of_the_database_takes_over(
    two_databases: PostgreSql, tmp_path: Path
) -> None:
    database = two_databases
    with Cluster(tmp_path, engine=database.url, client=PATIENT) as cluster:
        cluster.start_all()

        async def handed_over() -> None:
            async with at_work(cluster.config, clients=8) as work:
                await work.until(200)
                database.kill("primary")
                database.promote()
                await work.until(200)
            check(work, database, of="standby")

        asyncio.run(handed_over())


@pytest.mark.long
def test_what_only_one_disk_has_is_acknowledged_by_nobody(two_databases: PostgreSql, tmp_path: Path) -> None:
    """A commit that waits for its standby is not cancelled: cancelled, PostgreSQL would call it done."""
    database = two_databases
    with Cluster(tmp_path, engine=database.url, client={"timeout_ms": 1_500}) as cluster:
        cluster.start_all()
        bank = cluster.client(timeout=5)
        bank.deposit(5, 1)
        database.pause("standby")
        with pytest.raises(InDoubt) as doubt:  # Several tries of the server's, each of which it gives up.
            bank.deposit(5, 100)
        with pytest.raises((InDoubt, Unreached)):
            bank.outcome(str(doubt.value.request_id))
        database.kill("primary")  # When it is back it shows what is on its own disk, and waits for nobody.
        database.start("primary")
        with pytest.raises((InDoubt, Unreached)):
            bank.outcome(str(doubt.value.request_id))
        database.resume("standby")
        settled = cluster.client(timeout=30).outcome(str(doubt.value.request_id))
        assert [one.balance for one in settled] == [LEDGER[5] + 101]


@pytest.mark.long
def test_a_primary_that_was_replaced_and_does_not_know_it_tells_no_balance(
    two_databases: PostgreSql, tmp_path: Path
) -> None:
    """Whoever asks it is told nothing, until another server of the database answers: nothing old is shown."""
    database = two_databases
    with Cluster(tmp_path, engine=database.url, client=PATIENT) as cluster:
        cluster.start_all()
        bank = cluster.client(timeout=30)
        bank.deposit(5, 1)
        with ThreadPoolExecutor(1) as asking:
            database.pause("primary")
            told = asking.submit(lambda: cluster.client(timeout=30).balance(5).balance)
            database.promote()
            changed = "UPDATE bankrmi_account.account SET balance = balance + 100 WHERE id = 5"
            database.ask(changed, of="standby")
            database.resume("primary")
            with pytest.raises(TimeoutError):
                told.result(timeout=1)
            database.kill("primary")
            assert told.result() == LEDGER[5] + 101


def test_who_may_not_use_the_database_ends_with_a_sentence_and_without_the_password(
    database: PostgreSql, tmp_path: Path
) -> None:
    other = database.url.replace("postgres@", "nobody:secret@")
    with Cluster(tmp_path, engine=other) as cluster:
        ended = bankrmi(cluster, "server", "s1")
        assert ended.returncode == 2
        assert "does not let us in" in ended.stderr
        assert "secret" not in ended.stderr
        assert "Traceback" not in ended.stderr


def test_who_may_not_make_the_tables_is_told_so(database: PostgreSql, tmp_path: Path) -> None:
    for statement in ("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN"):
        database.ask(statement)
    url = database.url.replace("postgres@", "guest@")
    with Cluster(tmp_path, engine=url, service="other") as cluster:
        ended = bankrmi(cluster, "server", "s1")
        assert ended.returncode == 2
        assert "does not allow what has to be done there: permission denied" in ended.stderr
        assert "bug" not in ended.stderr


def test_who_takes_no_changes_any_more_is_asked_no_more(database: PostgreSql, tmp_path: Path) -> None:
    with Cluster(tmp_path, engine=database.url) as cluster:
        cluster.start_all()
        bank = cluster.client(timeout=60)
        bank.deposit(6, 1)
        read_only = "ALTER SYSTEM SET default_transaction_read_only = {}"
        database.ask(read_only.format("on"))
        database.ask("SELECT pg_reload_conf()")
        with pytest.raises((InDoubt, Unreached)):
            cluster.client(timeout=1).deposit(6, 1, request_id="later:1")
        database.ask(read_only.format("off"))
        database.ask("SELECT pg_reload_conf()")
        assert bank.deposit(6, 1, request_id="later:1").balance == 2
        assert "bug" not in cluster.log("s1") + cluster.log("s2")


def test_what_is_too_old_is_forgotten_and_done_by_nobody_and_no_balance_changes(
    database: PostgreSql, tmp_path: Path
) -> None:
    day_ms = 86_400_000
    over = new_session(1000 * time.time() - 10 * day_ms)
    journal = {"keep_days": 1, "session_days": 2}
    with Cluster(tmp_path, engine=database.url, servers=1, journal=journal) as cluster:
        cluster.start_all()
        bank = cluster.client(timeout=30)
        for number in (1, 2, 3):
            bank.deposit(6, 1, request_id=f"named-{number % 2}:{number}")
        bank.transfer(6, 7, 1, request_id=f"{over}:1")
        bank.deposit(6, 1, request_id="young:1")
        database.ask(
            "UPDATE bankrmi_account.request SET decided_at = now() - interval '3 days' WHERE session <> "
            "'young'"
        )
        cluster.kill("s1")
        cluster.start("s1")  # It begins with a look at what is too old.
        rows = "SELECT session, sequence, operations IS NULL FROM bankrmi_account.request ORDER BY 1, 2"
        left = [("named-0", 2, True), ("named-1", 3, True), ("young", 1, False)]
        cluster.until(lambda: database.ask(rows) == left, "the newest of each are left, empty")
        assert database.ask("SELECT account, action_id FROM bankrmi_account.entry") == [(6, 5)]
        for request_id in ("named-1:1", "named-1:3", "named-0:2", f"{over}:1", f"{over}:2"):
            with pytest.raises(Forgotten):
                bank.deposit(6, 1, request_id=request_id)
        assert bank.deposit(6, 1, request_id="young:1").action_id == 5
        assert (bank.balance(6).balance, bank.balance(7).balance) == (3, LEDGER[7] + 1)
        listed = bank.statement(6)
        assert (listed.begins_after, [one.action_id for one in listed.entries]) == (4, [5])


def test_a_configuration_of_both_kinds_is_refused(tmp_path: Path) -> None:
    more = {"witness": "127.0.0.1:9999", "copies_min": 2, "journal": {"keep_operations": 1}}
    (tmp_path / "config.yaml").write_text(
        "engine: postgresql://anna:secret@db1/bank\nnameserver: 127.0.0.1:9\nservers: {s1: '127.0.0.1:8', "
        "s2: '127.0.0.1:7'}\n" + "".join(f"{key}: {value!r}\n" for key, value in more.items())
    )
    ended = bankrmi(tmp_path / "config.yaml", "status")
    assert ended.returncode == 2
    for part in (
        "witness keeps the view",
        "copies_min counts",
        "keep_operations is of the journals",
        "sslmode=verify-full",
    ):
        assert part in ended.stderr
    assert "secret" not in ended.stderr
