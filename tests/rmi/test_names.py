"""Names with attributes, on Pyro's own name server object, ours or a stock one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from Pyro5.nameserver import MemoryStorage, NameServer, NameServerDaemon

from bankrmi.rmi import (
    NAMESERVER_NAME,
    ConnectFailed,
    ConnectRefused,
    NamedObject,
    PlainObject,
    RemoteError,
    look_up,
    look_up_async,
    register_name,
    register_name_async,
    remove_name_async,
    uri_of,
)

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


def named(server: str, port: int) -> NamedObject:
    object_id = f"bankrmi.account.{server}"
    return NamedObject(name=object_id, object_id=object_id, address=f"127.0.0.1:{port}")


def test_what_was_registered_is_found_by_all_of_its_tags(nameserver: str) -> None:
    for server, port, role in (("s2", 2, "standby"), ("s1", 1, "primary")):
        one = named(server, port)
        tags = ["service:account", f"role:{role}"]
        register_name(nameserver, one.name, uri_of(one.object_id, one.address), tags, 5)
    assert look_up(nameserver, ["service:account"], 5) == [named("s1", 1), named("s2", 2)]
    assert look_up(nameserver, ["service:account", "role:primary"], 5) == [named("s1", 1)]
    assert look_up(nameserver, ["service:other"], 5) == []


def test_the_same_in_the_event_loop(nameserver: str) -> None:
    async def work() -> None:
        one = named("s1", 1)
        await register_name_async(nameserver, one.name, uri_of(one.object_id, one.address), ["a:b"], 5)
        assert await look_up_async(nameserver, ["a:b"], 5) == [one]
        await remove_name_async(nameserver, one.name, 5)
        assert await look_up_async(nameserver, ["a:b"], 5) == []

    asyncio.run(work())


def test_names_of_another_kind_are_passed_over(nameserver: str) -> None:
    for number, uri in enumerate(("PYRO:x@./u:/tmp/socket", "PYRONAME:y", "PYRO:z@[::1]:7")):
        register_name(nameserver, f"n{number}", uri, ["a:b"], 5)
    assert look_up(nameserver, ["a:b"], 5) == [NamedObject(name="n2", object_id="z", address="[::1]:7")]


def test_a_name_server_that_refuses_does_so_with_its_words(nameserver: str) -> None:
    with pytest.raises(RemoteError):
        register_name(nameserver, "n", "not a uri", [], 5)


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
