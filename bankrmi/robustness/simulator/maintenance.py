"""An operator who pauses automatic takeover and resumes it, and now and then has a server lead by force.

Rule 1: he is careful: before a server is forced to lead, every member of the view is off, and whoever else
        leads, of an epoch before. One that is started again meanwhile is another process, and which of the
        two leads, the witness decides.
Rule 2: at the end he resumes what he paused, and starts what he switched off.
Rule 3: what he does is drawn apart: worlds in which he does nothing are what they were without him.
"""

from __future__ import annotations

import random

from bankrmi.replication.effects import Handed, Reply
from bankrmi.replication.events import PauseAsked, TakeoverAsked
from bankrmi.replication.pause import Pause
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster

__all__ = ["Maintenance"]

NAME = "maintenance"
PAUSES_MS = (None, None, None, 400, 3000)
"""How often he pauses or resumes; None: never in this world."""
FORCES = 0.12
"""The share of worlds in which he forces a server to lead."""
LOOKS_MS = 50.0
AGAIN_MS = 600.0
OFF_MS = (0, 40, 300, 1500, 4000)
"""For how long the members are off, whatever comes of it."""
FORCED_AT_MOST = 2


class _Wish:
    """Where the answer to a wish of his goes."""

    def __init__(self, maintenance: Maintenance, server: str) -> None:
        self._maintenance = maintenance
        self._server = server

    def reply(self, reply: Reply) -> None:
        """He is told."""
        self._maintenance.told(self._server, reply)


class Maintenance:
    """What he does in one simulation."""

    def __init__(self, cluster: WholeCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._chance = random.Random(f"maintenance of seed {cluster.world.seed}")
        self._pause_ms = self._chance.choice(PAUSES_MS)
        self._forces = self._chance.random() < FORCES
        self._off: dict[str, int] = {}  # Whom he has switched off, and which of its processes that was.
        self._asked_for: tuple[str, int] | None = None  # The view from which a server is to lead by force.
        self.forced = 0
        """How many forced takeovers have won."""

    def arrange(self) -> None:
        """Let him work until it is quiet."""
        if self._pause_ms is not None:
            self._world.after(2 * self._pause_ms * self._chance.random(), self._pause_or_resume)
        if self._forces:
            self._world.after(20_000 * self._chance.random(), self._look_whom_to_force)

    def end(self) -> None:
        """Start what is off, and resume what is paused, until it is."""
        self._switch_on()
        if self._cluster.witness.view is None or self._cluster.witness.view.paused is not None:
            self._resume()
            self._world.after(AGAIN_MS, self.end)

    def told(self, server: str, reply: Reply) -> None:
        """A server has answered."""
        what = f"did it in epoch {reply.after.epoch}" if isinstance(reply, Handed) else reply
        self._world.note(server, "tells the operator:", what)

    # -- pausing ---------------------------------------------------------------------------------

    def _pause_or_resume(self) -> None:
        if self._world.quiet:
            return
        view = self._cluster.witness.view
        if view is not None and view.paused is not None:
            self._resume() if self._chance.random() < 0.6 else self._let_take_over(view, resumes=False)
        elif view is not None:
            pause = Pause(by=NAME, since_us=round(1000 * self._world.now_ms))
            for server in self._leading():
                self._world.note(server.name, "is asked to pause automatic takeover")
                server.take(PauseAsked(token=_Wish(self, server.name), pause=pause, operator=NAME))
        assert self._pause_ms is not None
        self._world.after(2 * self._pause_ms * self._chance.random(), self._pause_or_resume)

    def _resume(self) -> None:
        """By who leads, and by the members: they refuse while they hear that one, which may be cut off."""
        leading = self._leading()
        for server in leading:
            self._world.note(server.name, "is asked to resume automatic takeover")
            server.take(PauseAsked(token=_Wish(self, server.name), pause=None, operator=NAME))
        view = self._cluster.witness.view
        if view is not None and view.paused is not None:
            self._let_take_over(view, resumes=True)

    def _let_take_over(self, view: View, *, resumes: bool) -> None:
        """Ask a member to take over; it looks for itself whether the primary is gone."""
        able = [one for name, one in self._servers.items() if name in view.in_sync and name != view.primary]
        for server in able:
            if server.alive:
                self._world.note(
                    server.name, "is asked to take over, and resumes" if resumes else "is asked to"
                )
                self._ask(server, view, resumes=resumes)

    def _ask(
        self, server: SimulatedServer, view: View, *, forced: bool = False, resumes: bool = False
    ) -> None:
        wish = TakeoverAsked(
            token=_Wish(self, server.name),
            expected=(view.history, view.epoch),
            operator=NAME,
            forced=forced,
            resumes=resumes,
        )
        server.take(wish)

    @property
    def _servers(self) -> dict[str, SimulatedServer]:
        return dict(self._cluster.servers)

    def _leading(self) -> list[SimulatedServer]:
        return [one for one in self._servers.values() if one.replica and one.replica.primary]

    # -- by force --------------------------------------------------------------------------------

    def _look_whom_to_force(self) -> None:
        """Wait for a server that is there, and outside of the view; then switch all members off."""
        if self._world.quiet or self.forced >= FORCED_AT_MOST:
            return
        view = self._cluster.witness.view
        able = [one for one in self._servers.values() if view is not None and self._is_outside(one, view)]
        if view is None or not able:
            self._world.after(LOOKS_MS, self._look_whom_to_force)
            return
        server = self._chance.choice(able)
        names = sorted(view.in_sync | {one.name for one in self._leading()})
        self._world.note("", "these are switched off:", names)
        for other in (self._servers[name] for name in names if name != server.name):
            other.crash()
            other.stays_down = True
            self._off[other.name] = other.boot
        self._asked_for = (view.history, view.epoch)
        self._force(server, view)
        self._world.after(AGAIN_MS + self._chance.choice(OFF_MS), self._switch_on)
        self._world.after(8000 * self._chance.random(), self._look_whom_to_force)

    def _is_outside(self, server: SimulatedServer, view: View) -> bool:
        adopted = server.journal.adopted
        alive = server.alive and not server.paused and adopted is not None
        if server in self._leading():
            return False  # Of an epoch that is over, and does not know it.
        return alive and not view.names(server.name, server.journal.incarnation)

    def _force(self, server: SimulatedServer, view: View) -> None:
        """Ask it, and again as long as nothing has come of it, and those are off."""
        now = self._cluster.witness.view
        if self._world.quiet or now is None or (now.history, now.epoch) != self._asked_for or not self._off:
            return
        self._world.note(server.name, "is to lead by force")
        self._ask(server, view, forced=True)
        self._world.after(AGAIN_MS, lambda: self._force(server, view))

    def _switch_on(self) -> None:
        off, self._off = self._off, {}
        for name, boot in off.items():
            self._servers[name].stays_down = False
            self._servers[name].start_again(boot)
