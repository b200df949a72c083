"""A relay on each link, where nobody may cut a network.

    client1 ──> relay ──> s1        the address that client1 is told for s1 is that of its own relay to it

The relays of `bankrmi.relays`, one a pair of processes, so that it is known who connects.

Assumption: clients look for no name server here: names would lead them past the relays.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bankrmi.held_port import HeldPort
from bankrmi.relays import Hindered, Relay, Way, Weather
from bankrmi.robustness.chaos.network import OPERATOR

__all__ = ["Relays"]

Value = TypeVar("Value")

_ROUNDS = 8
"""Of the event loop: more than asyncio needs to finish what it has begun with a connection."""


class Relays:
    """See `network.ChaosNetwork`. All relays live in one thread, with an event loop of its own."""

    cuts_by = "relays"
    alike = False
    insecure = False

    def __init__(self, links: tuple[Way, ...]) -> None:
        """`links` are (who connects, to whom)."""
        self._own = {process: HeldPort() for process in dict.fromkeys(end for link in links for end in link)}
        self._nowhere = {process: HeldPort() for process in self._own}  # For whom there is no link.
        self._hindered = Hindered()
        self._loop = asyncio.new_event_loop()
        self._weather = Weather()
        self._relays = {(source, to): self._relay(source, to) for source, to in links}
        self._alive: set[str] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._thread.start()

    def _relay(self, source: str, destination: str) -> Relay:
        own = self._own[destination]
        return Relay(HeldPort(), (own.host, own.port), destination, lambda _: source, self._weather)

    def address(self, of: str, *, seen_by: str) -> str:
        if seen_by in (of, OPERATOR):
            return self._own[of].address
        relay = self._relays.get((seen_by, of))
        return self._nowhere[of].address if relay is None else relay.held.address

    def command(self, process: str, command: list[str]) -> list[str]:  # noqa: ARG002 (all at one place)
        return command

    def inherited(self, process: str) -> tuple[int, ...]:  # noqa: ARG002
        return ()

    def begins(self, process: str) -> None:
        self._alive.add(process)
        self._do(self._listen_where_due)

    def has_ended(self, process: str) -> None:
        self._alive.discard(process)
        self._do(self._listen_where_due)

    def cut(self, *ways: Way) -> None:
        self._hindered.hold(*ways)
        self._do(self._change_weather)

    def heal(self, *ways: Way) -> None:
        self._hindered.release(*ways)
        self._do(self._change_weather)

    def slow(self, late_ms: int, *ways: Way) -> str:
        self._do(lambda: self._weather.slow(late_ms, ways))
        return f"{late_ms} ms late"

    def hasten(self, late_ms: int, *ways: Way) -> None:
        self._do(lambda: self._weather.slow(-late_ms, ways))

    def close(self) -> None:
        self._finish(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for held in (*self._own.values(), *self._nowhere.values()):
            held.close()
        for relay in self._relays.values():
            relay.held.close()

    async def _close(self) -> None:
        for relay in self._relays.values():
            await relay.close()
        for _ in range(_ROUNDS):  # What was aborted is closed.
            await asyncio.sleep(0)

    def _change_weather(self) -> None:
        self._weather.cut(self._hindered.ways)
        self._listen_where_due()

    def _listen_where_due(self) -> None:
        for (source, destination), relay in self._relays.items():
            is_cut = (source, destination) in self._hindered or (destination, source) in self._hindered
            if is_cut or destination in self._alive:
                relay.listen()
            else:
                relay.refuse()

    def _do(self, what: Callable[[], None]) -> None:
        async def done() -> None:
            what()

        self._finish(done())

    def _finish(self, what: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()
