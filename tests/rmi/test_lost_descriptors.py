"""A descriptor that is closed under a transport is lost, and nothing else with it.

After takeovers a server was found that reached nobody, and let nobody in, until it was restarted: every
socket got the number that its event loop took for used.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bankrmi.rmi import (
    Daemon,
    Limits,
    Link,
    NotConnected,
    PlainObject,
    handshake,
    lost_descriptors,
    open_link,
)
from tests import warm

pytest.importorskip("uvloop")


class Echo:
    def echo(self, value: object) -> object:
        return value


async def daemon() -> Daemon:
    serving = Daemon(Limits(), dict)
    serving.register("echo", PlainObject(Echo(), ["echo"]))
    await serving.listen("127.0.0.1:0")
    return serving


async def connected(serving: Daemon, *, within: int) -> Link:
    for _ in range(within):
        try:
            return await open_link(serving.address, "echo", handshake("client"), 5)
        except NotConnected:
            continue
    raise AssertionError("nobody got in")


async def who_connects() -> None:
    serving = await daemon()
    first = await connected(serving, within=1)
    assert first._socket is not None
    os.close(first._socket.detach())
    for _ in range(5):
        link = await connected(serving, within=2)
        assert await link.ask("echo", [1], 5) == 1
    assert len(lost_descriptors._kept) == 1


async def who_is_let_in() -> None:
    serving = await daemon()
    await connected(serving, within=1)
    [served] = serving._seats
    os.close(served._transport.get_extra_info("socket").fileno())
    for _ in range(5):
        link = await connected(serving, within=3)
        assert await link.ask("echo", [1], 5) == 1
    assert lost_descriptors._kept


class ClosedBeforeItIsTakenOver(Link):
    """It is connected, and the loop has not told yet that it has the socket."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_socket" and value is not None:
            self.number = value.fileno()
            asyncio.get_running_loop().call_soon(self.close)


class ClosedWhileItIsTakenOver(Link):
    """It ends, as of a peer that died, when it hears of its transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._socket is not None
        self.number = self._socket.fileno()
        self.close()


async def closed_before() -> None:
    await _closed_once(ClosedBeforeItIsTakenOver)


async def closed_while() -> None:
    await _closed_once(ClosedWhileItIsTakenOver)


async def _closed_once(kind: Any) -> None:
    """Its number is somebody else's when the link is collected."""
    serving = await daemon()
    ended = asyncio.Event()
    link = kind(serving.address, "echo", handshake("client"), lambda _: None, lambda _: ended.set())
    link.open(5)
    await ended.wait()
    number = link.number
    await _until_closed(number)
    ours = [os.open(os.devnull, os.O_RDONLY)]
    while number not in ours:
        ours.append(os.open(os.devnull, os.O_RDONLY))
    del link
    for _ in range(5):
        await asyncio.sleep(0)
        gc.collect()
    for one in ours:
        os.close(one)  # Raises if somebody else was there before.


async def _until_closed(number: int) -> None:
    """Wait for that: nobody may keep the descriptor for ever either."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.fstat(number)
        except OSError:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"descriptor {number} is never closed")


def in_this_process(name: str, run: Callable[[Coroutine[None, None, None]], None]) -> None:
    """Run one of these; the loop is not closed after it, for it would wait for what is lost."""

    async def main() -> None:
        await globals()[name]()
        os._exit(0)

    run(main())


@pytest.mark.parametrize("name", ["who_connects", "who_is_let_in"])
def test_a_number_that_is_lost_to_the_loop_is_kept_out_of_use(name: str) -> None:
    _run_alone(name, "uvloop")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("name", ["closed_before", "closed_while"])
def test_a_link_that_ends_early_closes_its_descriptor_once(name: str, loop: str) -> None:
    _run_alone(name, loop)


def _run_alone(name: str, loop: str) -> None:
    script = f"import {loop}, tests.rmi.test_lost_descriptors as t; t.in_this_process({name!r}, {loop}.run)"
    ended = warm.run_command([sys.executable, "-c", script], timeout=60)
    assert ended.returncode == 0, ended.stderr
