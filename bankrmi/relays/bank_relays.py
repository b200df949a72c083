"""A relay in front of each process of a bank that `up` runs: at the address where the process is announced.

    whoever asks for s1 ──> the relay at s1's address ──> where s1 listens

Everybody is told the same addresses, so the relay asks the kernel who connects. Only what goes on between the
processes of the bank can be hindered: clients, and whoever looks after the bank, pass.

Rule 1: a process that has ended is known by its pidfd, so its relay refuses at once, as its kernel would have
        (R3); and it refuses in nobody else's name.
Rule 2: while a link to a process is cut, its relay refuses nobody, though the process be dead: then only its
        silence can prove it.
Assumption: all is called in the event loop of the relays, but for what is called before it runs.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from bankrmi.held_port import HeldPort
from bankrmi.relays.relay import Relay
from bankrmi.relays.ways import Hindered, Way
from bankrmi.relays.weather import Weather
from bankrmi.relays.whose import process_at_the_other_end

__all__ = ["BankRelays"]

_ELSEWHERE = ""
"""Who is none of the bank's processes."""
_ROUNDS = 8
"""Of the event loop: more than asyncio needs to finish what it has begun with a connection."""


class BankRelays:
    """The relays of one bank."""

    def __init__(self, announced: Mapping[str, tuple[str, int]]) -> None:
        """Hold host and port at which each process is announced, and choose where it listens instead.

        Raises OSError if an address cannot be had.
        """
        self._weather = Weather()
        self._cut = Hindered()
        self._pids: dict[str, int] = {}
        self._watched: dict[str, int] = {}  # The pidfd of each that lives.
        self._inside: dict[str, HeldPort] = {}
        self._relays: dict[str, Relay] = {}
        try:
            for name, (host, port) in announced.items():
                self._inside[name] = inside = HeldPort()
                self._relays[name] = Relay(
                    HeldPort(host, port), (inside.host, inside.port), name, self._source_of, self._weather
                )
        except OSError:
            self._give_back()
            raise

    @property
    def names(self) -> list[str]:
        """The processes that have one."""
        return list(self._relays)

    def listens_at(self, name: str) -> str:
        """Return where this process is to listen."""
        return self._inside[name].address

    # -- the lives of the processes --------------------------------------------------------------

    def started(self, name: str, pid: int) -> None:
        """Such a process was started just now."""
        if name not in self._relays:
            return
        self._ended(name)
        try:
            watched = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # It has ended already, and was waited for.
        self._pids[name], self._watched[name] = pid, watched
        asyncio.get_running_loop().add_reader(watched, self._ended, name)
        self._listen_where_due()

    def _ended(self, name: str) -> None:
        watched = self._watched.pop(name, None)
        if watched is None:
            return
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
        del self._pids[name]
        self._listen_where_due()

    def _source_of(self, connection: socket.socket) -> str:
        return process_at_the_other_end(connection, self._pids) or _ELSEWHERE

    # -- the weather -----------------------------------------------------------------------------

    def cut(self, ways: Iterable[Way]) -> Callable[[], None]:
        """Let nothing pass these ways; return what heals them."""
        cut = tuple(ways)
        self._cut.hold(*cut)
        self._weather_changed()

        def heal() -> None:
            self._cut.release(*cut)
            self._weather_changed()

        return heal

    def slow(self, late_ms: int, ways: Iterable[Way]) -> Callable[[], None]:
        """Let everything be so much later these ways; return what hastens them."""
        slow = tuple(ways)
        self._weather.slow(late_ms, slow)
        return partial(self._weather.slow, -late_ms, slow)

    @property
    def cut_ways(self) -> list[Way]:
        """The ways that nothing passes."""
        return self._cut.ways

    @property
    def late_ways(self) -> dict[Way, int]:
        """The ways that are slow, and by how many milliseconds."""
        return self._weather.late

    def _weather_changed(self) -> None:
        self._weather.cut(self._cut.ways)
        self._listen_where_due()

    def _listen_where_due(self) -> None:
        behind_a_cut = {end for way in self._cut.ways for end in way}
        for name, relay in self._relays.items():
            if name in self._watched or name in behind_a_cut:
                relay.listen()
            else:
                relay.refuse()

    # -- the end ---------------------------------------------------------------------------------

    async def close(self) -> None:
        """End every connection, and give all ports back."""
        for relay in self._relays.values():
            await relay.close()
        for name in list(self._watched):
            watched = self._watched.pop(name)
            asyncio.get_running_loop().remove_reader(watched)
            os.close(watched)
        for _ in range(_ROUNDS):  # What was aborted is closed.
            await asyncio.sleep(0)
        self._give_back()

    def _give_back(self) -> None:
        for relay in self._relays.values():
            relay.held.close()
        for held in self._inside.values():
            held.close()
