"""What is asked of `up` over its socket lasts as long as whoever asked is there; everything has a bound."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bankrmi.control import Control, ControlServer
from bankrmi.control import server as server_file
from bankrmi.control.wire import LINE_BYTES, SOCKET
from bankrmi.errors import InvalidRequest, OperationFailed


class Held:
    """What is held at the moment."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def hold(self, asked: Mapping[str, Any]) -> Callable[[], None]:
        name = asked.get("name")
        if not isinstance(name, str):
            raise InvalidRequest("a name is wanted")
        if name == "impossible":
            raise OperationFailed("that cannot be done now")
        self.names.append(name)
        return lambda: self.names.remove(name)


@asynccontextmanager
async def controlled(folder: Path) -> AsyncIterator[tuple[Held, Callable[[], Control]]]:
    """An `up`, and what makes connections to it, which end with it."""
    held, controls = Held(), list[Control]()
    server = ControlServer(folder, {"hold": held.hold}, lambda: {"names": held.names})

    def connect() -> Control:
        controls.append(Control(folder))
        return controls[-1]

    await server.open()
    try:
        yield held, connect
    finally:
        await server.close()
        for control in controls:
            control.close()
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


def test_what_is_held_is_told_and_released_one_by_one(tmp_path: Path) -> None:
    async def ask() -> None:
        async with controlled(tmp_path) as (_, connect):
            control, other = connect(), connect()
            first, second = await control.hold("hold", name="a"), await control.hold("hold", name="b")
            assert await other.told() == {"names": ["a", "b"]}
            with pytest.raises(InvalidRequest, match="not by whoever asks"):
                await other.release(first)
            await control.release(first)
            assert await other.told() == {"names": ["b"]}
            with pytest.raises(InvalidRequest):
                await control.release(first)
            await control.release(second)

    asyncio.run(ask())


def test_what_is_held_ends_with_its_holder_and_with_up(tmp_path: Path) -> None:
    async def vanish() -> None:
        async with controlled(tmp_path) as (held, connect):
            control, other = connect(), connect()
            await control.hold("hold", name="a")
            await other.hold("hold", name="b")
            control.close()
            await until(lambda: held.names == ["b"])
            lost = asyncio.create_task(other.lost())
        await lost
        assert held.names == []
        assert await other.told() is None
        with pytest.raises(OperationFailed, match="has ended"):
            await other.hold("hold", name="c")
        assert not (tmp_path / SOCKET).exists()

    asyncio.run(vanish())


def test_whoever_comes_after_an_up_that_was_killed_has_the_socket(tmp_path: Path) -> None:
    async def follow() -> None:
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(tmp_path / SOCKET))
        async with controlled(tmp_path) as (_, connect):
            assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
            assert await connect().told() == {"names": []}

    asyncio.run(follow())


def test_however_deep_the_directory_lies(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)

    async def ask() -> None:
        async with controlled(deep) as (_, connect):
            assert await connect().told() == {"names": []}

    asyncio.run(ask())


def test_what_cannot_be_done_is_said_in_a_sentence_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def ask() -> None:
        async with controlled(tmp_path) as (_, connect):
            control = connect()
            with pytest.raises(OperationFailed, match="cannot be done now"):
                await control.hold("hold", name="impossible")
            with pytest.raises(InvalidRequest, match="a name is wanted"):
                await control.hold("hold")
            with pytest.raises(InvalidRequest, match="what can be asked for is hold, undo and tell"):
                await control.hold("steal")
            assert await control.told() == {"names": []}

    asyncio.run(ask())


@pytest.mark.parametrize(
    "line", [b"no JSON", b"[1]", b"{}", b'{"do": 7}', b'{"undo": "x"}', b'{"tell": 0}', b"[" * 9000, b"\xff"]
)
def test_any_line_gets_an_answer(tmp_path: Path, line: bytes) -> None:
    async def ask() -> bytes:
        async with controlled(tmp_path):
            reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
            writer.write(line + b"\n")
            answer = await reader.readline()
            writer.close()
            return answer

    assert asyncio.run(ask()).startswith(b'{"error":')


def test_lines_holds_and_connections_are_bounded(tmp_path: Path) -> None:
    async def ask() -> None:
        async with controlled(tmp_path) as (held, connect):
            reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
            writer.write(b"x" * (2 * LINE_BYTES))
            assert await reader.read() == b""
            writer.close()
            control = connect()
            for number in range(server_file.HELD_AT_MOST):
                await control.hold("hold", name=str(number))
            with pytest.raises(InvalidRequest, match="undo one first"):
                await control.hold("hold", name="one more")
            control.close()
            await until(lambda: not held.names)
            many = [connect() for _ in range(server_file.CONNECTIONS)]
            assert all([await one.told() for one in many])
            assert await connect().told() is None

    asyncio.run(ask())


def test_nobody_else_may_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """We are somebody else, as far as `up` is concerned."""

    async def ask() -> None:
        async with controlled(tmp_path) as (_, connect):
            assert await connect().told() is not None
            monkeypatch.setattr(os, "geteuid", lambda: 65534)
            assert await connect().told() is None

    asyncio.run(ask())
