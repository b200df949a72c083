"""Every order of events, breadth first, until there is no new state."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from bankrmi.replication.journal import Adopted
from bankrmi.replication.view import View
from bankrmi.robustness.exhaustive import bank as at
from bankrmi.robustness.exhaustive import client
from bankrmi.robustness.exhaustive.bank import Bank, BrokenPromise, Label, State
from bankrmi.robustness.exhaustive.disks import Content
from bankrmi.robustness.exhaustive.server import NAMES, Servers, start_id

MOMENT_MS, LONG_MS = 600.0, 30_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    crashes: int = 1
    losses: int = 1
    retries: int = 1
    switchovers: int = 0
    scripts: tuple[int, ...] = (0, 1)
    time_steps: int = 8
    leases: bool = False


def first_state(servers: Servers, bounds: Bounds, script: int) -> tuple[Bank, State]:
    view = View(history="h", epoch=1, primary="s1", start_id=start_id(0, 0), in_sync=frozenset(NAMES),
                incarnations={name: f"{name}-disk" for name in NAMES})
    adopted = Adopted(history="h", epoch=1, primary="s1", start_id=start_id(0, 0))
    bank = Bank(servers)
    s = [servers.dead(p, Content(f"{NAMES[p]}-disk", adopted, ())) for p in (0, 1)]
    state: list[Any] = [None] * 27
    for p in (0, 1):
        state[at.SERVER[p]] = servers.start(s[p])
        state[at.REQUESTS[p]] = state[at.LATE_REQUESTS[p]] = state[at.ANSWERS[p]] = state[at.LOOKS[p]] = ()
        state[at.LINK[p]] = at.DOWN
    state[at.VIEW] = servers.kept.number(view)
    state[at.LATE_PROPOSALS] = state[at.COPIES] = ()
    state[at.ACKNOWLEDGED] = servers.kept.number(())
    state[at.CRASHES] = state[at.LOSSES] = state[at.RETRIES] = state[at.SWITCHOVERS] = 0
    state[at.SCRIPT] = script
    state[at.REQUEST] = 2
    current = tuple(state)
    # let it settle
    for _ in range(12):
        while True:
            found = bank.successors(current)
            if not found:
                break
            current = found[0][1]
        glances = [servers.glances[current[i]] for i in (0, 1)]
        for p in (1, 0):
            found = bank.tick(current, p, MOMENT_MS)
            current = found[0][1]
    while True:
        found = bank.successors(current)
        if not found:
            break
        current = found[0][1]
    state = list(current)
    state[at.REQUEST] = 0
    state[at.CRASHES], state[at.LOSSES], state[at.RETRIES], state[at.SWITCHOVERS] = bounds.crashes, bounds.losses, bounds.retries, bounds.switchovers
    return bank, tuple(state)


def explore(bounds: Bounds, seconds: float):
    if bounds.leases:
        settings = dict(lease_ms=1000, drift_ms=20)
        marks = (0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0)
    else:
        settings = dict(lease_ms=0, drift_ms=0, checkpoint_timeout_ms=5000, switchover_timeout_ms=5000)
        marks = (0.0, MOMENT_MS, LONG_MS)
    servers = Servers(settings, marks, client.asked)
    layer = []
    for script in bounds.scripts:
        bank, state = first_state(servers, bounds, script)
        layer.append(state)
    seen = set(layer)
    began = time.monotonic()
    transitions = 0
    for step in range(bounds.time_steps + 1):
        everyone = []
        depth = 0
        while layer:
            everyone += layer
            depth += 1
            fresh = []
            for state in layer:
                for label, after in bank.successors(state):
                    transitions += 1
                    if after not in seen:
                        seen.add(after)
                        why = bank.broken_promise(after)
                        if why: raise BrokenPromise(label, why)
                        fresh.append(after)
            layer = fresh
            if time.monotonic() - began > seconds:
                print("out of time in step", step, len(seen), transitions, len(servers), servers.steps, len(servers.disks))
                return seen, servers, bank
        print("step", step, "depth", depth, "states", len(seen), "new", len(everyone), "transitions", transitions, "local", len(servers), "steps", servers.steps, "disks", len(servers.disks), f"{time.monotonic() - began:.1f}s", flush=True)
        for state in everyone:
            if bounds.leases:
                nxt = [bank.wait(state, 500.0)]
            else:
                nxt = [x for p in (0, 1) for ms in (MOMENT_MS, LONG_MS) for x in bank.tick(state, p, ms)]
            for label, after in nxt:
                transitions += 1
                if after not in seen:
                    seen.add(after)
                    layer.append(after)
    return seen, servers, bank
