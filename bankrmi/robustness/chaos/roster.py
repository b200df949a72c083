"""Takes servers out of the bank under test, and puts them back, as an operator does (V12).

Rule 1: what is not known to be done is asked for again until it is: a removal that might win later would end
        the process of a server that was put back.
Rule 2: a server that was taken out is started again only after it was put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from bankrmi.errors import BankError
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.bank import ChaosBank

__all__ = ["Roster"]

_AGAIN_S = 0.3

Answer = TypeVar("Answer")


class Roster:
    """Which servers of the run belong to the bank."""

    def __init__(self, bank: ChaosBank) -> None:
        self._bank = bank
        self._unsettled: set[str] = set()  # Asked to be taken out; not known to be put back.
        self._under_way: set[asyncio.Future[Any]] = set()

    def belongs(self, server: str) -> bool:
        """Whether it may be started: it was never taken out, or is put back."""
        return server not in self._unsettled

    async def take_out(self, server: str) -> bool:
        """Have it taken out; return whether it was: it is not, if it leads by then."""
        self._unsettled.add(server)
        view = await self._view_when(lambda view: _is_out(server, view) or view.primary == server, server)
        if _is_out(server, view):
            return True
        self._unsettled.discard(server)  # Who leads was not taken out in the epoch before, and cannot be.
        return False

    async def put_back(self, server: str) -> None:
        """Have it belong to the bank again."""
        while not await self._is_back(server):
            await self._try_to("add", server)
            await asyncio.sleep(_AGAIN_S)
        self._unsettled.discard(server)

    async def unsettled(self) -> list[str]:
        """Return who was taken out, or may be yet, once nothing is asked for any more."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        return sorted(self._unsettled)

    async def _view_when(self, holds: Callable[[View], bool], server: str) -> View:
        while True:
            view = await self._read()
            if view is not None and holds(view):
                return view
            if view is not None:
                await self._try_to("remove", server)
            await asyncio.sleep(_AGAIN_S)

    async def _is_back(self, server: str) -> bool:
        view = await self._read()
        return view is not None and not _is_out(server, view)

    async def _read(self) -> View | None:
        try:
            return await self._in_thread(self._bank.view)
        except BankError:
            return None

    async def _try_to(self, change: str, server: str) -> None:
        with suppress(BankError):  # The view tells.
            await self._in_thread(lambda: self._bank.change_servers(change, server))

    async def _in_thread(self, ask: Callable[[], Answer]) -> Answer:
        """Ask beside the loop; what was asked goes on though nobody waits for it any more."""
        asked: asyncio.Future[Answer] = asyncio.ensure_future(asyncio.to_thread(ask))
        self._under_way.add(asked)
        asked.add_done_callback(self._under_way.discard)
        return await asyncio.shield(asked)


def _is_out(server: str, view: View) -> bool:
    return view.servers is not None and server not in view.servers
