"""Whether a server is where it is announced, tried with real daemons."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bankrmi.errors import OperationFailed
from bankrmi.rmi import Daemon, Limits, PlainObject, handshake
from bankrmi.server import own_address
from bankrmi.server.account import ACCOUNT_ID
from bankrmi.server.own_address import check_own_address
from tests.system.ports import own_addresses

OURS = "this process"


async def look(
    address: str, *, who_listens: str | None, refused_means_gone: bool = True, refused_before: int = 0
) -> None:
    """Have the address looked at; who listens there begins to after it was refused so many times."""
    daemon = Daemon(Limits(), lambda: {"server": "s1", "start_id": who_listens})
    refused = 0

    async def begin() -> None:
        if who_listens is not None:
            daemon.register(ACCOUNT_ID + "s1", PlainObject(object(), ()))
            await daemon.listen(address)

    async def asked(*of: Any) -> Any:
        nonlocal refused
        answer = await ask(*of)
        if answer == "refused":
            refused += 1
            if refused == refused_before:
                await begin()
        return answer

    ask = own_address._asked
    with pytest.MonkeyPatch.context() as watched:
        watched.setattr(own_address, "_asked", asked)
        if not refused_before:
            await begin()
        try:
            await check_own_address(
                address,
                ACCOUNT_ID + "s1",
                handshake("server", server="s1"),
                OURS,
                refused_means_gone=refused_means_gone,
            )
        finally:
            await daemon.close()


def test_who_finds_itself_goes_on() -> None:
    with own_addresses(1) as [address]:
        asyncio.run(look(address, who_listens=OURS))


def test_whoever_passes_connections_on_may_begin_a_moment_later_than_this_process() -> None:
    with own_addresses(1) as [address]:
        asyncio.run(look(address, who_listens=OURS, refused_before=2))


@pytest.mark.parametrize(
    ("who_listens", "says"),
    [
        (None, "refuses connections, which would prove to the others that it is gone"),
        ("another process", "another process answers at .*, where this server is announced"),
    ],
)
def test_what_would_prove_it_gone_ends_it(who_listens: str | None, says: str) -> None:
    """R3: while it lives it might answer reads by its lease, and another one lead already."""
    with own_addresses(1) as [address], pytest.raises(OperationFailed, match=says):
        asyncio.run(look(address, who_listens=who_listens))


def test_a_refusal_that_proves_nothing_is_none_of_our_business() -> None:
    """But another process at our address always is: to the others it would prove that this one is gone."""
    with own_addresses(1) as [address]:
        asyncio.run(look(address, who_listens=None, refused_means_gone=False))
        with pytest.raises(OperationFailed, match="another process answers"):
            asyncio.run(look(address, who_listens="another process", refused_means_gone=False))


def test_silence_proves_nothing_and_is_not_waited_for() -> None:
    """Behind a translator of addresses one's own address may not be reached from within."""

    async def behind_silence() -> None:
        async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            silent.append(writer)

        silent: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with asyncio.timeout(10):
            said = handshake("server")
            await check_own_address(f"{host}:{port}", ACCOUNT_ID + "s1", said, OURS, refused_means_gone=True)
        for writer in silent:
            writer.close()
        server.close()

    asyncio.run(behind_silence())
