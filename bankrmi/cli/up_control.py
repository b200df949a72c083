"""What `up` does for whoever asks it over its socket: cut and slow links, and keep a process down.

Rule: all of it is in one thread with one event loop: the socket, and the relays, if there are any.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bankrmi.config import METRICS_OF_NAMESERVER, METRICS_OF_WITNESS, Address, Configuration, split_address
from bankrmi.config_addresses import is_apart
from bankrmi.control import Action, ControlServer
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.relays import BankRelays, Way

__all__ = ["UpControl", "make_relays"]

SLOWEST_MS = 10_000
_LINKS_AT_ONCE = 100
_NO_RELAYS = "there are no relays between the processes of this bank: start it with `bankrmi up --relays`"


def make_relays(configuration: Configuration) -> BankRelays:
    """Return relays for the servers, and for the witness, at their addresses; raises OperationFailed."""
    announced: dict[str, Address] = {}
    if configuration.etcd is None:
        apart = is_apart(configuration)
        announced[METRICS_OF_WITNESS] = (
            str(configuration.witness_address) if apart else configuration.nameserver
        )
    announced |= configuration.servers
    try:
        return BankRelays({name: split_address(address) for name, address in announced.items()})
    except OSError as error:
        raise OperationFailed(
            f"no relays can be put before the processes: {error.strerror or error}; is an address taken?"
        ) from error


class UpControl:
    """The thread that does it, for as long as the context lasts."""

    def __init__(
        self,
        configuration: Configuration,
        relays: BankRelays | None,
        *,
        hold_down: Callable[[str], None] | None,
        let_go: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """`hold_down` and `let_go` are the supervisor's; None where nothing is started again anyway."""
        self._configuration = configuration
        self._relays = relays
        self._hold_down = hold_down
        self._let_go = let_go
        self._warn = warn
        self._down: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="control", daemon=True)
        self._server = ControlServer(configuration.data_dir, self._actions(), self._told)

    def __enter__(self) -> UpControl:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._server.open(), self._loop).result()
        except OSError as error:  # The bank is none the worse for it.
            folder = self._configuration.data_dir
            self._warn(f"no socket can be made in {folder} ({error.strerror}): no link can be cut")
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        await self._server.close()
        if self._relays is not None:
            await self._relays.close()

    def started(self, name: str, pid: int) -> None:
        """A process of the bank was started just now."""
        if self._relays is not None:
            who = METRICS_OF_WITNESS if name == METRICS_OF_NAMESERVER else name
            self._loop.call_soon_threadsafe(self._relays.started, who, pid)

    # -- what can be asked for -------------------------------------------------------------------

    def _actions(self) -> Mapping[str, Action]:
        return {"cut": self._cut, "slow": self._slow, "down": self._keep_down}

    def _told(self) -> dict[str, Any]:
        relays = self._relays
        return {
            "relayed": [] if relays is None else relays.names,
            "cut": [] if relays is None else relays.cut_ways,
            "late": [] if relays is None else [[*way, late_ms] for way, late_ms in relays.late_ways.items()],
            "down": sorted(set(self._down)),
            "restarts": self._hold_down is not None,
        }

    def _cut(self, asked: Mapping[str, Any]) -> Callable[[], None]:
        ways, relays = self._ways(asked)
        return relays.cut(ways)

    def _slow(self, asked: Mapping[str, Any]) -> Callable[[], None]:
        late_ms = asked.get("late_ms")
        if type(late_ms) is not int or not 1 <= late_ms <= SLOWEST_MS:
            raise InvalidRequest(f"a slow link is late by 1 to {SLOWEST_MS} ms")
        ways, relays = self._ways(asked)
        return relays.slow(late_ms, ways)

    def _ways(self, asked: Mapping[str, Any]) -> tuple[list[Way], BankRelays]:
        relays, told = self._relays, asked.get("ways")
        if relays is None:
            raise OperationFailed(_NO_RELAYS)
        if not isinstance(told, list) or not 1 <= len(told) <= _LINKS_AT_ONCE:
            raise InvalidRequest("which ways: a list of pairs, from whom and to whom")
        return [_checked_way(way, relays.names) for way in told], relays

    def _keep_down(self, asked: Mapping[str, Any]) -> Callable[[], None]:
        name = asked.get("name")
        if name not in (METRICS_OF_NAMESERVER, *self._configuration.servers):
            raise InvalidRequest(f"who: {', '.join((METRICS_OF_NAMESERVER, *self._configuration.servers))}")
        if self._hold_down is None:
            raise OperationFailed("`up` was started with --no-restart: what has ended stays so")
        self._down.append(name)
        self._hold_down(name)
        return partial(self._start_again, name)

    def _start_again(self, name: str) -> None:
        self._down.remove(name)
        self._let_go(name)


def _checked_way(way: object, names: list[str]) -> Way:
    match way:
        case [str(source), str(to)] if source in names and to in names and source != to:
            return source, to
        case _:
            raise InvalidRequest(f"a way leads from one of {', '.join(names)} to another one")
