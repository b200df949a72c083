"""The redundant name server of examples/, on real processes: stock programs on it, whatever is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import Pyro5.api
import Pyro5.nameserver
import pytest
from Pyro5.errors import CommunicationError, NamingError

from any_name_server import locate_any
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.example_runs import (
    Programs,
    Threads,
    kill_and_replace_the_primary,
    served,
    wait_for_more,
)
from tests.system.ports import own_addresses

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
