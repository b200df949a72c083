"""A descriptor that is closed under a transport is lost, and nothing else with it.

After takeovers a server was found that reached nobody, and let nobody in, until it was restarted: every
socket got the number that its event loop took for used.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bankrmi.event_loop import run
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

pytest.importorskip("uvloop")


class Echo:
    def echo(self, value: object) -> object:
        return value


async def daemon() -> Daemon:
    serving = Daemon(Limits(), lambda: {"protocol": 1})
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


async def who_closes_early() -> None:
    """While the loop takes the socket over: its number may be somebody else's by then."""
    serving = await daemon()
    for _ in range(200):
        link = Link(serving.address, "echo", handshake("client"), lambda _: None, lambda _: None)
        link.open(5)
        while link._socket is None:
            await asyncio.sleep(0)
        link.close()
    well = await connected(serving, within=1)
    assert await well.ask("echo", [1], 5) == 1
    assert not lost_descriptors._kept


def in_this_process(name: str) -> None:
    """Run one of these; the loop is not closed after it, for it would wait for what is lost."""

    async def main() -> None:
        await globals()[name]()
        os._exit(0)

    run(main())


@pytest.mark.parametrize("name", ["who_connects", "who_is_let_in", "who_closes_early"])
def test_a_number_that_is_lost_to_the_loop_is_kept_out_of_use(name: str) -> None:
    script = f"from tests.rmi.test_lost_descriptors import in_this_process; in_this_process({name!r})"
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
