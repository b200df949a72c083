"""The services of examples/ and their programs, on real processes whose primary is killed under load."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

import bankrmi
import bankrmi.config
from bankrmi.errors import InsufficientFunds, InvalidRequest
from counter import Counter
from job_queue import JobQueue
from key_value import Conflict, Entry, KeyValue, LeaseEnded
from market import TILL, Market
from shop import Order, Shop, SoldOut
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.example_runs import (
    EXAMPLES,
    Programs,
    Threads,
    kill_and_replace_the_primary,
    served,
    wait_for_more,
)
from tests.system.ports import own_addresses
from tests.system.use_of_account import use

ELSEWHERE = [
    Path(__file__).with_name(f"test_{name}.py") for name in ("several_services", "example_name_server")
]
"""What runs the one of several classes, and the name server."""

# -- the counter ---------------------------------------------------------------------------------------


def test_the_counter_of_ten_lines_counts_on_when_its_primary_is_killed(tmp_path: Path) -> None:
    tree = ast.parse((EXAMPLES / "counter" / "counter.py").read_text())
    lines = ast.unparse(ast.Module(tree.body[1:], [])).splitlines()  # Without its docstring.
    assert len([line for line in lines if line]) <= 10
    told: list[int] = []
    with (
        served("counter", tmp_path / "counter") as cluster,
        bankrmi.connect(Counter, cluster.config, timeout=DEADLINE_S) as counter,
    ):
        with Threads(lambda: told.append(counter.add(1))):
            wait_for_more(cluster, told, 5)
            cluster.kill(cluster.primary())
            wait_for_more(cluster, told, 5)
        assert told == list(range(1, len(told) + 1)), "each is counted once, and told in its order"


# -- the market, and the bank beside it ---------------------------------------------------------------------


def test_what_is_sold_is_paid_for_once_though_the_primary_is_killed(tmp_path: Path) -> None:
    ordered: list[int] = []
    with (
        served("market", tmp_path / "market") as cluster,
        bankrmi.connect(bankrmi.Account, cluster.config, timeout=DEADLINE_S) as bank,
        bankrmi.connect(Market, cluster.config, timeout=DEADLINE_S) as market,
    ):
        use(bank)
        opened = bank.total().total
        assert bank.balance(10).balance == cluster.ledger[10], "it has opened with the ledger"
        market.stock("mug", 90, 1000)
        with pytest.raises(InsufficientFunds, match="exceeds the balance of account 6") as poor:
            market.order(6, "mug", 1)
        assert (poor.value.account, poor.value.balance) == (6, 0)
        with Threads(lambda: ordered.append(market.order(10, "mug", 2).balance)):
            wait_for_more(cluster, ordered, 5)
            cluster.kill(cluster.primary())
            wait_for_more(cluster, ordered, 5)
        assert ordered == [cluster.ledger[10] - 180 * number for number in range(1, len(ordered) + 1)]
        paid = bank.balance(TILL).balance - cluster.ledger[TILL]
        assert paid == market.takings() == 180 * len(ordered) == 90 * (1000 - market.left("mug"))
        assert bank.total().total == opened
        newest = bank.statement(10, limit=1).entries[0]
        assert (newest.kind, newest.paid_to, newest.balance) == ("transfer", TILL, ordered[-1])
        assert newest.action_id == len(ordered)


# -- the key-value store -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with served("key_value", tmp_path_factory.mktemp("examples") / "key_value") as cluster:
        yield cluster


def test_keys_are_listed_in_parts_and_end_with_their_lease(store_cluster: Cluster) -> None:
    with bankrmi.connect(KeyValue, store_cluster.config, timeout=DEADLINE_S) as store:
        assert store.get("a") is None
        revision = store.compare_and_set("a", "1", 0)
        assert store.get("a") == Entry("a", "1", revision)
        with pytest.raises(Conflict) as conflict:
            store.compare_and_set("a", "2", 0)
        assert conflict.value.revision == revision
        for number in range(12):
            store.put(f"long/{number:02}", "€" * 5_000)
        found: list[str] = []
        while some := store.scan("long/", after=found[-1] if found else ""):
            assert len(some) <= 2
            found += [entry.name for entry in some]
        assert found == [f"long/{number:02}" for number in range(12)]
        assert [entry.name for entry in store.scan("long/", limit=1)] == ["long/00"]

        _put_for_a_moment(store, "short")
        store.put("lasting", "", store.grant(3600.0).id)
        store_cluster.until(lambda: store.get("short") is None, "the key ends with its lease")
        assert store.scan("short") == []
        assert store.get("lasting") is not None
        with pytest.raises(InvalidRequest, match="scan takes no such limit: 0"):
            store.scan(limit=0)


def _put_for_a_moment(store: KeyValue, name: str) -> None:
    """Put it with a lease that ends soon, and that a busy machine lets us use before it ends."""
    for seconds in (0.2, 1.0, 5.0, 25.0):
        with suppress(LeaseEnded):
            store.put(name, "", store.grant(seconds).id)
            return
    raise AssertionError("no lease lasts until it is used")


def test_increments_by_compare_and_set_are_each_done_once_though_the_primary_dies(
    store_cluster: Cluster,
) -> None:
    done: list[int] = []
    with bankrmi.connect(KeyValue, store_cluster.config, timeout=DEADLINE_S) as store:
        store.put("sum", "0")

        def add() -> None:
            entry = store.get("sum")
            assert entry is not None
            try:
                done.append(store.compare_and_set("sum", str(int(entry.value) + 1), entry.revision))
            except Conflict:
                return

        with Threads(add, add):
            wait_for_more(store_cluster, done, 10)
            kill_and_replace_the_primary(store_cluster)
            wait_for_more(store_cluster, done, 10)
        entry = store.get("sum")
        assert entry is not None
        assert int(entry.value) == len(done) == len(set(done))


def test_one_leads_and_another_one_once_it_is_killed(store_cluster: Cluster) -> None:
    with Programs(store_cluster.directory) as programs:
        first = programs.start("only_one.py", "Ann", store_cluster.config, 0.6)
        store_cluster.until(lambda: "Ann leads (revision" in programs.said(first), "Ann leads")
        second = programs.start("only_one.py", "Bob", store_cluster.config, 0.6)
        with bankrmi.connect(KeyValue, store_cluster.config, timeout=DEADLINE_S) as store:
            leases = store_cluster.until(lambda: store.get("leader"), "somebody leads")
            assert leases is not None
            assert leases.value == "Ann"
        first.kill()
        store_cluster.until(lambda: "Bob leads (revision" in programs.said(second), "Bob leads")


# -- the job queue -------------------------------------------------------------------------------------


def test_each_job_is_done_once_though_the_primary_and_a_worker_are_killed(tmp_path: Path) -> None:
    jobs, outbox = 60, tmp_path / "outbox.db"
    with served("job_queue", tmp_path / "job_queue") as cluster, Programs(cluster.directory) as programs:
        workers = [programs.start("worker.py", "mail", outbox, cluster.config, 1) for _ in range(2)]
        with bankrmi.connect(JobQueue, cluster.config, timeout=DEADLINE_S) as queue:
            enqueued: list[str] = []
            kills = {20: lambda: cluster.kill(cluster.primary()), 40: workers[0].kill}
            for number in range(jobs):
                kills.get(number, lambda: None)()
                enqueued.append(queue.enqueue("mail", f"letter {number}"))
            hopeless = queue.enqueue("mail", "impossible", attempts=2)
            cluster.until(lambda: queue.counts("mail").done == jobs, "all is done")
            cluster.until(lambda: queue.dead("mail"), "what cannot be done is dead")
            counts, [dead] = queue.counts("mail"), queue.dead("mail")
        assert (counts.enqueued, counts.done, counts.dead) == (jobs + 1, jobs, 1)
        assert (counts.waiting, counts.taken) == (0, 0)
        assert (dead.id, dead.attempts, dead.why) == (hopeless, 2, "nobody can do that")
        with sqlite3.connect(outbox) as sent:
            assert {job for (job,) in sent.execute("SELECT job FROM sent")} == set(enqueued)
        workers[1].terminate()
        assert workers[1].wait(DEADLINE_S) == 0
        sent.close()


# -- the shop ------------------------------------------------------------------------------------------


@contextmanager
def web(cluster: Cluster, programs: Programs) -> Iterator[Callable[..., Any]]:
    """Run the web server; a function that asks it."""
    with own_addresses(1) as [address], httpx2.Client(timeout=DEADLINE_S, trust_env=False) as client:
        programs.start("web.py", cluster.config, address.rpartition(":")[2])

        def ask(path: str, form: dict[str, str] | None = None) -> Any:
            if form is None:
                return client.get(f"http://{address}{path}")
            return client.post(f"http://{address}{path}", data=form)

        def answers() -> bool:
            try:
                return bool(ask("/").status_code == 200)
            except httpx2.ConnectError:
                return False

        cluster.until(answers, "the web server answers")
        yield ask


def test_a_double_click_is_one_order_though_the_primary_dies_in_between(tmp_path: Path) -> None:
    with (
        served("web_shop", tmp_path / "web_shop") as cluster,
        bankrmi.connect(Shop, cluster.config, timeout=DEADLINE_S) as shop,
        Programs(cluster.directory) as programs,
        web(cluster, programs) as ask,
    ):
        shop.stock("mug", 900, 5)
        shop.stock("<b>pen</b>", 150, 100)
        page = ask("/").text
        assert "mug" in page
        assert "<b>pen" not in page
        key = page.partition("name=key value=")[2].partition(">")[0]
        assert len(key) == 32
        form = {"key": key, "customer": "Ann", "count of mug": "2", "count of <b>pen</b>": "0"}
        first = ask("/orders", form)
        assert first.status_code == 303
        victim = cluster.primary()
        cluster.kill(victim)
        assert ask("/orders", form).headers["location"] == first.headers["location"]
        assert shop.sold("mug") == 2
        shown = ask(first.headers["location"]).text
        assert "18.00" in shown
        assert "Ann" in shown

        too_many = ask("/orders", {"key": "other", "customer": "Bob", "count of mug": "4"})
        assert too_many.status_code == 409
        assert "of mug there are 3 left: nothing was ordered" in too_many.text
        for wrong in (
            form | {"count of mug": "3"},  # Another order under the same key.
            form | {"key": "one:two"},
            form | {"key": "a", "count of mug": "many"},
            form | {"key": "a", "count of mug": "-1"},
            {"key": "a", "customer": "Ann"},
            form | {"key": "a", "customer": "x" * 30_000},
        ):
            assert ask("/orders", wrong).status_code == 400, wrong
        assert ask("/orders/nothing").status_code == 404
        with pytest.raises(SoldOut):
            shop.order("Bob", [{"product": "mug", "count": 9}])  # type: ignore[list-item]  # As from JSON.
        order: Order = shop.placed(first.headers["location"].rpartition("/")[2])
        assert (order.customer, order.cents, shop.sold("mug")) == ("Ann", 1800, 2)
        cluster.start(victim)


# -- all of them ---------------------------------------------------------------------------------------


def test_every_program_of_a_folder_is_listed_and_run_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    here = "".join(file.read_text() for file in (Path(__file__), *ELSEWHERE))
    for file in EXAMPLES.glob("*/*.py"):
        name = f"{file.parent.name}/{file.name}"
        assert f"({name})" in listed, name
        assert (
            f'"{file.name}"' in here or f"from {file.stem} import" in here or file.stem == "replicated_names"
        )
        assert f'served("{file.parent.name}", ' in here or f"examples/{file.parent.name}/" in here
    for file in EXAMPLES.glob("*/config.yaml"):
        assert bankrmi.config.load(file).serves is not None
