"""The side of whoever asks `up`: what he holds lasts as long as he is connected."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bankrmi.control.wire import LINE_BYTES, as_line, from_line, short_path
from bankrmi.errors import OperationFailed, error_of

__all__ = ["Control"]

_ANSWER_S = 5.0
_GONE = "`bankrmi up` does not run this bank on this machine, or has ended"


class Control:
    """A connection to the `up` that runs a bank; opened when it is needed, and again when it was lost."""

    def __init__(self, directory: Path) -> None:
        """`directory` is the bank's data directory."""
        self._directory = directory
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def hold(self, what: str, **values: Any) -> int:
        """Have something done; return the number to release it by.

        Raises OperationFailed, InvalidRequest.
        """
        number = (await self._ask({"do": what, **values}))["held"]
        assert isinstance(number, int)
        return number

    async def release(self, number: int) -> None:
        """Have it undone.  Raises OperationFailed."""
        await self._ask({"undo": number})

    async def told(self) -> Mapping[str, Any] | None:
        """Return what there is, and what is held by whomever; None if no `up` runs this bank here."""
        try:
            told = (await self._ask({"tell": True}))["told"]
        except OperationFailed:
            return None
        assert isinstance(told, dict)
        return told

    async def lost(self) -> None:
        """Return when `up` has ended; only while nothing is asked."""
        if self._streams is not None:
            await self._streams[0].read(1)

    def close(self) -> None:
        """Let go of all that is held."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        async with self._turn:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    reader, writer = self._streams = self._streams or await self._connected()
                    writer.write(as_line(asked))
                    await writer.drain()
                    answer = from_line(await reader.readline())
            except (OSError, ValueError) as error:  # A line that is empty is the end of the connection.
                self.close()
                raise OperationFailed(_GONE) from error
            except BaseException:
                self.close()  # Else the next answer would be taken for this one's.
                raise
        if "error" in answer:
            raise error_of(str(answer.get("code")), str(answer["error"]), {})
        return answer

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            with short_path(self._directory) as path:
                await asyncio.get_running_loop().sock_connect(connection, path)
        except BaseException:
            connection.close()
            raise
        return await asyncio.open_unix_connection(sock=connection, limit=LINE_BYTES)
