"""Crowds of strangers who idle keep nobody out: no client, no operator, no server, and fill no log."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bankrmi.rmi import NAMESERVER_NAME, connect, handshake
from bankrmi.rmi.frames import CONNECT, CONNECT_OK, MSGPACK, FrameReader, frame_bytes
from bankrmi.rmi.limits import Limits, greeting_rules
from bankrmi.rmi.values import write_value

from .cluster import NAMESERVER, Cluster

CONNECTIONS = 100


@contextmanager
def idle_crowd(
    address: str, object_id: str, count: int, said: object = "hello"
) -> Iterator[list[socket.socket]]:
    """Connect so often, do the handshake, and say no more."""
    host, _, port = address.rpartition(":")
    hello = frame_bytes(
        CONNECT, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": said, "object": object_id})
    )
    with ExitStack() as crowd:
        idle = [
            crowd.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(count)
        ]
        for one in idle:
            one.sendall(hello)
        for one in idle:
            reader = FrameReader(greeting_rules(Limits()))
            while (frame := reader.take()) is None:
                data = one.recv(1 << 16)
                if not data:
                    break
                reader.feed(data)
            assert frame is None or frame.kind == CONNECT_OK
        yield idle


@contextmanager
def crowds_everywhere(cluster: Cluster, count: int, said: object = "hello") -> Iterator[None]:
    """The same at all processes."""
    with ExitStack() as crowds:
        crowds.enter_context(idle_crowd(cluster.configuration.nameserver, NAMESERVER_NAME, count, said))
        for name, address in cluster.configuration.servers.items():
            if cluster.is_running(name):
                crowds.enter_context(idle_crowd(address, f"bankrmi.account.{name}", count, said))
        yield


@pytest.mark.parametrize("said", ["hello", handshake("client"), handshake("server", server="s9")])
def test_an_idle_crowd_keeps_nobody_out(tmp_path: Path, said: object) -> None:
    with Cluster(tmp_path, limits={"connections": CONNECTIONS}) as cluster:
        cluster.start_all()
        old = cluster.client()
        assert old.deposit(1, 1).balance == 101
        cluster.kill("s2")
        with crowds_everywhere(cluster, CONNECTIONS + 20, said):
            assert cluster.client().deposit(1, 1).balance == 102
            assert old.deposit(1, 1).balance == 103, "its idle connection was cut, and it noticed nothing"
            cluster.start("s2")
            cluster.wait_until_in_sync()
            with crowds_everywhere(cluster, CONNECTIONS + 20, said):
                cluster.switch_over(to="s2")
                assert cluster.client().deposit(1, 1).balance == 104
                for name in (NAMESERVER, *cluster.servers):
                    assert len(cluster.log(name).splitlines()) < 100


def test_with_few_files_an_idle_crowd_keeps_no_standby_out_and_fills_no_log(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start(NAMESERVER, files=80)
        cluster.start("s1", "s2", files=80)
        cluster.kill("s2")
        with crowds_everywhere(cluster, 65):
            cluster.start("s2", files=80)
            cluster.wait_until_in_sync()
            assert cluster.client().deposit(1, 1).balance == 101
            cluster.switch_over(to="s2")
            assert cluster.client().deposit(1, 1).balance == 102
        for name in (NAMESERVER, *cluster.servers):
            assert len(cluster.log(name).splitlines()) < 100


def test_a_crowd_that_claims_to_be_the_standby_does_not_take_its_place(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        said = handshake("server", server="s2", start_id="false")
        with ExitStack() as crowd:
            for address, object_id in (
                (cluster.configuration.servers["s1"], "bankrmi.standby.s1"),
                (cluster.configuration.witness, "bankrmi.witness"),
            ):
                for _ in range(60):
                    crowd.enter_context(connect(address, object_id, said, 20))
            cluster.kill("s2")
            cluster.start("s2")
            cluster.wait_until_in_sync()
            view = cluster.view()
            assert cluster.client().deposit(1, 1).balance == 101
            for _ in range(60):
                crowd.enter_context(
                    connect(cluster.configuration.servers["s1"], "bankrmi.standby.s1", said, 20)
                )
            assert cluster.client().deposit(1, 1).balance == 102
            assert cluster.view() == view, "the link in use was cut for the crowd"
