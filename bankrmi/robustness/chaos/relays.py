"""A small relay on each link, where nobody may cut a network: it holds back what it should pass on.

    client1 ──> relay ──> s1        the address that client1 is told for s1 is that of its own relay to it

A cut is a relay that passes nothing on. What it holds goes out when the link is healed, as TCP does it;
connections that begin meanwhile are taken, and get no answer. A slow link passes everything on later.

Rule 1: a relay is honest about death, and only about death (R3): it listens while its target may be alive,
        and refuses only when the target is surely gone and the link is whole. In between it takes connections
        that come to nothing, which proves nothing to anybody.
Rule 2: nothing is lost, changed or reordered on a connection; it may only be late, or never arrive.
Assumption: clients look for no name server here: names would lead them past the relays.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from bankrmi.robustness.chaos.network import OPERATOR, Hindered, Way
from bankrmi.robustness.chaos.ports import HeldPort

__all__ = ["Relays"]

Value = TypeVar("Value")

_CHUNK = 1 << 16
_ROUNDS = 8
"""Of the event loop: more than asyncio needs to finish what it has begun with a connection."""


class Relays:
    """See `network.ChaosNetwork`. All relays live in one thread, with an event loop of its own."""

    cuts_by = "relays"
    alike = False
    insecure = False

    def __init__(self, links: tuple[Way, ...]) -> None:
        """`links` are (who connects, to whom)."""
        self._own = {process: HeldPort() for process in dict.fromkeys(end for link in links for end in link)}
        self._nowhere = {process: HeldPort() for process in self._own}  # For whom there is no link.
        self._hindered = Hindered()
        self._loop = asyncio.new_event_loop()
        weather = _Weather()
        self._weather = weather
        self._relays = {
            (source, destination): _Relay(source, destination, self._own[destination].port, weather)
            for source, destination in links
        }
        self._alive: set[str] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._thread.start()

    def address(self, of: str, *, seen_by: str) -> str:
        if seen_by in (of, OPERATOR):
            return self._own[of].address
        relay = self._relays.get((seen_by, of))
        return self._nowhere[of].address if relay is None else relay.held.address

    def command(self, process: str, command: list[str]) -> list[str]:  # noqa: ARG002 (all at one place)
        return command

    def inherited(self, process: str) -> tuple[int, ...]:  # noqa: ARG002
        return ()

    def begins(self, process: str) -> None:
        self._alive.add(process)
        self._listen_where_due()

    def has_ended(self, process: str) -> None:
        self._alive.discard(process)
        self._listen_where_due()

    def cut(self, *ways: Way) -> None:
        self._hindered.hold(*ways)
        self._change_weather()

    def heal(self, *ways: Way) -> None:
        self._hindered.release(*ways)
        self._change_weather()

    def slow(self, late_ms: int, *ways: Way) -> str:
        self._do(self._weather.slow(late_ms, ways))
        return f"{late_ms} ms late"

    def hasten(self, late_ms: int, *ways: Way) -> None:
        self._do(self._weather.slow(-late_ms, ways))

    def close(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for held in (*self._own.values(), *self._nowhere.values()):
            held.close()
        for relay in self._relays.values():
            relay.held.close()

    async def _close(self) -> None:
        for relay in self._relays.values():
            await relay.refuse()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._some_rounds()  # What was aborted is closed.

    @staticmethod
    async def _some_rounds() -> None:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    def _change_weather(self) -> None:
        cut = {
            way
            for source, destination in self._relays
            for way in ((source, destination), (destination, source))
            if way in self._hindered
        }
        self._do(self._weather.cut(cut))
        self._listen_where_due()

    def _listen_where_due(self) -> None:
        for (source, destination), relay in self._relays.items():
            is_cut = (source, destination) in self._hindered or (destination, source) in self._hindered
            self._do(relay.listen() if is_cut or destination in self._alive else relay.refuse())

    def _do(self, what: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()


class _Weather:
    """What passes at the moment; only ever used in the relays' event loop."""

    def __init__(self) -> None:
        self._cut: set[Way] = set()
        self._late_ms: Counter[Way] = Counter()
        self._changed = asyncio.Event()

    async def cut(self, ways: set[Way]) -> None:
        """Cut exactly these from now on."""
        self._cut = ways
        self._changed.set()
        self._changed = asyncio.Event()

    async def slow(self, by_ms: int, ways: Iterable[Way]) -> None:
        """Let everything be `by_ms` later these ways, from now on."""
        for way in ways:
            self._late_ms[way] += by_ms

    async def passage(self, *ways: Way) -> None:
        """Return when something may pass, all of these ways."""
        while any(way in self._cut for way in ways):
            await self._changed.wait()

    async def lateness(self, way: Way) -> None:
        """Return when something that begins its way now has arrived."""
        if self._late_ms[way]:
            await asyncio.sleep(self._late_ms[way] / 1000)


class _Relay:
    """The connections from one process to another."""

    def __init__(self, source: str, destination: str, port: int, weather: _Weather) -> None:
        self.held = HeldPort()
        self._there = (source, destination)
        self._back = (destination, source)
        self._port = port
        self._weather = weather
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Take connections."""
        if self._listening is None:
            self._listening = self.held.listener()
            asyncio.get_running_loop().add_reader(self._listening, self._take, self._listening)

    async def refuse(self) -> None:
        """Refuse connections; those that there are go on."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _take(self, listening: socket.socket) -> None:
        """Not by a server of asyncio's: one that is closed just then forgets whom it has accepted."""
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # Whoever called has gone already.
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._connected(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: connection.close())

    async def _connected(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        writers = [writer]
        try:
            await self._weather.passage(self._there, self._back)
            if reader.at_eof():
                return  # Whoever called has given up: the call never arrived anywhere.
            target = await asyncio.open_connection("127.0.0.1", self._port)
            writers.append(target[1])
            await asyncio.gather(
                self._pass_on(reader, target[1], self._there),
                self._pass_on(target[0], writer, self._back),
            )
        except OSError:
            pass  # The target is dead, or one end was reset: the other end sees its connection end.
        finally:
            for each in writers:
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        """Pass on what comes from one end to the other, and at last that it has ended."""
        while chunk := await _read(reader):
            await self._weather.lateness(way)
            await self._weather.passage(way)
            writer.write(chunk)
            await writer.drain()
        await self._weather.passage(way)
        writer.close()
        await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what came; nothing at the end, however it came about."""
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""
