"""A bank goes from its servers to a real PostgreSQL and back, while a client calls; interrupted anywhere."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bankrmi.bank.operations import Deposit, Operation, Receipt, Transfer, Withdraw
from bankrmi.client import BankClient, connect
from bankrmi.config import load
from bankrmi.errors import BankError, Cancelled, Forgotten, InDoubt, InvalidRequest, Stale
from tests.engine.postgresql import PostgreSql, needs_postgresql
from tests.system.cluster import LEDGER, NAMESERVER, Cluster
from tests.system.commands import bankrmi

pytestmark = needs_postgresql

PATIENT = {"timeout_ms": 60_000}
BATCH: list[Operation] = [Deposit(6, 30), Transfer(6, 7, 5), Withdraw(8, 1_000), Withdraw(6, 1)]


class Caller:
    """One client that deposits 1 again and again, and counts what it was told was done."""

    def __init__(self, config: Path, account: int) -> None:
        self._config = config
        self._account = account
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.done = 0
        self.doubtful: list[str] = []
        self.broke: BaseException | None = None

    def _call(self) -> None:
        try:
            with connect(self._config, timeout=60) as bank:
                while not self._over.is_set():
                    try:
                        bank.deposit(self._account, 1)
                        self.done += 1
                    except InDoubt as doubt:
                        self.doubtful.append(str(doubt.request_id))
        except BaseException as broke:
            self.broke = broke

    @contextmanager
    def calling(self) -> Iterator[Caller]:
        """Have it call as long as the context lasts."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join(90)
        assert self.broke is None, self.broke

    def goes_on(self, cluster: Cluster, more: int = 5) -> None:
        """Wait until it was told of more."""
        wanted = self.done + more
        cluster.until(lambda: self.done >= wanted or self.broke, "the client that was there before goes on")


def migrate(cluster: Cluster, *arguments: str, dies_at: str = "") -> str:
    """Run it; return what it told, or (`dies_at`) see it die there."""
    env = os.environ | {"BANKRMI_FAILPOINT": f"migrate:{dies_at}:1" if dies_at else ""}
    ended = bankrmi(cluster, "migrate", *arguments, "--yes", env=env)
    assert ended.returncode == (-9 if dies_at else 0), (arguments, dies_at, ended)
    return ended.stdout + ended.stderr


def paused_s(told: str) -> float:
    found = re.search(r"clients waited ([0-9.]+) s", told)
    assert found is not None, told
    return float(found[1])


def configured(cluster: Cluster, *, engine: str | None) -> None:
    """Have the same servers, at their addresses, keep the accounts in that database, or themselves."""
    left_out = ("engine:", "journal:")
    lines = [line for line in cluster.config.read_text().splitlines() if not line.startswith(left_out)]
    cluster.config.write_text("\n".join([*lines, *([f"engine: {engine}"] if engine else []), ""]))
    cluster.configuration = load(cluster.config)


def set_aside(cluster: Cluster, *names: str) -> None:
    """Move these folders away, as one does with a bank that is of no use any more."""
    for name in names:
        if cluster.data(name).exists():
            shutil.move(cluster.data(name), cluster.directory / f"aside-{name}")


def told(bank: BankClient, request_id: str) -> list[tuple[object, ...]]:
    """Return what is told of a request: account, balance, action id; or why it was declined."""
    return [
        (one.account, one.balance, one.action_id)
        if isinstance(one, Receipt)
        else (type(one).__name__, one.details["account"], one.details["balance"])
        for one in bank.outcome(request_id)
    ]


def some_requests(bank: BankClient) -> dict[str, list[tuple[object, ...]]]:
    """Have some of each kind decided; return what was told of them."""
    bank.deposit(6, 100, request_id="single:1")
    bank.submit(BATCH, request_id="batch:7")
    with pytest.raises(Cancelled):
        bank.outcome("never:3")
    bank.open_account(70)
    bank.close_account(70)
    return {name: told(bank, name) for name in ("single:1", "batch:7")}


def test_a_bank_goes_to_a_database_and_back_while_a_client_calls_on(
    database: PostgreSql, tmp_path: Path
) -> None:
    with Cluster(tmp_path, client=PATIENT) as cluster:
        cluster.start_all()
        with Caller(cluster.config, 10).calling() as caller:
            before = some_requests(cluster.client(timeout=30))
            caller.goes_on(cluster)
            _refused_while_it_can_be(cluster, database)
            _goes_to_the_database(cluster, database)
            caller.goes_on(cluster)
            _asked_again(cluster, before)
            _of_a_statement(cluster)
            _comes_back(cluster, database)
            caller.goes_on(cluster)
            _asked_again(cluster, before)
        _each_is_there_once(cluster, caller)


def _each_is_there_once(cluster: Cluster, caller: Caller) -> None:
    """Each deposit that was told is there, once; and there was time enough for an answer to all."""
    assert cluster.client(timeout=30).balance(10).balance == LEDGER[10] + caller.done
    assert not caller.doubtful


def _goes_to_the_database(cluster: Cluster, database: PostgreSql) -> None:
    dry = bankrmi(cluster, "migrate", "--to", database.url, "--dry-run")
    assert (dry.returncode, "nothing of it is there yet" in dry.stderr) == (0, True)
    assert paused_s(migrate(cluster, "--to", database.url)) < 60
    assert "there is nothing to do" in migrate(cluster, "--to", database.url)
    _the_servers_say_where_it_is(cluster)
    cluster.kill(*cluster.servers, NAMESERVER)
    configured(cluster, engine=database.url)
    cluster.start_all()


def _comes_back(cluster: Cluster, database: PostgreSql) -> None:
    bank = cluster.client(timeout=30)
    bank.submit([Deposit(3, 1), Deposit(4, 1), Transfer(3, 4, 1)], request_id="later:1")
    bank.deposit(3, 5, request_id="single-later:1")
    batch, single = told(bank, "later:1"), told(bank, "single-later:1")
    money = bank.total().total
    cluster.kill(NAMESERVER)
    set_aside(cluster, "s1", "s2", "witness")
    configured(cluster, engine=None)
    cluster.start(NAMESERVER)
    assert paused_s(migrate(cluster, "--from", database.url, "--server", "s1")) < 60
    assert "there is nothing to do" in migrate(cluster, "--from", database.url, "--server", "s1")
    with pytest.raises(BankError, match="is not here any more: it is in servers of its own: s1 at"):
        cluster.ask("s2", "deposit", 10, 1, "by-hand:1")
    configured(cluster, engine=database.url)
    cluster.until(lambda: bankrmi(cluster, "status", "--check").returncode == 8, "all have looked since")
    assert "it is in servers of its own" in bankrmi(cluster, "status").stdout
    configured(cluster, engine=None)
    cluster.kill(*cluster.servers)
    cluster.start(*cluster.servers)
    bank = cluster.client(timeout=30)
    assert bank.total().total >= money
    assert told(bank, "single-later:1") == single
    assert [one[:2] for one in told(bank, "later:1")] == [one[:2] for one in batch], "with other action ids"


def _refused_while_it_can_be(cluster: Cluster, database: PostgreSql) -> None:
    for arguments, why in (
        (["--to", database.url, "--from", database.url], "say --to URL or --from URL"),
        (["--to", "mysql://a@b/c"], "the URL is not the URL of a PostgreSQL"),
        (["--to", database.url.replace("/postgres", "/nowhere")], "does not let us in"),
        (["--to", "postgresql://postgres@127.0.0.1:1/postgres"], "cannot be reached"),
        (["--to", "postgresql://u:secret@db.example.org/postgres"], "need not prove who it is"),
        (["--from", database.url, "--server", "s1"], "there is no bank in postgres at"),
    ):
        ended = bankrmi(cluster, "migrate", *arguments, "--dry-run")
        assert ended.returncode in (2, 5), (arguments, ended)
        assert why in ended.stderr, (arguments, ended)
        assert "Traceback" not in ended.stderr
        assert "secret" not in ended.stderr


def _the_servers_say_where_it_is(cluster: Cluster) -> None:
    """Whoever starts them again."""
    for again in (False, True):
        if again:
            cluster.kill(*cluster.servers, NAMESERVER)
            cluster.start(NAMESERVER)
            cluster.start(*cluster.servers, wait=False)
        with pytest.raises(BankError, match="is not here any more: it is in postgres at"):
            cluster.ask(cluster.primary(), "deposit", 10, 1, "by-hand:1")
        with pytest.raises(BankError, match="is not here any more: it is in postgres at"):
            cluster.ask(cluster.primary(), "balance", 10)
        checked = bankrmi(cluster, "status", "--check")
        assert (checked.returncode, "is not here any more" in checked.stdout) == (8, True)


def _asked_again(cluster: Cluster, before: dict[str, list[tuple[object, ...]]]) -> None:
    bank = cluster.client(timeout=30)
    for name, was_told in before.items():
        assert told(bank, name) == was_told
    assert bank.deposit(6, 100, request_id="single:1").action_id == before["single:1"][0][2]
    with pytest.raises(InvalidRequest, match="used before"):
        bank.deposit(6, 101, request_id="single:1")
    with pytest.raises(Cancelled):
        bank.deposit(6, 1, request_id="never:3")
    with pytest.raises((Stale, Forgotten)):
        bank.deposit(6, 1, request_id="batch:6")


def _of_a_statement(cluster: Cluster) -> None:
    bank = cluster.client(timeout=30)
    at = bank.balance(6).action_id
    assert bank.deposit(6, 1).action_id == at + 1
    kinds = [one.kind for one in bank.statement(6).entries]
    assert kinds == ["deposit", "deposit", "transfer", "withdraw", "deposit"]
    assert [one.paid_by for one in bank.statement(7).entries] == [6]
    assert [one.kind for one in bank.statement(70).entries] == ["open_account", "close_account"]


@pytest.mark.long
def test_interrupted_anywhere_on_the_way_to_a_database_it_is_run_again_and_nothing_is_lost_or_doubled(
    database: PostgreSql, tmp_path: Path
) -> None:
    journal = {"keep_operations": 5, "records_behind": 5}
    with Cluster(tmp_path, client=PATIENT, journal=journal) as cluster:
        cluster.start_all()
        to = ("--to", database.url)
        with Caller(cluster.config, 10).calling() as caller:
            before = some_requests(cluster.client(timeout=30))
            primary = cluster.primary()
            cluster.kill(primary)
            cluster.start(primary)
            cluster.until(lambda: _begins_at(cluster) > 8, "these are folded, and kept beside the journal")
            for place in ("copied", "before-retiring"):
                migrate(cluster, *to, dies_at=place)
                caller.goes_on(cluster)  # The servers keep the bank.
            migrate(cluster, *to, dies_at="retired")
            _nobody_answers(cluster)
            migrate(cluster, *to, "--cancel", dies_at="taken-away")
            again = bankrmi(cluster, "migrate", *to, "--cancel", "--yes")
            assert (again.returncode, "after a --cancel that was interrupted" in again.stderr) == (2, True)
            assert "the servers keep the bank" in migrate(cluster, *to, "--cancel", "--force")
            caller.goes_on(cluster)
            migrate(cluster, *to, dies_at="retired")
            assert "the servers keep the bank" in migrate(cluster, *to, "--cancel")
            caller.goes_on(cluster)
            assert "the servers serve on" in migrate(cluster, *to, "--prepare")
            caller.goes_on(cluster)
            migrate(cluster, *to, dies_at="retired")
            _nobody_answers(cluster)
            cluster.kill(cluster.primary())  # Whoever leads next goes on with that.
            migrate(cluster, *to, dies_at="before-opening")
            _nobody_answers(cluster)
            migrate(cluster, *to, dies_at="opened")
            cancelled = bankrmi(cluster, "migrate", *to, "--cancel", "--yes")
            assert (cancelled.returncode, "the bank is open there" in cancelled.stderr) == (2, True)
            assert "there is nothing to do" in migrate(cluster, *to)
            cluster.kill(*cluster.servers, NAMESERVER)
            configured(cluster, engine=database.url)
            cluster.start_all()
            caller.goes_on(cluster)
            _asked_again(cluster, before)
        _each_is_there_once(cluster, caller)


def _begins_at(cluster: Cluster) -> int:
    status = cluster.status(cluster.primary())
    return status["journal_from"] if status is not None else 0


def _nobody_answers(cluster: Cluster) -> None:
    with pytest.raises(BankError, match="is not here any more"):
        cluster.ask(cluster.primary(), "deposit", 10, 1, "by-hand:2")


@pytest.mark.long
def test_interrupted_anywhere_on_the_way_back_it_is_run_again_and_nothing_is_lost_or_doubled(
    database: PostgreSql, tmp_path: Path
) -> None:
    with Cluster(tmp_path, client=PATIENT) as cluster:
        configured(cluster, engine=database.url)
        cluster.start_all()
        back = ("--from", database.url, "--server", "s1")
        with Caller(cluster.config, 10).calling() as caller:
            before = some_requests(cluster.client(timeout=30))
            caller.goes_on(cluster)
            cluster.kill(NAMESERVER)
            configured(cluster, engine=None)
            cluster.start(NAMESERVER)
            migrate(cluster, *back, dies_at="before-retiring")
            caller.goes_on(cluster)
            for place in ("retired", "before-opening"):
                migrate(cluster, *back, dies_at=place)
                with pytest.raises(BankError, match="is not here any more"):
                    cluster.ask("s2", "balance", 10)
            migrate(cluster, *back, "--cancel")
            caller.goes_on(cluster)
            migrate(cluster, *back, dies_at="before-opening")
            migrate(cluster, *back, dies_at="opened")
            cancelled = bankrmi(cluster, "migrate", *back, "--cancel", "--yes")
            assert (cancelled.returncode, "open at the servers" in cancelled.stderr) == (2, True)
            assert "there is nothing to do" in migrate(cluster, *back)
            cluster.kill(*cluster.servers)
            cluster.start(*cluster.servers)
            caller.goes_on(cluster)
            _asked_again(cluster, {"single:1": before["single:1"]})
            batch = [one[:2] for one in before["batch:7"]]
            assert [one[:2] for one in told(cluster.client(timeout=30), "batch:7")] == batch
        _each_is_there_once(cluster, caller)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("serves: 'shop:Shop'", "serves a class of one's own"),
        ("engine: postgresql://a@127.0.0.1/b", "names an engine"),
    ],
)
def test_only_the_accounts_of_servers_that_keep_them_are_moved(tmp_path: Path, more: str, why: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"nameserver: 127.0.0.1:9\nservers: {{s1: '127.0.0.1:8'}}\n{more}\n")
    for arguments in (
        ["--to", "postgresql://a@127.0.0.1/b"],
        ["--from", "postgresql://a@127.0.0.1/b", "--server", "s1"],
    ):
        ended = bankrmi(config, "migrate", *arguments, "--dry-run")
        assert ended.returncode == 2, ended
        assert why in ended.stderr, ended
