"""A world in which nothing goes wrong, and there is much to do: to be busy is not to be gone.

Work costs time there.  Many clients make one call after the other, strangers send what costs most, a disk is
slow for a while.  Within the capacity every call ends with a result; over it, callers may be told that the
server is busy; in neither case does the view change, or a call end in doubt.  When the load is over, all is
well soon.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bankrmi.errors import Busy, Unreached, Unsettled
from bankrmi.replication.settings import Settings
from bankrmi.robustness.simulator.client import DEADLINE_MS, OPERATIONS_AT_MOST
from bankrmi.robustness.simulator.crowd import Strangers
from bankrmi.robustness.simulator.desk import Bounds
from bankrmi.robustness.simulator.failure import Failure
from bankrmi.robustness.simulator.work import ONE_ENTRY_BYTES, Work, longest_request_ms
from bankrmi.robustness.simulator.world import FARTHEST_MS
from bankrmi.server.rates import Rate
from bankrmi.server.waiting import cost_of

if TYPE_CHECKING:
    from bankrmi.robustness.simulator.simulation import Simulation

__all__ = ["Load"]

SETTLED_WITHIN_MS = 10_000.0
LASTS_MS = 8_000.0
WELL_WITHIN_MS = 5_000.0
LONGEST_REQUEST_MS = (1, 10, 70, 150)
"""What the largest batch costs primary and standby together; the third is what one of 8 192 does."""

WAIT_SHARE = 0.3
"""Of a call's deadline: so long do requests wait for each other, within the capacity."""

WITHOUT_LIMIT = Rate(per_caller=0, per_address=0)
SLOW_DISK_MS = (0, 0, 20, 60)


class Load:
    """The load of one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._chance = random.Random(f"load of seed {simulation.world.seed}")
        self._over_capacity = self._chance.random() < 0.3
        self.clients = 0

    def drawn(self, settings: Settings) -> tuple[Work, Bounds]:
        """Draw what an operation stands for, how many clients there are, and how much may wait."""
        shortest_ms = min(settings.checkpoint_timeout_ms, settings.silence_ms)
        longest_ms = min(self._chance.choice(LONGEST_REQUEST_MS), 0.3 * shortest_ms)
        work = Work(max(1, round(longest_ms / longest_request_ms(OPERATIONS_AT_MOST))))
        alone = settings.group_bytes <= ONE_ENTRY_BYTES
        round_ms = max(SLOW_DISK_MS) + (2 * FARTHEST_MS if alone else 0)  # Each in a group of its own.
        fitting = max(2, round(WAIT_SHARE * DEADLINE_MS / (longest_ms + round_ms)))
        self.clients = min(60, fitting) if not self._over_capacity else min(120, 4 * fitting)
        at_once = fitting if self._over_capacity else self.clients
        full_batch = OPERATIONS_AT_MOST * work.weight
        waiting_bytes = (at_once + 1) * cost_of(full_batch)
        return work, Bounds(waiting_bytes=waiting_bytes, rate=WITHOUT_LIMIT, full_batch=full_batch)

    def run(self) -> None:
        """Let the bank settle, load it, and let go; raises Failure."""
        world, simulation = self._world, self._simulation
        world.run_until(world.now_ms + SETTLED_WITHIN_MS, stop=self._is_settled)
        if not self._is_settled():
            raise Failure("liveness", "the bank did not settle before there was any load")
        view = simulation.witness.view
        before = {client.name: len(client.calls) for client in simulation.clients}
        self._begin()
        world.run_until(world.now_ms + LASTS_MS)
        self._end()
        world.run_until(world.now_ms + WELL_WITHIN_MS, stop=self._all_are_idle)
        if simulation.witness.view != view:
            changed = f"from {view!r} to {simulation.witness.view!r}"
            raise Failure("liveness", f"nothing was wrong, and the view changed under load {changed}")
        if not self._all_are_idle():
            raise Failure("liveness", f"{WELL_WITHIN_MS:.0f} ms after the load not every call has ended")
        self._check_calls(before)

    def _is_settled(self) -> bool:
        view, servers = self._simulation.witness.view, self._simulation.servers
        if view is None or view.in_sync != set(servers):
            return False
        primary = servers[view.primary].replica
        return primary is not None and primary.primary is not None and primary.primary.view == view

    def _begin(self) -> None:
        world, chance = self._world, self._chance
        world.note("", "the load begins", f"{self.clients} clients")
        for client in self._simulation.clients:
            client.press(chance)
            client.begin()
        self._strangers = Strangers(self._simulation, chance.choice((0, 0, 4, 16)))
        self._strangers.come()
        server = self._simulation.servers[chance.choice(sorted(self._simulation.servers))]
        shortest_ms = min(server.settings.checkpoint_timeout_ms, server.settings.silence_ms)
        server.disk.slow_ms = min(chance.choice(SLOW_DISK_MS), 0.2 * shortest_ms)
        world.after(chance.uniform(500, 4000), server.disk.recover)

    def _end(self) -> None:
        self._world.note("", "the load ends")
        self._world.quiet = True
        self._strangers.leave()

    def _all_are_idle(self) -> bool:
        return all(client.is_idle for client in self._simulation.clients)

    def _check_calls(self, before: dict[str, int]) -> None:
        for client in self._simulation.clients:
            for call in client.calls[before[client.name] :]:
                error = call.error
                if isinstance(error, Busy) and not self._over_capacity:
                    raise Failure("liveness", f"within the capacity {client.name} is told: {error}")
                if isinstance(error, (Unsettled, Unreached)):
                    raise Failure("liveness", f"nothing was wrong, and {client.name} is told: {error}")
