"""A world in which nothing goes wrong, and there is much to do: to be busy is not to be gone.

Work costs time there.  Many clients make one call after the other, strangers send what costs most, an
operator exports all accounts, a disk is slow for a while, a standby is started again, now and then empty.

Rule 1: within the capacity every call ends with a result; over it, callers may be told that the server is
        busy, and far over it some are. No call ends in doubt.
Rule 2: the view does not change, but for the server that is started again: it leaves and comes back, and is
        in sync again while the load goes on.
Rule 3: when the load is over, all is well soon.
"""

from __future__ import annotations

import random

from bankrmi.errors import Busy, Unreached, Unsettled
from bankrmi.replication.settings import Settings
from bankrmi.replication.view import View
from bankrmi.robustness.in_words import view_in_words
from bankrmi.robustness.simulator.bounds import AdmissionBounds
from bankrmi.robustness.simulator.client import DEADLINE_MS, OPERATIONS_AT_MOST
from bankrmi.robustness.simulator.crowd import Strangers
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.whole_cluster import WholeCluster
from bankrmi.robustness.simulator.work import ONE_ENTRY_BYTES, Work, longest_request_ms
from bankrmi.robustness.simulator.world import FARTHEST_MS
from bankrmi.server.rates import Rate
from bankrmi.server.waiting import cost_of

__all__ = ["SimulatedLoad", "shortest_ms"]

SETTLED_WITHIN_MS = 10_000.0
LASTS_MS = 8_000.0
WELL_WITHIN_MS = 5_000.0
IN_SYNC_WITHIN_MS = 30_000.0
QUICK_CATCHING_UP = 256
"""Entries in a message; production's 2048. With few of them a joiner is slower than the bank, for ever."""
LAST_CLIENTS = 4
LAST_CALL_MS = 1_000.0
LONGEST_REQUEST_MS = (4, 10, 25, 75)
"""What the largest batch costs primary and standby together; the third is what one of 8 192 does."""

WAIT_SHARE = 0.3
"""Of a call's deadline: how long requests wait for each other, within the capacity."""

WITHOUT_LIMIT = Rate(per_caller=0, per_address=0)
SLOW_DISK_MS = (0, 0, 20, 60)


def shortest_ms(settings: Settings) -> float:
    """Return how long an answer may take at least, if the clock that is looked at runs fast.

    Under load the way there and back takes up to 0.3 of it, as does the largest request; a slow disk 0.2.
    """
    fast = 1 + settings.drift_ms / (settings.lease_ms or 1000)
    return min(settings.checkpoint_timeout_ms, settings.silence_ms) / fast


class SimulatedLoad:
    """The load of one simulation."""

    def __init__(self, cluster: WholeCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._chance = random.Random(f"load of seed {cluster.world.seed}")
        self._far_over_capacity = self._chance.random() < 0.15
        self._over_capacity = self._far_over_capacity or self._chance.random() < 0.2
        self._restarts = self._chance.random() < 0.4
        self.clients = 0
        self._views: list[View] = []

    def drawn(self, settings: Settings) -> tuple[Work, AdmissionBounds]:
        """Draw what an operation stands for, how many clients there are, and how much may wait."""
        longest_ms = min(self._chance.choice(LONGEST_REQUEST_MS), 0.3 * shortest_ms(settings))
        work = Work(max(1, round(longest_ms / longest_request_ms(OPERATIONS_AT_MOST))))
        alone = settings.group_bytes <= ONE_ENTRY_BYTES
        round_ms = max(SLOW_DISK_MS) + (2 * FARTHEST_MS if alone else 0)  # Each in a group of its own.
        fitting = max(2, round(WAIT_SHARE * DEADLINE_MS / (longest_ms + round_ms)))
        at_once = fitting
        if self._far_over_capacity:  # All of them ask for batches: most cannot be let in.
            self.clients, at_once = min(120, 6 * fitting), min(max(2, fitting // 2), 9)
        elif self._over_capacity:
            self.clients = min(120, 4 * fitting)
        else:
            self.clients = at_once = min(60, fitting)
        self._restarts &= len(settings.servers) > settings.copies_min  # Else nothing is acknowledged then.
        self._restarts &= settings.catch_up_operations * work.weight >= QUICK_CATCHING_UP
        full_batch = OPERATIONS_AT_MOST * work.weight
        waiting_bytes = (at_once + 1) * cost_of(full_batch)
        return work, AdmissionBounds(waiting_bytes=waiting_bytes, rate=WITHOUT_LIMIT, full_batch=full_batch)

    def run(self) -> None:
        """Let the bank settle, load it, and let go; raises SimulationFailure."""
        world, cluster = self._world, self._cluster
        world.run_until(world.now_ms + SETTLED_WITHIN_MS, stop=self._is_settled)
        if not self._is_settled():
            raise SimulationFailure("liveness", "the bank did not settle before there was any load")
        view = cluster.witness.view
        assert view is not None
        self._views = [view]
        before = {client.name: len(client.calls) for client in cluster.clients}
        self._begin(view)
        world.run_until(world.now_ms + LASTS_MS)
        world.run_until(world.now_ms + IN_SYNC_WITHIN_MS, stop=self._is_settled)
        if not self._is_settled():
            raise SimulationFailure("liveness", f"in sync under load are {sorted(self._views[-1].in_sync)}")
        self._end()
        world.run_until(world.now_ms + WELL_WITHIN_MS, stop=self._all_are_idle)
        self._check_views()
        if self._far_over_capacity and not self._cluster.told_busy:
            raise SimulationFailure("liveness", "far over the capacity nobody is told that a server is busy")
        if not self._all_are_idle():
            raise SimulationFailure(
                "liveness", f"{WELL_WITHIN_MS:.0f} ms after the load not every call has ended"
            )
        self._check_calls(before)
        self._check_all_is_well()

    def view_changed(self) -> None:
        """The witness holds another view."""
        view = self._cluster.witness.view
        if view is not None:
            self._views.append(view)

    def _is_settled(self) -> bool:
        view, servers = self._cluster.witness.view, self._cluster.servers
        if view is None or view.in_sync != set(servers):
            return False
        primary = servers[view.primary].replica
        return primary is not None and primary.primary is not None and primary.primary.view == view

    def _begin(self, view: View) -> None:
        world, chance = self._world, self._chance
        world.note("", "the load begins", f"{self.clients} clients")
        for client in self._cluster.clients:
            client.press(chance, batches_only=self._far_over_capacity)
            client.begin()
        self._strangers = Strangers(self._cluster, chance.choice((0, 0, 4, 16)))
        self._strangers.come()
        self._cluster.exporter.begin()
        server = self._cluster.servers[chance.choice(sorted(self._cluster.servers))]
        server.disk.slow_ms = min(chance.choice(SLOW_DISK_MS), 0.2 * shortest_ms(server.settings))
        world.after(chance.uniform(500, 4000), server.disk.recover)
        if self._restarts:
            standby = self._cluster.servers[chance.choice(sorted(view.in_sync - {view.primary}))]
            wipe = chance.random() < 0.5
            world.after(chance.uniform(500, 3000), lambda: standby.crash(wipe=wipe))

    def _end(self) -> None:
        self._world.note("", "the load ends")
        self._world.quiet = True
        self._strangers.leave()

    def _all_are_idle(self) -> bool:
        return all(client.is_idle for client in self._cluster.clients)

    def _check_views(self) -> None:
        """The same server leads all the time; who was started again left, and came back, and that is all."""
        first, *changes = self._views
        at_most = 2 if self._restarts else 0
        if len(changes) > at_most or any(view.primary != first.primary for view in changes):
            views = "; ".join(map(view_in_words, self._views[:3]))
            changed = f"the view changed {len(changes)} times under load: {views}"
            raise SimulationFailure("liveness", f"nothing was wrong, and {changed}")

    def _check_all_is_well(self) -> None:
        """Whoever asks now is served at once."""
        clients = self._cluster.clients[:LAST_CLIENTS]
        for client in clients:
            client.last_calls = 1
            client.begin()
        self._world.run_until(
            self._world.now_ms + LAST_CALL_MS, stop=lambda: all(client.is_done for client in clients)
        )
        for client in clients:
            if not client.is_done:
                raise SimulationFailure(
                    "liveness", f"the load is over, and {client.name} waits for an answer"
                )
            if isinstance(client.calls[-1].error, (Busy, Unsettled, Unreached)):
                raise SimulationFailure(
                    "liveness", f"the load is over, and {client.name} is told: {client.calls[-1].error}"
                )

    def _check_calls(self, before: dict[str, int]) -> None:
        for client in self._cluster.clients:
            for call in client.calls[before[client.name] :]:
                error = call.error
                if isinstance(error, Busy) and not self._over_capacity:
                    raise SimulationFailure("liveness", f"within the capacity {client.name} is told: {error}")
                if isinstance(error, (Unsettled, Unreached)):
                    raise SimulationFailure(
                        "liveness", f"nothing was wrong, and {client.name} is told: {error}"
                    )
        errors = self._cluster.exporter.errors
        if errors and not (
            self._over_capacity or self._restarts
        ):  # Who was started again may hold nothing yet.
            raise SimulationFailure("liveness", f"nothing was wrong, and an export fails: {errors[0]}")
