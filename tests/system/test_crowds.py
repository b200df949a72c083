"""Crowds of strangers who idle keep nobody out: no client, no operator, no server, and fill no log."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from bankrmi.rmi import NAMESERVER_NAME, connect, handshake
from bankrmi.rmi.frames import (
    CONNECT,
    CONNECT_FAIL,
    CONNECT_OK,
    INVOKE,
    MSGPACK,
    PING,
    FrameReader,
    frame_bytes,
)
from bankrmi.rmi.limits import Limits, greeting_rules
from bankrmi.rmi.values import write_call, write_value
from tests.client.doubles import Account, Running

from .cluster import NAMESERVER, Cluster

CONNECTIONS = 100


def _hello(object_id: str, said: object) -> bytes:
    return frame_bytes(CONNECT, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": said, "object": object_id}))


@contextmanager
def idle_crowd(
    address: str, object_id: str, count: int, said: object = "hello"
) -> Iterator[list[socket.socket]]:
    """Connect `count` times, do the handshake, and say no more.

    Clients of ours may be told that all seats are taken: whoever came before has a moment for his first call.
    """
    host, _, port = address.rpartition(":")
    hello = _hello(object_id, said)
    with ExitStack() as crowd:
        idle = [
            crowd.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(count)
        ]
        for one in idle:
            one.sendall(hello)
        answers = {CONNECT_OK: 0, CONNECT_FAIL: 0}
        for one in idle:
            reader = FrameReader(greeting_rules(Limits()))
            while (frame := reader.take()) is None:
                data = one.recv(1 << 16)
                if not data:
                    break
                reader.feed(data)
            if frame is not None:
                answers[frame.kind] += 1
        assert answers[CONNECT_OK] >= min(count, CONNECTIONS) - 20
        assert not answers[CONNECT_FAIL] or said == handshake("client")
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


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("said", ["hello", handshake("client"), handshake("server", server="s9")])
def test_an_idle_crowd_keeps_nobody_out(tmp_path: Path, said: object) -> None:
    with Cluster(tmp_path, limits={"connections": CONNECTIONS}) as cluster:
        cluster.start_all()
        old = cluster.client()
        assert old.deposit(1, 1).balance == 101
        cluster.kill_the_standby("s2")
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
        cluster.kill_the_standby("s2")
        with crowds_everywhere(cluster, 65):
            cluster.start("s2", files=80)
            cluster.wait_until_in_sync()
            assert cluster.client().deposit(1, 1).balance == 101
            cluster.switch_over(to="s2")
            assert cluster.client().deposit(1, 1).balance == 102
        for name in (NAMESERVER, *cluster.servers):
            assert len(cluster.log(name).splitlines()) < 100


HOSTILE = "\x1b[2J\nFALSE LINE\u202e" + "x" * 500


def attack_the_log(address: str, object_id: str) -> None:
    """Provoke every line there is for somebody who may connect, and leave before the answer."""
    host, _, port = address.rpartition(":")
    hello = _hello(object_id, "hello")
    ping = frame_bytes(PING, MSGPACK, 0, 1, b"ping")
    for sent in (
        b"GET / HTTP/1.1\r\n\r\n",
        _hello(HOSTILE, HOSTILE),
        _hello(object_id, {"protocol": HOSTILE, "role": HOSTILE}),
        _hello(object_id, {"protocol": [1, 1], "role": HOSTILE}),
        _hello("bankrmi.standby.s1", handshake("server", server=HOSTILE, start_id=HOSTILE)),
        frame_bytes(CONNECT, MSGPACK, 0, 1, b"\xc1" * 100),
        hello + frame_bytes(INVOKE, MSGPACK, 0, 1, b"\xc1" * 100),
        hello + ping * 200,
        hello + frame_bytes(INVOKE, MSGPACK, 0, 1, write_call(object_id, HOSTILE, (HOSTILE,), {})) * 50,
        hello + frame_bytes(INVOKE, MSGPACK, 0, 1, write_call(object_id, "status", (HOSTILE,), {})) * 50,
        hello + hello,
    ):
        with suppress(OSError):
            one = socket.create_connection((host, int(port)), timeout=20)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sendall(sent)
            one.close()


def test_strangers_and_false_servers_fill_no_log_and_write_nothing_of_their_own(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.kill_the_standby("s2")
        servers = cluster.configuration.servers
        false = Running(servers["s2"], {"bankrmi.standby.s2": Account(lambda call: call.answer(HOSTILE))})
        try:
            for _ in range(100):
                attack_the_log(servers["s1"], "bankrmi.account.s1")
                attack_the_log(cluster.configuration.nameserver, NAMESERVER_NAME)
            assert cluster.client().deposit(1, 1).balance == 101
        finally:
            false.stop()
        for name in (NAMESERVER, "s1"):
            lines = cluster.log(name).splitlines()
            assert 10 < len(lines) < 400
            for line in lines:
                assert line.isprintable()
                assert "FALSE LINE" not in line[:12]
                assert len(line) < 2_000


def test_a_crowd_that_claims_to_be_the_standby_does_not_take_its_place(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        said = handshake("server", server="s2", start_id="false")
        with ExitStack() as crowd:
            for address, object_id in (
                (cluster.configuration.servers["s1"], "bankrmi.standby.s1"),
                (str(cluster.configuration.witness), "bankrmi.witness"),
            ):
                for _ in range(60):
                    crowd.enter_context(connect(address, object_id, said, 20))
            cluster.kill_the_standby("s2")
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
