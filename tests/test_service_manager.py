"""What systemd is told, over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.service_manager import ServiceManager


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        yield manager


def told(manager: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(manager.recv(4096))
    except BlockingIOError:
        return found


def test_it_hears_that_the_process_is_ready_and_alive(listening: socket.socket) -> None:
    now = [100.0]
    environment = {"NOTIFY_SOCKET": listening.getsockname(), "WATCHDOG_USEC": "10000000"}
    manager = ServiceManager(environment, lambda: now[0])
    manager.say_ready()
    for seconds in (0.0, 1.0, 4.0, 0.1):
        now[0] += seconds
        manager.tick()
    manager.say_stopping()
    ready, *rest = told(listening)
    assert ready.startswith(b"READY=1\n")
    assert rest == [b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)
def test_it_is_not_told_more_than_it_wants(listening: socket.socket, environment: dict[str, str]) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": listening.getsockname(), **environment})
    manager.tick()
    assert told(listening) == []


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@bankrmi-nobody", "x" * 200])
def test_one_that_does_not_listen_stops_nothing(address: str) -> None:
    manager = ServiceManager(
        {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid())}
    )
    manager.say_ready()
    manager.tick()
