"""Relays hold back what they should pass on, and refuse only in a dead process's name."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bankrmi.config import split_address
from bankrmi.robustness.chaos.network import OPERATOR
from bankrmi.robustness.chaos.relays import Relays

PATIENCE_S = 20.0
A_MOMENT_S = 0.15
"""How long something has to stay away before it counts as held back; too short only hides a mistake."""


class Echo:
    """A process that gives back what it gets."""

    def __init__(self, address: str) -> None:
        self._listening = socket.create_server(split_address(address))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._give_back, args=(connection,), daemon=True).start()

    @staticmethod
    def _give_back(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    def die(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def relays() -> Iterator[Relays]:
    network = Relays((("client", "s1"), ("s1", "s2")))
    yield network
    network.close()


@pytest.fixture
def echo(relays: Relays) -> Iterator[Echo]:
    relays.begins("s1")
    process = Echo(relays.address("s1", seen_by="s1"))
    yield process
    process.die()


def connected(relays: Relays) -> socket.socket:
    connection = socket.create_connection(split_address(relays.address("s1", seen_by="client")), PATIENCE_S)
    connection.settimeout(PATIENCE_S)
    return connection


def said(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        assert piece, "the connection was closed"
        data += piece
    return data


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(A_MOMENT_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_S)
    return False


def refuses(relays: Relays) -> bool:
    try:
        connected(relays).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.usefixtures("echo")
def test_a_whole_link_passes_everything_on_in_order(relays: Relays) -> None:
    """A few megabytes arrive there and come back as they are."""
    data = bytes(range(256)) * 8192
    with connected(relays) as connection:
        sending = threading.Thread(target=connection.sendall, args=(data,))
        sending.start()
        assert said(connection, len(data)) == data
        sending.join()


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("way", [("client", "s1"), ("s1", "client")])
def test_a_cut_holds_back_and_nothing_is_lost(relays: Relays, way: tuple[str, str]) -> None:
    """One way or the other: what was sent meanwhile arrives when the link is whole again."""
    with connected(relays) as connection:
        connection.sendall(b"before")
        assert said(connection, 6) == b"before"
        relays.cut(way)
        connection.sendall(b"meanwhile")
        assert is_silent(connection)
        relays.heal(way)
        assert said(connection, 9) == b"meanwhile"


@pytest.mark.usefixtures("echo")
def test_a_link_is_whole_only_when_every_cut_is_taken_back(relays: Relays) -> None:
    """Faults overlap."""
    with connected(relays) as connection:
        relays.cut(("client", "s1"))
        relays.cut(("client", "s1"))
        connection.sendall(b"x")
        relays.heal(("client", "s1"))
        assert is_silent(connection)
        relays.heal(("client", "s1"))
        assert said(connection, 1) == b"x"


@pytest.mark.usefixtures("echo")
def test_a_connection_that_begins_in_a_cut_is_neither_refused_nor_answered(relays: Relays) -> None:
    """The target lives: whoever asks must not take it for dead."""
    relays.cut(("s1", "client"))
    with connected(relays) as connection:
        connection.sendall(b"x")
        assert is_silent(connection)
        relays.heal(("s1", "client"))
        assert said(connection, 1) == b"x"


def test_a_dead_target_is_refused_and_a_living_one_never(relays: Relays) -> None:
    """From the moment that a process is about to start until it is surely gone nothing is refused."""
    assert refuses(relays)
    relays.begins("s1")
    assert not refuses(relays), "it may be alive: that nobody listens there yet proves nothing"
    echo = Echo(relays.address("s1", seen_by="s1"))
    with connected(relays) as connection:
        connection.sendall(b"x")
        assert said(connection, 1) == b"x"
    echo.die()
    assert not refuses(relays), "nobody has seen it dead yet"
    relays.has_ended("s1")
    assert refuses(relays)


def test_a_cut_hides_that_a_process_is_dead(relays: Relays) -> None:
    """No refusal comes through a cut, either."""
    relays.cut(("s1", "client"))
    assert not refuses(relays)
    relays.heal(("s1", "client"))
    assert refuses(relays)


@pytest.mark.usefixtures("echo")
def test_a_slow_link_is_late_by_so_much_each_way(relays: Relays) -> None:
    """And whole again afterwards."""
    with connected(relays) as connection:
        relays.slow(80, ("client", "s1"), ("s1", "client"))
        began = time.monotonic()
        connection.sendall(b"x")
        assert said(connection, 1) == b"x"
        assert time.monotonic() - began >= 0.16
        relays.hasten(80, ("client", "s1"), ("s1", "client"))


def test_an_operator_sees_each_process_directly_and_no_link_leads_past_the_relays(relays: Relays) -> None:
    """Who has no link to somebody is told an address where nobody is."""
    own = relays.address("s1", seen_by="s1")
    assert relays.address("s1", seen_by=OPERATOR) == own
    assert relays.address("s1", seen_by="client") != own
    nowhere = relays.address("s2", seen_by="client")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(split_address(nowhere), PATIENCE_S)
