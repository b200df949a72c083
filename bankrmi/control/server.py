"""`up`'s side: does what is asked for, and undoes it when whoever asked is gone."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bankrmi.control.wire import LINE_BYTES, SOCKET, as_line, from_line, short_path
from bankrmi.errors import BankError, InvalidRequest

__all__ = ["Action", "ControlServer"]

Action = Callable[[Mapping[str, Any]], Callable[[], None]]
"""Does what is asked for, and returns what undoes it.  Raises BankError."""

CONNECTIONS = 16
HELD_AT_MOST = 64
_CREDENTIALS = struct.Struct("3i")


class ControlServer:
    """What one `up` may be asked."""

    def __init__(
        self, directory: Path, actions: Mapping[str, Action], tell: Callable[[], Mapping[str, Any]]
    ) -> None:
        """`tell` says what there is, and what is held at the moment."""
        self._directory = directory
        self._actions = actions
        self._tell = tell
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0

    async def open(self) -> None:
        """Listen.  Raises OSError."""
        with suppress(FileNotFoundError):
            path = self._directory / SOCKET
            if stat.S_ISSOCK(path.lstat().st_mode):  # Of one that was killed: who lives has the bank's ports.
                path.unlink()
        listening = socket.socket(socket.AF_UNIX)
        try:
            with short_path(self._directory) as path_now:
                listening.bind(path_now)
            (self._directory / SOCKET).chmod(0o600)
            self._server = await asyncio.start_unix_server(self._connected, sock=listening, limit=LINE_BYTES)
        except OSError:
            listening.close()
            raise

    async def close(self) -> None:
        """Let everybody go, and undo what they hold."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(OSError):
            (self._directory / SOCKET).unlink()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= CONNECTIONS or not _is_ours(writer):
            writer.close()
            return
        self._tasks.add(task)
        held: dict[int, Callable[[], None]] = {}
        try:
            while line := await reader.readline():
                writer.write(as_line(self._answer(line, held)))
                await writer.drain()
        except (OSError, ValueError):
            pass  # It has gone, or says lines without an end.
        finally:
            for undo in reversed(held.values()):
                undo()
            writer.transport.abort()
            self._tasks.discard(task)

    def _answer(self, line: bytes, held: dict[int, Callable[[], None]]) -> dict[str, Any]:
        try:
            return self._done(from_line(line), held)
        except ValueError as error:
            return {"error": str(error)}
        except BankError as error:
            return {"error": error.message, "code": error.code}

    def _done(self, asked: dict[str, Any], held: dict[int, Callable[[], None]]) -> dict[str, Any]:
        match asked:
            case {"tell": True}:
                return {"told": self._tell()}
            case {"undo": int(number)}:
                undo = held.pop(number, None)
                if undo is None:
                    raise InvalidRequest("that is not held, or not by whoever asks")
                undo()
                return {}
            case {"do": str(what)} if what in self._actions:
                if len(held) >= HELD_AT_MOST:
                    raise InvalidRequest(f"{HELD_AT_MOST} things are held already: undo one first")
                undo = self._actions[what](asked)
                self._number += 1
                held[self._number] = undo
                return {"held": self._number}
            case _:
                raise InvalidRequest(f"what can be asked for is {', '.join(self._actions)}, undo and tell")


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether our own user asks."""
    connection: socket.socket = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(raw)[1] == os.geteuid())
