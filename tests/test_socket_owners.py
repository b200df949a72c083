"""Which process has the other end of a connection: asked of the kernel, one way or the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from bankrmi import socket_owners as file
from bankrmi.socket_owners import endpoint, inode_of, socket_owners, tcp_sockets


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    host, family = request.param
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no such addresses")
    with listening, socket.create_connection(listening.getsockname()[:2]) as there:
        here, _ = listening.accept()
        with here:
            yield there, here


@pytest.fixture(params=[True, False], ids=["asked", "read"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a question to the kernel, and by its tables, where it answers none."""

    def refuses(*_: object) -> str:
        raise OSError

    if not request.param:
        monkeypatch.setattr(file, "_asked", refuses)


@pytest.mark.usefixtures("way")
def test_the_other_end_of_a_connection_is_found(pair: tuple[socket.socket, socket.socket]) -> None:
    there, here = pair
    ends = endpoint(*here.getpeername()[:2]), endpoint(*here.getsockname()[:2])
    inode = inode_of(*ends)
    assert inode == str(os.fstat(there.fileno()).st_ino)
    assert socket_owners([inode], [1, os.getpid()]) == {inode: os.getpid()}
    assert socket_owners([inode], [2**30]) == {}


@pytest.mark.usefixtures("way")
def test_what_is_not_there_is_not_found(pair: tuple[socket.socket, socket.socket]) -> None:
    _, here = pair
    host, port = here.getsockname()[:2]
    nobody = endpoint(host, 1)
    assert inode_of(nobody, endpoint(host, port)) is None


def test_who_listens_is_told_apart(pair: tuple[socket.socket, socket.socket]) -> None:
    _, here = pair
    mine = endpoint(*here.getsockname()[:2])  # The same port of another address may be somebody else's.
    found = [one for one in tcp_sockets([here.getsockname()[1]]) if one.local == mine]
    assert sorted(one.listens for one in found) == [False, True]


def test_an_ipv4_address_is_the_same_however_it_is_written() -> None:
    assert endpoint("::ffff:127.0.0.1", 7) == endpoint("127.0.0.1", 7)
    assert endpoint("fe80::1%lo", 7) == endpoint("fe80::1", 7)
