"""Asks the bank how it is, and tells what has changed: by the calls of `bankrmi status` and `history`.

Rule 1: one question is under way at a time, and the next one begins a while after its answer: a slow bank is
        asked less often. Only what waits in vain, for who was frozen since, is not waited for.
Rule 2: what is as before is not told again.
Rule 3: who is known to stand still is not asked: it would keep everybody waiting.
Rule 4: a process that does not run here may run elsewhere: it is gone only if its data are here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from bankrmi.client.overview import overview
from bankrmi.client.view_history import history
from bankrmi.config import Configuration
from bankrmi.console.events import ShownServer, ShownView, fitting
from bankrmi.console.feed import Telling
from bankrmi.console.local_usage import LocalUsage
from bankrmi.console.rolled_back import RolledBack
from bankrmi.console.silences import Silences
from bankrmi.control import Control
from bankrmi.errors import BankError
from bankrmi.local_processes import KEEPER, LocalProcesses
from bankrmi.replication.cause import in_words
from bankrmi.replication.view import View

__all__ = ["BankWatcher", "told_of"]

EVERY_S = 0.15
LOOKS_AGAIN_S = 0.3
LOOKS_AT_ONCE = 3
PAUSE_S = 2.0
"""After a look that could not be, or a history that was not told."""
FIRST_VIEWS = 20
VIEWS_AT_ONCE = 50
SERVER_FIELDS = (
    "address",
    "reachable",
    "reason",
    "role",
    "why",
    "epoch",
    "action_id",
    "acknowledged",
    "digest",
    "lag",
    "pid",
    "connected",
    "in_sync",
)


class BankWatcher:
    """Watches one bank."""

    def __init__(
        self,
        configuration: Configuration,
        processes: LocalProcesses,
        control: Control,
        feed: Telling,
        silences: Silences,
        on_state: Callable[[Mapping[str, Any], float, Mapping[str, Any] | None], None],
    ) -> None:
        """`on_state` is told of each look at the bank, whether anything has changed or not.

        With when it began, and what `up` says of itself, if one runs this bank here.
        """
        self._configuration = configuration
        self._processes = processes
        self._control = control
        self._feed = feed
        self._silences = silences
        self._on_state = on_state
        self._rolled_back = RolledBack(processes, configuration.service if configuration.has_several else "")
        self._looks: set[asyncio.Future[dict[str, Any]]] = set()  # Those that are under way.
        self._told: dict[str, Any] | None = None
        self._views: dict[tuple[str, int], dict[str, Any]] = {}  # Told, the newest few.
        self._newest: tuple[str, int] | None = None
        self._again_s = 0.0  # When a history that was not told is asked for again; 0: it was told.
        self._reached = (0.0, "", 0)  # When, in which history, up to which action id.
        self._usage = LocalUsage(processes.pid)

    async def watch(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            try:
                began_ms, state = await self._looked()
            except BankError as error:  # A certificate that is being replaced, for one.
                self._feed.put("note", level="warning", text=error.message)
                await asyncio.sleep(PAUSE_S)
                continue
            up = await self._control.told()
            state |= _hindered(up)
            for record in await asyncio.to_thread(self._rolled_back.news, self._configuration.servers):
                self._feed.put("rolled_back", **record)
            if state != self._told:
                self._told = state
                self._feed.put("state", **state)
            self._on_state(state, began_ms, up)
            self._tell_decided(state)
            used = await asyncio.to_thread(self._usage.look, [*self._configuration.servers, KEEPER])
            if used is not None:
                self._feed.put("usage", **used)
            view = state["view"]
            newest = None if view is None else (view["history"], view["epoch"])
            is_due = 0 < self._again_s <= time.monotonic()
            if newest is not None and (newest != self._newest or is_due):
                await self._tell_views()
                self._newest = newest
            self._tell_lengths()
            await asyncio.sleep(EVERY_S)

    # -- how it is ---------------------------------------------------------------------------------

    async def _looked(self) -> tuple[float, dict[str, Any]]:
        """Return when a look began, and what it saw; one that waits for who was frozen meanwhile is left."""
        while True:
            began_ms, frozen = time.time() * 1000, self._frozen()
            look = asyncio.ensure_future(asyncio.to_thread(self._look))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
            while not (await asyncio.wait([look], timeout=LOOKS_AGAIN_S))[0]:
                if self._frozen() - frozen and len(self._looks) < LOOKS_AT_ONCE:
                    look.add_done_callback(_heed)
                    break
            else:
                return began_ms, look.result()

    def _frozen(self) -> set[str]:
        servers = self._configuration.servers
        return {name for name in servers if self._processes.standing(name) == "stopped"}

    def _look(self) -> dict[str, Any]:
        etcd = self._configuration.etcd is not None
        told = overview(self._configuration, still=self._frozen())
        return {
            "view": _view_shown(told["view"]),
            "view_from": told["view_from"],
            "keeper": _keeper(told["witness"], None if etcd else self._standing(KEEPER, told["witness"])),
            "nameserver": _standing(told["nameserver"], None),
            "servers": [self._server(server) for server in told["servers"]],
        }

    def _server(self, told: Mapping[str, Any]) -> dict[str, Any]:
        lease_ms = told.get("read_lease_ms")
        shown = {
            "name": told["server"],
            **{field: told.get(field) for field in SERVER_FIELDS},
            "silent": bool(told.get("silent")),
            "lease": type(lease_ms) is int and lease_ms > 0,
            "process": self._standing(told["server"], told),
        }
        return {**dict.fromkeys(SERVER_FIELDS), **fitting(ShownServer, shown)}

    def _standing(self, name: str, told: Mapping[str, Any]) -> str:
        standing = self._processes.standing(name)
        if standing == "gone" and (told.get("reachable") or not self._processes.directory(name).exists()):
            return "unknown"
        return standing

    def _tell_decided(self, state: Mapping[str, Any]) -> None:
        """Tell how far the journal of who leads has got since the last look."""
        view = state["view"]
        leads = next((one for one in state["servers"] if view and one["name"] == view["primary"]), None)
        if leads is None or type(leads["action_id"]) is not int:
            return
        now_ms, (since_ms, history, action_id) = time.time() * 1000, self._reached
        self._reached = (now_ms, view["history"], leads["action_id"])
        if history == view["history"] and leads["action_id"] > action_id:
            self._feed.put("decided", from_ms=round(since_ms), operations=leads["action_id"] - action_id)

    # -- how it came to that -----------------------------------------------------------------------

    async def _tell_views(self) -> None:
        limit = VIEWS_AT_ONCE if self._views else FIRST_VIEWS
        try:
            views = await asyncio.to_thread(history, self._configuration, limit=limit)
        except BankError:
            self._again_s = time.monotonic() + PAUSE_S  # Its keeper is away, or tells us nothing.
            return
        self._again_s = 0.0
        first = not self._views
        led = None
        for view in views:
            key = (view.history, view.epoch)
            if key not in self._views:
                shown = told_of(view, was_before=first, takes_time=led is not None and view.primary != led)
                self._views[key] = shown
                self._feed.put("view", **shown)
            led = view.primary
        while len(self._views) > 4 * VIEWS_AT_ONCE:
            del self._views[next(iter(self._views))]

    def _tell_lengths(self) -> None:
        """Tell how long callers heard nothing around a change, once it is known."""
        for shown in list(self._views.values())[-5:]:
            if shown["took_ms"] is not None or not shown["takes_time"] or shown["changed_ms"] is None:
                continue
            silence = self._silences.around(shown["changed_ms"])
            if silence is not None:
                since_ms, until_ms = silence
                shown["silent_since_ms"], shown["took_ms"] = since_ms, round(until_ms - since_ms, 1)
                self._feed.put("view", **shown)


def _heed(look: asyncio.Future[Any]) -> None:
    """What became of a look that was left is nobody's concern."""
    if not look.cancelled():
        look.exception()


def _view_shown(view: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if view is None:
        return None
    shown = {
        "history": view["history"],
        "epoch": view["epoch"],
        "primary": view["primary"],
        "in_sync": list(view["in_sync"]),
        "paused": view.get("paused"),
    }
    return shown if fitting(ShownView, shown) == shown else None


def _hindered(up: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return which ways nothing passes, which are late and by how much, and who is kept down."""
    told = up or {"cut": [], "late": [], "down": []}
    return {
        "cut": [tuple(way) for way in told["cut"]],
        "late": [tuple(way) for way in told["late"]],
        "down": told["down"],
    }


def _standing(told: Mapping[str, Any] | None, process: str | None) -> dict[str, Any]:
    told = told or {}
    return {
        "reachable": bool(told.get("reachable")),
        "reason": told.get("reason"),
        "process": process,
    }


def _keeper(told: Mapping[str, Any] | None, process: str | None) -> dict[str, Any]:
    """Return how it is; of etcd, its members, too."""
    members = [
        {"name": str(one["address"]), "reachable": bool(one["reachable"]), "reason": one["reason"]}
        for one in (told or {}).get("members", ())
    ]
    return {**_standing(told, process), **({"members": members} if members else {})}


def told_of(view: View, *, was_before: bool, takes_time: bool) -> dict[str, Any]:
    """Return what is told of a change of the view: it takes callers time if another one leads, and they were
    there."""
    cause = view.cause
    return {
        "history": view.history,
        "epoch": view.epoch,
        "primary": view.primary,
        "in_sync": sorted(view.in_sync),
        "why": in_words(cause),
        "by": None if cause is None else cause.by,
        "cause_kind": None if cause is None else cause.kind.value,
        "changed_ms": None if view.written_us is None else round(view.written_us / 1000),
        "took_ms": None,
        "before": was_before,
        "takes_time": takes_time and not was_before,
    }
