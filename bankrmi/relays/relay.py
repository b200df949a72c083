"""The connections to one process: taken in its place, and passed on as the weather allows.

Rule: who connects is asked for only while something is hindered; all else costs nothing more than the way.
Assumption: all is called in the event loop of the relays.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from bankrmi.held_port import HeldPort
from bankrmi.relays.ways import Way
from bankrmi.relays.weather import Weather

__all__ = ["Relay"]

_CHUNK = 1 << 16


class Relay:
    """One place where connections to one process are taken."""

    def __init__(
        self,
        held: HeldPort,
        target: tuple[str, int],
        destination: str,
        source_of: Callable[[socket.socket], str],
        weather: Weather,
    ) -> None:
        """`held` is where it listens, `target` where that process does; `source_of` says who connects."""
        self.held = held
        self._target = target
        self._destination = destination
        self._source_of = source_of
        self._weather = weather
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Take connections."""
        if self._listening is None:
            self._listening = self.held.listener()
            asyncio.get_running_loop().add_reader(self._listening, self._take, self._listening)

    def refuse(self) -> None:
        """Refuse connections; those that there are go on."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    async def close(self) -> None:
        """Take no more connections, and end those that there are; the port stays held."""
        self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        ends = _Ends(connection, self._source_of, self._destination)
        reader, writer = await asyncio.open_connection(sock=connection)
        writers = [writer]
        try:
            await self._weather.passage(self._destination, lambda: (ends.there(), ends.back()))
            if reader.at_eof():
                return  # Whoever called has given up: the call never arrived anywhere.
            target = await asyncio.open_connection(*self._target)
            writers.append(target[1])
            await asyncio.gather(
                self._pass_on(reader, target[1], ends.there),
                self._pass_on(target[0], writer, ends.back),
            )
        except OSError:
            pass  # The target is dead, or one end was reset: the other end sees its connection end.
        finally:
            for each in writers:
                each.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Callable[[], Way]
    ) -> None:
        """Pass on what comes from one end to the other, and at last that it has ended."""
        while chunk := await _read(reader):
            await self._weather.lateness(self._destination, way)
            await self._weather.passage(self._destination, lambda: (way(),))
            writer.write(chunk)
            await writer.drain()
        await self._weather.passage(self._destination, lambda: (way(),))
        writer.close()
        await writer.wait_closed()


class _Ends:
    """Who is connected to whom."""

    def __init__(
        self, connection: socket.socket, source_of: Callable[[socket.socket], str], destination: str
    ) -> None:
        self._connection = connection
        self._source_of = source_of
        self._source: str | None = None
        self._destination = destination

    def there(self) -> Way:
        return self._known_source(), self._destination

    def back(self) -> Way:
        return self._destination, self._known_source()

    def _known_source(self) -> str:
        if self._source is None:
            self._source = self._source_of(self._connection)
        return self._source


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what came; nothing at the end, however it came about."""
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""
