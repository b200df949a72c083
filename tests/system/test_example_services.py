"""The services of examples/ and their programs, on real processes whose primary is killed under load."""

from __future__ import annotations

import ast
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import Pyro5.api
import Pyro5.nameserver
import pytest
from Pyro5.errors import CommunicationError, NamingError

import bankrmi
import bankrmi.config
from any_name_server import locate_any
from bankrmi.errors import InsufficientFunds, InvalidRequest
from counter import Counter
from job_queue import JobQueue
from key_value import Conflict, Entry, KeyValue, LeaseEnded
from market import TILL, Market
from shop import Order, Shop, SoldOut
from tests.pages import ROOT
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.ports import own_addresses
from tests.system.use_of_account import use

EXAMPLES = ROOT / "examples"
SEVERAL = Path(__file__).with_name("test_several_services.py")
"""Runs the one of several classes."""


@contextmanager
def served(name: str, folder: Path) -> Iterator[Cluster]:
    """Serve the class of an example, from a copy of its folder, at addresses of our own."""
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__", "data"))
    shipped = bankrmi.config.load(folder / "config.yaml")
    with Cluster(folder, service=shipped.service, serves=shipped.serves) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def kill_and_replace_the_primary(cluster: Cluster) -> None:
    """kill -9, and bring it back: for whoever kills next, there is somebody to take over."""
    victim = cluster.primary()
    cluster.kill(victim)
    cluster.start(victim)
    cluster.wait_until_in_sync()


def wait_for_more(cluster: Cluster, done: Sized, count: int) -> None:
    """Wait until so many more were done."""
    enough = len(done) + count
    cluster.until(lambda: len(done) > enough, f"{count} more are done")


class Programs:
    """The programs of one example, which end with the `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Programs:
        return self

    def start(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        log = self._folder / f"{name}-{len(self._running)}.out"
        with log.open("wb") as out:
            program = subprocess.Popen(
                [sys.executable, self._folder / name, *map(str, arguments)],
                cwd=self._folder,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._running.append(program)
        return program

    def said(self, program: subprocess.Popen[bytes]) -> str:
        """Return what a program has printed so far."""
        number = self._running.index(program)
        [log] = self._folder.glob(f"*-{number}.out")
        return log.read_text()

    def __exit__(self, kind: object, *_: object) -> None:
        for program in self._running:
            program.kill()
            program.wait(DEADLINE_S)
            if kind is not None:
                sys.stderr.write(self.said(program))


class Threads:
    """Does something again and again in threads, until the `with` ends; any error is the test's."""

    def __init__(self, *work: Callable[[], object]) -> None:
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._repeat, args=(one,)) for one in work]

    def _repeat(self, work: Callable[[], object]) -> None:
        try:
            while not self._over.is_set():
                work()
        except BaseException as error:
            self._errors.append(error)

    def __enter__(self) -> Threads:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        if self._errors:
            raise self._errors[0]


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


# -- the name server -----------------------------------------------------------------------------------


class NameServers:
    """The names, two fronts, and Pyro's own name server beside them, to compare with."""

    def __init__(self, cluster: Cluster, programs: Programs, addresses: list[str], own: str) -> None:
        self.cluster, self.programs, self.addresses, self.own = cluster, programs, addresses, own
        self.fronts = [self.start_front(address) for address in addresses]
        for front in self.fronts:
            self.wait_for(front)

    def start_front(self, address: str) -> subprocess.Popen[bytes]:
        return self.programs.start("front.py", address, self.cluster.config)

    def wait_for(self, front: subprocess.Popen[bytes]) -> None:
        self.cluster.until(lambda: "URI = " in self.programs.said(front), "the front serves")


def located(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return Pyro5.api.locate_ns(host, int(port))


@pytest.fixture(scope="module")
def name_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServers]:
    folder = tmp_path_factory.mktemp("examples") / "name_server"
    with ExitStack() as opened:
        addresses = opened.enter_context(own_addresses(3))
        cluster = opened.enter_context(served("name_server", folder))
        programs = opened.enter_context(Programs(folder))
        host, _, port = addresses[2].rpartition(":")
        own = opened.enter_context(Pyro5.nameserver.NameServerDaemon(host, int(port)))
        threading.Thread(target=own.requestLoop, daemon=True).start()
        opened.callback(own.shutdown)
        yield NameServers(cluster, programs, addresses[:2], addresses[2])


# Without any metadata, Pyro's own cannot answer in json: it has a frozenset there.
SAME_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("ping", (), {}),
    ("register", ("a.one", "PYRO:one@h:1"), {"metadata": []}),
    ("register", ("a.two", "PYRO:two@h:2"), {"metadata": {"red", "blue"}}),
    ("register", ("b.three", Pyro5.api.URI("PYRO:three@h:3")), {"metadata": ["red"]}),
    ("register", ("a.one", "PYRO:other@h:1"), {"safe": True}),
    ("register", ("a.one", "PYRO:other@h:9"), {"metadata": []}),
    ("register", ("a.one", "nonsense"), {}),
    ("register", ("a.one", 5), {}),
    ("register", (5, "PYRO:x@h:1"), {}),
    ("register", ("a.one", "PYRO:x@h:1"), {"metadata": "red"}),
    ("count", (), {}),
    ("lookup", ("a.one",), {}),
    ("lookup", ("a.two",), {"return_metadata": True}),
    ("lookup", ("a.one",), {"return_metadata": True}),
    ("lookup", ("nobody",), {}),
    ("list", (), {}),
    ("list", (), {"return_metadata": True}),
    ("list", ("a.",), {"return_metadata": True}),
    ("list", (), {"regex": r".\.t"}),
    ("list", (), {"regex": "("}),
    ("list", ("a", "b"), {}),
    ("yplookup", (["red", "blue"],), {}),
    ("yplookup", ({"red"},), {"return_metadata": False}),
    ("yplookup", (), {"meta_any": ["blue", "green"]}),
    ("yplookup", (), {"meta_any": ["class:Pyro5.nameserver.NameServer"]}),
    ("yplookup", (["a"], ["b"]), {}),
    ("yplookup", ("red",), {}),
    ("yplookup", (), {}),
    ("set_metadata", ("a.two", {"green"}), {}),
    ("set_metadata", ("nobody", {"green"}), {}),
    ("set_metadata", ("a.two", "green"), {}),
    ("lookup", ("a.two",), {"return_metadata": True}),
    ("set_metadata", ("a.two", []), {}),
    ("yplookup", (["green"],), {}),
    ("remove", ("a.one",), {}),
    ("remove", ("a.one",), {}),
    ("remove", (), {"prefix": "a."}),
    ("remove", (), {"regex": ".*"}),
    ("remove", ("Pyro.NameServer",), {}),
    ("remove", (), {}),
    ("list", (), {}),
]


@pytest.mark.parametrize("serializer", ["serpent", "json", "msgpack"])
def test_a_front_answers_as_pyros_own_name_server_does(
    name_servers: NameServers, serializer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pyro5.config, "SERIALIZER", serializer)
    front, own = name_servers.addresses[0], name_servers.own
    with located(front) as ours, located(own) as theirs:
        for method, args, kwargs in SAME_CALLS:
            told = [
                (address, _told(proxy, method, args, kwargs))
                for address, proxy in ((front, ours), (own, theirs))
            ]
            one, other = (repr(answer).replace(address, "HERE") for address, answer in told)
            assert one == other, f"{method}{args}{kwargs}"


def _told(proxy: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    if Pyro5.config.SERIALIZER != "serpent":
        args, kwargs = _without_sets(args), {key: _without_sets(value) for key, value in kwargs.items()}
    try:
        return _comparable(getattr(proxy, method)(*args, **kwargs))
    except Exception as error:
        return type(error).__name__, str(error).partition("http")[0]


def _without_sets(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_without_sets, value))
    return sorted(value) if isinstance(value, set) else value


def _comparable(value: Any) -> Any:
    """Return an answer in an order of its own: sets, and lists where a serializer has no sets, have none."""
    if isinstance(value, dict):
        return {name: _comparable(value[name]) for name in sorted(value)}
    if isinstance(value, Pyro5.api.URI):
        return "URI", str(value)
    if isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[1], str):
        return type(value).__name__, _comparable(value[0]), type(value[1]).__name__, sorted(value[1])
    return value


class Greeter:
    """What a stock server offers."""

    @Pyro5.api.expose  # type: ignore[untyped-decorator]
    def greet(self, name: str) -> str:
        return f"Hello, {name}"


@contextmanager
def greeter() -> Iterator[str]:
    """A stock Pyro5 server; its URI."""
    with Pyro5.api.Daemon("127.0.0.1") as daemon:
        uri = daemon.register(Greeter())
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        try:
            yield str(uri)
        finally:
            daemon.shutdown()
            thread.join(DEADLINE_S)


def nsc(address: str, *arguments: str) -> str:
    host, _, port = address.rpartition(":")
    ended = subprocess.run(
        [sys.executable, "-m", "Pyro5.nsc", "-n", host, "-p", port, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_stock_programs_find_each_other_while_the_primary_of_the_names_is_killed(
    name_servers: NameServers,
) -> None:
    """Unchanged servers, clients and tools of Pyro5, under load; no call fails."""
    front, other = name_servers.addresses
    cluster = name_servers.cluster
    found: list[str] = []

    def resolve() -> None:
        with Pyro5.api.Proxy(f"PYRONAME:example.greeter@{front}") as proxy:
            found.append(proxy.greet("Ann"))

    def register() -> None:
        with located(other) as names:
            names.register(f"example.{len(found)}", "PYRO:x@h:1", metadata={"number"})

    with greeter() as uri:
        with located(front) as names:
            names.register("example.greeter", uri, safe=True, metadata={"kind:greeter"})
        with Threads(resolve, register):
            wait_for_more(cluster, found, 5)
            kill_and_replace_the_primary(cluster)
            wait_for_more(cluster, found, 5)
        assert set(found) == {"Hello, Ann"}
        with Pyro5.api.Proxy(f"PYROMETA:kind:greeter@{other}") as proxy:
            assert proxy.greet("Bob") == "Hello, Bob"
        listed = nsc(other, "list", "example.greeter")
        assert f"example.greeter --> {uri}" in listed
        assert "kind:greeter" in listed
        assert "Removed example.greeter" in nsc(front, "remove", "example.greeter")
        with located(other) as names, pytest.raises(NamingError, match=r"unknown name: example\.greeter"):
            names.lookup("example.greeter")


def test_of_two_who_register_a_name_safely_at_two_fronts_one_has_it(name_servers: NameServers) -> None:
    got: list[str] = []
    start = threading.Barrier(2)

    def claim(address: str) -> None:
        with located(address) as names:
            for number in range(20):
                start.wait(DEADLINE_S)
                try:
                    names.register(f"claimed.{number}", f"PYRO:{number}@{address}", safe=True)
                except NamingError as error:
                    assert "name already registered" in str(error)
                else:
                    got.append(f"claimed.{number}")

    threads = [threading.Thread(target=claim, args=(address,)) for address in name_servers.addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sorted(got) == sorted(f"claimed.{number}" for number in range(20))


def test_a_front_that_dies_takes_nothing_along(
    name_servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pyro5.config, "NS_HOST", Pyro5.config.NS_HOST)
    monkeypatch.setattr(Pyro5.config, "NS_PORT", Pyro5.config.NS_PORT)
    first, second = name_servers.addresses
    with locate_any(first, second) as names:
        assert str(names._pyroUri).endswith(first)
        names.register("kept", "PYRO:kept@h:1")
        name_servers.fronts[0].kill()
        name_servers.fronts[0].wait(DEADLINE_S)
        with pytest.raises(CommunicationError):  # A stock client does not switch by itself.
            names.lookup("kept")
    with locate_any(first, second) as names:
        assert str(names.lookup("kept")) == "PYRO:kept@h:1"
        assert str(Pyro5.api.resolve("PYRONAME:kept")) == "PYRO:kept@h:1"
    name_servers.wait_for(name_servers.start_front(first))
    with located(first) as names:
        assert str(names.lookup("kept")) == "PYRO:kept@h:1"
    with pytest.raises(NamingError, match="no name server answers at"):
        locate_any("127.0.0.1:1")


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
    here = "".join(file.read_text() for file in (Path(__file__), SEVERAL))
    for file in EXAMPLES.glob("*/*.py"):
        name = f"{file.parent.name}/{file.name}"
        assert f"({name})" in listed, name
        assert (
            f'"{file.name}"' in here or f"from {file.stem} import" in here or file.stem == "replicated_names"
        )
        assert f'served("{file.parent.name}", ' in here or f"examples/{file.parent.name}/" in here
    for file in EXAMPLES.glob("*/config.yaml"):
        assert bankrmi.config.load(file).serves is not None
