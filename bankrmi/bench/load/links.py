"""Our wire protocol, spoken directly: to a bank, and to a stock Pyro5 daemon, which understands it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bankrmi.bank.forms import WITHDRAW
from bankrmi.bench.load.order import LoadOrder
from bankrmi.certificates import Credentials
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.errors import Busy
from bankrmi.replication.record import packed
from bankrmi.rmi import Link, handshake, open_link, over_tls

__all__ = ["LinkCaller", "links", "opened_links"]

_CONNECT_S = 10.0
_BUSY_S = 0.05


class LinkCaller:
    """One client on one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._session = secrets.token_hex(8)
        self._sequence = 0

    def next_id(self) -> str:
        """Return a request id that was not used before."""
        self._sequence += 1
        return f"{self._session}:{self._sequence}"

    async def ask(self, method: str, args: list[object]) -> object:
        """Return the answer, or raise it."""
        while True:
            answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            self._link.call(method, args, partial(_settle, answer))
            try:
                return await answer
            except Busy:  # It was not taken; that is part of how long a call takes.
                await asyncio.sleep(_BUSY_S)


class _AccountCaller(LinkCaller):
    def __init__(self, link: Link, *, packs: bool) -> None:
        """`packs`: it takes a batch as the journal keeps it."""
        super().__init__(link)
        self._packs = packs

    async def withdraw(self, account: int) -> object:
        return await self.ask("withdraw", [account, 1, self.next_id()])

    async def withdraw_each(self, accounts: Sequence[int]) -> object:
        work: object
        if self._packs:
            work = packed([(WITHDRAW, account, 1) for account in accounts])
        else:
            work = [("withdraw", account, 1) for account in accounts]
        return await self.ask("submit", [work, self.next_id()])

    async def balance(self, account: int) -> object:
        return await self.ask("balance", [account])


def _settle(answer: asyncio.Future[object], value: object) -> None:
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)


async def links(order: LoadOrder) -> list[_AccountCaller]:
    """Connect each client to the object `where` names."""
    packs = order.where["object"].startswith(ACCOUNT_ID)
    return [_AccountCaller(link, packs=packs) for link in await opened_links(order)]


async def opened_links(order: LoadOrder, objects: Sequence[str] = ()) -> list[Link]:
    """Return a link for each client, to the object that `where` names; or to these, in turn."""
    address, ids = order.where["address"], objects or [order.where["object"]]
    folder = order.where.get("certificates")
    said = over_tls(handshake("client"), Credentials.of(Path(folder), "client") if folder else None)
    return [
        await open_link(address, ids[number % len(ids)], said, _CONNECT_S)
        for number in range(order.shape.clients)
    ]
