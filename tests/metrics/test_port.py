"""The port, on real sockets: what it answers, and that nobody keeps it, or its loop, from working."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from time import perf_counter
from typing import Any

import pytest

from bankrmi.errors import OperationFailed
from bankrmi.event_loop import run as run_loop
from bankrmi.metrics import port as port_module
from bankrmi.metrics.health import Health, alive
from bankrmi.metrics.measure import Measure, read
from bankrmi.metrics.port import SEATS, SHARE, MetricsPort

NUMBERS = [f"{number}" for number in range(500)]
MEASURE: Measure[None] = Measure(
    name="bankrmi_x",
    kind="gauge",
    meaning="X",
    read=lambda _: {number: float(number) for number in NUMBERS},
    labels={"n": NUMBERS},
)
Scene = Callable[[MetricsPort], Coroutine[Any, Any, None]]


def play(scene: Scene) -> None:
    """Play a scene at a port, on the event loop of production."""

    async def played() -> None:
        checks = {"/health": alive, "/ready": lambda: Health(False, "starting")}
        port = MetricsPort(lambda: read([MEASURE], None), checks)
        await port.listen("127.0.0.1:0")
        try:
            await scene(port)
        finally:
            port.close()

    run_loop(asyncio.wait_for(played(), 60))


async def ask(port: MetricsPort, request: bytes) -> bytes:
    """Send a request, and read the answer to its end."""
    host, _, number = port.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(number))
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (get("/health"), "200 OK", b"alive\n"),
        (get("/ready"), "503 Service Unavailable", b"starting\n"),
        (get("/primary"), "404 Not Found", b"here are /metrics, /health, /ready\n"),
        (get("/"), "404 Not Found", b"here are /metrics, /health, /ready\n"),
        (get("/health", "POST"), "405 Method Not Allowed", b"only GET and HEAD are answered here\n"),
        (get("/health", "HEAD"), "200 OK", b""),
        (get("/nowhere", "HEAD"), "404 Not Found", b""),
    ],
)
def test_each_path_has_its_answer(request_: bytes, status: str, body: bytes) -> None:
    async def scene(port: MetricsPort) -> None:
        head, _, said = (await ask(port, request_)).partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].decode() == f"HTTP/1.1 {status}"
        assert said == body

    play(scene)


def test_the_figures_come_whole_and_say_what_they_are() -> None:
    async def scene(port: MetricsPort) -> None:
        head, _, page = (await ask(port, get("/metrics"))).partition(b"\r\n\r\n")
        assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head
        assert f"\r\nContent-Length: {len(page)}\r\n".encode() in head
        assert b'bankrmi_x{n="499"} 499.0\n' in page
        head_only = await ask(port, get("/metrics", "HEAD"))
        assert head_only.endswith(b"\r\n\r\n")

    play(scene)


def test_a_request_may_come_in_pieces_and_its_sender_may_say_no_more() -> None:
    async def scene(port: MetricsPort) -> None:
        host, _, number = port.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        for piece in (b"GE", b"T /metrics HT", b"TP/1.1\r\n", b"\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        assert b"bankrmi_x" in await reader.read()
        writer.close()

    play(scene)


def test_what_follows_a_request_does_not_take_the_answer_away() -> None:
    """Closing on unread bytes would reset the connection, and with it what was said."""

    async def scene(port: MetricsPort) -> None:
        body = b"x" * (1 << 19)
        said = await ask(port, get("/health", "POST") + body)
        assert said.endswith(b"only GET and HEAD are answered here\n")

    play(scene)


def test_who_never_stops_sending_is_cut() -> None:
    async def scene(port: MetricsPort) -> None:
        host, _, number = port.address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(number))
        sent, megabytes = 0, 200
        with suppress(ConnectionError):
            while sent < megabytes:
                writer.write(b"x: y\r\n" * ((1 << 20) // 6))
                await writer.drain()
                sent += 1
        writer.close()
        assert sent < megabytes
        assert b"alive" in await ask(port, get("/health"))

    play(scene)


def test_a_request_byte_by_byte_is_given_up() -> None:
    async def scene(port: MetricsPort) -> None:
        host, _, number = port.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent, whole = 0, b"GET /" + b"a" * 5000
        with suppress(ConnectionError):
            while sent < len(whole) and not reader.at_eof():
                writer.write(whole[sent : sent + 1])
                await writer.drain()
                sent += 1
                await asyncio.sleep(0.001)  # So that it does not arrive together with the next one.
        assert sent < len(whole)
        writer.close()

    play(scene)


def test_silent_strangers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not only when they are overdue."""
    monkeypatch.setattr(port_module, "DEADLINE_S", 1e9)

    async def scene(port: MetricsPort) -> None:
        host, _, number = port.address.rpartition(":")
        with ExitStack() as crowd:
            for _ in range(3 * SEATS):
                silent = crowd.enter_context(socket.socket())
                silent.setblocking(False)
                silent.connect_ex((host, int(number)))
            assert b"alive" in await ask(port, get("/health"))
            assert b"bankrmi_x" in await ask(port, get("/metrics"))
            assert len(port._connections) <= SEATS

    play(scene)


def test_who_is_overdue_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "DEADLINE_S", 0.1)

    async def scene(port: MetricsPort) -> None:
        host, _, number = port.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        writer.write(b"GET /he")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert not port._connections

    play(scene)


def test_who_does_not_read_is_cut_and_holds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "DEADLINE_S", 0.5)

    async def scene(port: MetricsPort) -> None:
        host, _, number = port.address.rpartition(":")
        with ExitStack() as crowd:
            for _ in range(SEATS // 2):
                slow = crowd.enter_context(socket.socket())
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                slow.setblocking(False)
                slow.connect_ex((host, int(number)))
                await asyncio.sleep(0)
                slow.send(get("/metrics"))
            assert b"bankrmi_x" in await ask(port, get("/metrics"))
            while port._connections:  # The deadline of `play` is that of this wait.
                await asyncio.sleep(0.01)

    play(scene)


def test_a_flood_costs_no_more_than_its_share() -> None:
    """However fast strangers come: by what the port itself reckons, and nobody is accepted beyond that."""

    async def scene(port: MetricsPort) -> None:
        spent_s, began_s = 0.0, perf_counter()
        budget_spend = port._budget.spend

        def spend(seconds: float) -> None:
            nonlocal spent_s
            spent_s += seconds
            budget_spend(seconds)

        port._budget.spend = spend  # type: ignore[method-assign]
        flooding = [asyncio.create_task(_flood(port, began_s + 2)) for _ in range(20)]
        answered = sum(await asyncio.gather(*flooding))
        took_s = perf_counter() - began_s
        assert answered > 10, "they are served, as far as it goes"
        most_s = SHARE * took_s + port_module.SAVED_S + SEATS * 2 * port_module.CONNECTION_S + 0.1
        assert spent_s < most_s
        assert answered * port_module.CONNECTION_S < most_s

    play(scene)


async def _flood(port: MetricsPort, until_s: float) -> int:
    answered = 0
    while perf_counter() < until_s:
        with suppress(OSError):
            answered += b"alive" in await ask(port, get("/health"))
    return answered


def test_a_port_that_is_taken_is_said() -> None:
    async def scene(port: MetricsPort) -> None:
        with pytest.raises(OperationFailed, match="another process has taken this port"):
            await MetricsPort(list, {}).listen(port.address)

    play(scene)
