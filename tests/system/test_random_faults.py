"""Whatever happens, in whatever order: processes die, stand still, stop, come back, while clients go on."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.system.cluster import NAMESERVER, Cluster
from tests.system.load import Load

SEEDS = range(int(os.environ.get("SYSTEM_TEST_SEEDS", "1")))
"""SYSTEM_TEST_SEEDS=50 tries more of them."""

STEPS = 20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("servers", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_acknowledged_survives_whatever_happens(tmp_path: Path, servers: int, seed: int) -> None:
    """When the faults stop everyone is answered; nothing is missing, done twice, or older than it may be."""
    chance = random.Random(f"{servers}/{seed}")
    lease_ms = chance.choice([1000, 300, 0])
    with Cluster(tmp_path, servers=servers, lease_ms=lease_ms, checkpoint_timeout_ms=200) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        faults = _Faults(cluster, chance)
        with Load(cluster, clients=4, seed=seed, timeout=150) as load:
            for _ in range(STEPS):
                faults.do_something()
                load.wait_for(chance.randint(1, 40), at_most=chance.random())
            faults.stop()
            load.wait_for(20)
        load.check_disks()


class _Faults:
    """What may be done to a bank; prints it all, for whoever has to find out."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self._paused: set[str] = set()

    def do_something(self) -> None:
        """Do one random thing to one process."""
        name = self._chance.choice([*self._cluster.servers, *self._cluster.servers, NAMESERVER])
        if not self._cluster.is_running(name):
            self._do("start", name)
        elif name in self._paused:
            self._do(self._chance.choice(["resume", "resume", "kill"]), name)
        else:
            self._do(self._chance.choice(["kill", "pause", "terminate"]), name)

    def stop(self) -> None:
        """Let everything run."""
        for name in (NAMESERVER, *self._cluster.servers):
            if name in self._paused:
                self._do("resume", name)
            elif not self._cluster.is_running(name):
                self._do("start", name)

    def _do(self, what: str, name: str) -> None:
        print(what, name)  # noqa: T201
        cluster = self._cluster
        self._paused.discard(name)
        match what:
            case "start":
                cluster.start(name, wait=False)
            case "kill":
                cluster.kill(name)
            case "pause":
                cluster.pause(name)
                self._paused.add(name)
            case "resume":
                cluster.resume(name)
            case "terminate":
                cluster.terminate(name)
