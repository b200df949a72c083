"""What is asked of the bank from the page, by a person and by a load; and how fast it is answered.

Rule 1: each call is one of the public client's: it switches servers by itself, and its request id is used
        once, unless a person asks for it to be sent again.
Rule 2: what is told of a load is told in sums, four times a second; of single calls at most so many a second.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from bankrmi.console.feed import Telling
from bankrmi.console.periods import PERIOD_S, UNUSUAL, Period
from bankrmi.console.silences import Silences
from bankrmi.errors import BankError, InDoubt, InvalidRequest
from bankrmi.replication.sessions import new_session

__all__ = ["MOST_CLIENTS", "NoTeller", "Teller", "new_request_id", "request_id_of"]

MOST_CLIENTS = 64
CALLS_SHOWN = 5
"""In each period."""
_REST_S = 0.05
"""After a call that was refused: a bank that nobody reaches is not asked in a loop."""
_REQUEST_ID_AT_MOST = 200
YOU = "you"
"""The client that a person at the page is."""


class Teller(ABC):
    """The counter of one console; what can be asked for there is said by its kind."""

    def __init__(
        self, feed: Telling, *, now_ms: Callable[[], float], chance: random.Random | None = None
    ) -> None:
        self._feed = feed
        self._now_ms = now_ms
        self._chance = chance or random.Random()
        self._period = Period()
        self._tasks: list[asyncio.Task[None]] = []
        self.silences = Silences()

    @property
    @abstractmethod
    def hello(self) -> dict[str, Any]:
        """What the page has to know, to ask."""

    @abstractmethod
    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person asks for; return what became of it.  Raises InvalidRequest."""

    # -- a load ------------------------------------------------------------------------------------

    def set_load(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Have so many clients call, one after the other each; return what was done, in words.

        Raises InvalidRequest.
        """
        clients = asked.get("clients")
        if type(clients) is not int or not 0 <= clients <= MOST_CLIENTS:
            raise InvalidRequest(f"a load has 0 to {MOST_CLIENTS} clients")
        self._mix(asked)
        while len(self._tasks) > clients:
            self._tasks.pop().cancel()
        while len(self._tasks) < clients:
            number = len(self._tasks) + 1
            self._tasks.append(asyncio.create_task(self._work(f"client {number}")))
        match clients:
            case 0:
                return {"said": "nobody is at work"}
            case 1:
                return {"said": "one client is at work"}
            case _:
                return {"said": f"{clients} clients are at work"}

    @abstractmethod
    def _mix(self, asked: Mapping[str, Any]) -> None:
        """Take in what the clients of a load call from now on; raises InvalidRequest, and changes nothing."""

    @abstractmethod
    async def _call_any(self, name: str) -> dict[str, Any]:
        """Make one call of the mix."""

    @property
    def _clients(self) -> dict[str, Any]:
        """How many are at work, and how many there could be."""
        return {"clients": len(self._tasks), "at_most": MOST_CLIENTS}

    async def _work(self, name: str) -> None:
        while True:
            told = await self._call_any(name)
            if told["outcome"] == "refused":
                await asyncio.sleep(_REST_S)

    # -- a call ------------------------------------------------------------------------------------

    async def _told(
        self,
        call: Mapping[str, Any],
        perform: Callable[[], Awaitable[Mapping[str, Any]]],
        came_of: Callable[[BankError], Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Make a call, tell of it, and return what is told; `perform` raises what it is answered with.

        `came_of`: what such an error says of this call, if that is not the same for all.
        """
        began_ms, began_s = self._now_ms(), perf_counter()
        told: dict[str, Any] = {"action_id": None, "message": "", **call}
        try:
            told |= await perform()
        except InvalidRequest as error:
            told |= {"outcome": "refused", "message": error.message}
        except InDoubt as error:
            told |= {"outcome": "in_doubt", "message": error.message}
        except BankError as error:
            told |= (came_of or self._came_of)(error)
        else:
            since_ms = self.silences.done(began_ms, self._now_ms())
            if since_ms is not None:
                self._feed.put("silence", from_ms=since_ms)
            told["outcome"] = "done"
        told["took_us"] = round((perf_counter() - began_s) * 1e6)
        period = self._period
        is_slowest = period.take(told["outcome"], told["took_us"])
        if told["client"] == YOU or is_slowest or period.shown < CALLS_SHOWN or told["outcome"] in UNUSUAL:
            period.shown += 1
            if period.shown <= 4 * CALLS_SHOWN:
                self._feed.put("call", **self._event(told))
        return told

    def _came_of(self, error: BankError) -> dict[str, Any]:
        """Return what came of a call that was answered with an error, or by nobody."""
        return {"outcome": "refused", "message": error.message}

    def _event(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what is told of a call to everybody."""
        return told

    # -- in sums -----------------------------------------------------------------------------------

    async def tell_sums(self) -> None:
        """Tell four times a second how many calls were answered how, and how fast; until it is cancelled."""
        while True:
            from_ms = self._now_ms()
            await asyncio.sleep(PERIOD_S)
            period, self._period = self._period, Period()
            if period.calls or self._tasks:
                self._feed.put("rate", **period.in_sums(from_ms, self._now_ms()))

    async def close(self) -> None:
        """End every call, and leave the bank."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._leave()

    @abstractmethod
    async def _leave(self) -> None:
        """Close what calls were made by."""


class NoTeller(Teller):
    """Where nothing can be asked for: why, it says."""

    def __init__(self, why: str, feed: Telling, *, now_ms: Callable[[], float]) -> None:
        super().__init__(feed, now_ms=now_ms)
        self._why = why

    @property
    def hello(self) -> dict[str, Any]:
        """Say why."""
        return {"no_teller": self._why, "load": self._clients}

    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse."""
        del asked
        raise InvalidRequest(self._why)

    def _mix(self, asked: Mapping[str, Any]) -> None:
        del asked
        raise InvalidRequest(self._why)

    async def _call_any(self, name: str) -> dict[str, Any]:
        raise AssertionError(f"{name} has nothing to call")

    async def _leave(self) -> None:
        pass


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"{new_session()}:1"


def request_id_of(asked: Mapping[str, Any]) -> str:
    """Return the id under which a person's request goes out: a new one, unless it is sent again."""
    again = asked.get("again")
    if again is None:
        return new_request_id()
    if type(again) is not str or len(again) > _REQUEST_ID_AT_MOST:
        raise InvalidRequest("what is sent again is named by its request id")
    return again
