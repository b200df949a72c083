"""Names with attributes, on Pyro's own name server object, ours or a stock one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from Pyro5.nameserver import MemoryStorage, NameServer, NameServerDaemon

from bankrmi.errors import Busy, InvalidRequest
from bankrmi.nameserver.capacity import MOST_NAMES
from bankrmi.nameserver.names import TaggedNames, remote_names
from bankrmi.rmi import (
    NAMESERVER_NAME,
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    NamedObject,
    PlainObject,
    RemoteError,
    connect,
    handshake,
    look_up,
    look_up_async,
    uri_of,
)
from tests.nameserver.callers import STRANGER

from .conftest import Serving
from .strange_servers import free_address, says_nothing, strange_server


@pytest.fixture
def ours(serving: Serving) -> str:
    names = PlainObject(NameServer(MemoryStorage()), ["register", "yplookup", "lookup", "remove"])
    return serving.daemon(objects={NAMESERVER_NAME: names}).address


@pytest.fixture
def stock() -> Iterator[str]:
    with NameServerDaemon("127.0.0.1", 0) as daemon, ThreadPoolExecutor(1) as thread:
        thread.submit(daemon.requestLoop)
        yield daemon.locationStr
        daemon.shutdown()


@pytest.fixture(params=["ours", "stock"])
def nameserver(request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue(request.param)
    return address


def named(server: str, port: int, *tags: str) -> NamedObject:
    object_id = f"bankrmi.account.{server}"
    return NamedObject(name=object_id, object_id=object_id, address=f"127.0.0.1:{port}", tags=frozenset(tags))


def register(nameserver: str, name: str, uri: str, tags: list[str]) -> None:
    with connect(nameserver, NAMESERVER_NAME, handshake("server"), 5) as connection:
        connection.call("register", [name, uri, False, tags], timeout=5)


def test_what_was_registered_is_found_by_all_of_its_tags(nameserver: str) -> None:
    s1 = named("s1", 1, "service:account", "role:primary")
    s2 = named("s2", 2, "service:account", "role:standby")
    for one in (s2, s1):
        register(nameserver, one.name, uri_of(one.object_id, one.address), sorted(one.tags))
    assert look_up(nameserver, ["service:account"], 5) == [s1, s2]
    assert look_up(nameserver, ["service:account", "role:primary"], 5) == [s1]
    assert look_up(nameserver, ["service:other"], 5) == []
    assert asyncio.run(look_up_async(nameserver, ["service:account"], 5)) == [s1, s2]


def test_names_of_another_kind_are_passed_over(nameserver: str) -> None:
    for number, uri in enumerate(("PYRO:x@./u:/tmp/socket", "PYRONAME:y", "PYRO:z@[::1]:7")):
        register(nameserver, f"n{number}", uri, ["a:b"])
    found = NamedObject(name="n2", object_id="z", address="[::1]:7", tags=frozenset({"a:b"}))
    assert look_up(nameserver, ["a:b"], 5) == [found]


class Answering:
    """A name server that answers what it likes."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def yplookup(self, *_: object) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


ODD_NAMES = {
    "a": ["PYRO:a@127.0.0.1:1", ["t", 5, ["x"]]],
    "b": "PYRO:b@127.0.0.1:1",
    "c": ["PYRO:c@127.0.0.1:0", []],
    "d": ["PYRO:d@127.0.0.1:99999999999999999999", []],
    "e": ["PYRO:e@127.0.0.1:\u00b2", []],
    "f": ["PYRO:f@:1", []],
    "g": [5, []],
    "h": ["PYRO:h@127.0.0.1:1", "t"],
    "i": [],
    "j": None,
    "k": ["PYRO:" + "k" * 600 + "@127.0.0.1:1", []],
}


def test_of_an_odd_answer_what_can_be_read_is_taken(serving: Serving) -> None:
    names = PlainObject(Answering(ODD_NAMES), ["yplookup"])
    address = serving.daemon(objects={NAMESERVER_NAME: names}).address
    found = NamedObject(name="a", object_id="a", address="127.0.0.1:1", tags=frozenset({"t"}))
    assert look_up(address, ["t"], 5) == [found]
    assert asyncio.run(look_up_async(address, ["t"], 5)) == [found]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (5, RemoteError),
        (["a"], RemoteError),
        ({str(number): None for number in range(4097)}, RemoteError),
        ({"a": "x" * (1 << 20)}, ConnectionLost),
        (Busy("later"), Busy),
    ],
)
def test_an_answer_that_says_nothing_is_an_error(
    serving: Serving, answer: object, error: type[Exception]
) -> None:
    names = PlainObject(Answering(answer), ["yplookup"])
    address = serving.daemon(objects={NAMESERVER_NAME: names}).address
    with pytest.raises(error):
        look_up(address, ["t"], 5)
    with pytest.raises(error):
        asyncio.run(look_up_async(address, ["t"], 5))


def test_the_fullest_name_server_of_ours_is_read(serving: Serving) -> None:
    """Its bounds are on names, tags and bytes; a reader's are on values and bytes. Each tag costs it one."""
    tags = [chr(number) for number in range(ord("!"), ord("!") + 31)]
    names = TaggedNames("account", [])
    with suppress(InvalidRequest):
        for number in range(MOST_NAMES + 1):
            names.register(STRANGER, f"n{number}", "PYRO:x@h:1", metadata=[*tags, "a:b"])
    address = serving.daemon(objects={NAMESERVER_NAME: remote_names(names)}).address
    found = look_up(address, ["a:b"], 5)
    assert len(found) * len(tags) > 1 << 13
    assert asyncio.run(look_up_async(address, ["a:b"], 5)) == found


def test_no_name_server_is_a_failure_in_time() -> None:
    with pytest.raises(ConnectRefused):
        look_up(free_address(), ["a:b"], 5)
    with pytest.raises(ConnectRefused):
        asyncio.run(look_up_async(free_address(), ["a:b"], 5))
    with strange_server(says_nothing) as silent:
        with pytest.raises(ConnectFailed):
            look_up(silent, ["a:b"], 0.1)
        with pytest.raises(ConnectFailed):
            asyncio.run(look_up_async(silent, ["a:b"], 0.1))
