"""Runs that never took place, with all that a report has to show; the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

from bankrmi.robustness.chaos.recorded import (
    CallColumns,
    Environment,
    Failover,
    Fault,
    FaultKind,
    MadeCall,
    OutcomeKind,
    ProcessKind,
    ProcessRole,
    Recorded,
    RecordedProcess,
    RoleSpan,
    columns,
)

MS = 1_000_000
SECOND = 1_000 * MS
START = 5_000 * SECOND
KINDS = ("balance", "withdraw", "deposit", "batch", "outcome")


def no_run(**changed: object) -> Recorded:
    """A run of ten seconds in which nothing happened, but for what is given."""
    plain: dict[str, object] = {
        "seed": 7,
        "command": "bankrmi chaos --minutes 0.2 --seed 7",
        "version": "0.1.0",
        "servers": 2,
        "started_ns": START,
        "ended_ns": START + 10 * SECOND,
        "started_unix": 1_790_000_000.0,
        "environment": Environment(cuts_by="network namespaces", facts=(("processor", "2 x something"),)),
        "violations": (),
        "checked": ("every acknowledged operation is in the final journal",),
        "counts": (),
        "processes": (
            RecordedProcess(name="witness", kind=ProcessKind.WITNESS),
            RecordedProcess(name="s1", kind=ProcessKind.SERVER),
            RecordedProcess(name="s2", kind=ProcessKind.SERVER),
            RecordedProcess(name="c1", kind=ProcessKind.CLIENT),
        ),
        "roles": (),
        "faults": (),
        "failovers": (),
        "calls": CallColumns(),
    }
    return Recorded(**(plain | changed))  # type: ignore[arg-type]


def made_up_run(*, seconds: int, calls_per_second: int = 300, servers: int = 2, seed: int = 7) -> Recorded:
    """A run with faults all the time, about one in four seconds."""
    story = _Story(seed, servers, START + seconds * SECOND)
    story.tell()
    calls = columns(_calls(story, seconds * calls_per_second))
    return no_run(
        seed=seed,
        command=f"bankrmi chaos --minutes {seconds / 60:g} --seed {seed} --servers {servers}",
        servers=servers,
        ended_ns=START + seconds * SECOND,
        environment=Environment(
            cuts_by="network namespaces",
            facts=(("processor", "2 x AMD EPYC"), ("kernel", "Linux 6.1"), ("SQLite", "3.54")),
        ),
        checked=(
            f"every one of {len(calls)} acknowledged calls is in the final journal, once",
            "no entry of the journal was never asked for",
            "replay of the journal gives every result and every read",
            "the servers' digests are equal, and the accounts are what the journal adds up to",
        ),
        counts=(("balances read", 61_002), ("withdrawals", 40_117), ("in doubt, found in the journal", 9)),
        processes=(
            RecordedProcess(name="witness", kind=ProcessKind.WITNESS),
            *(RecordedProcess(name=name, kind=ProcessKind.SERVER) for name in story.names),
            *(RecordedProcess(name=f"c{number}", kind=ProcessKind.CLIENT) for number in range(1, 5)),
        ),
        roles=tuple(story.roles),
        faults=tuple(sorted(story.faults, key=lambda fault: fault.from_ns)),
        failovers=tuple(story.failovers),
        calls=calls,
        files=(("history", "chaos/history/"), ("faults", "chaos/faults.jsonl"), ("logs", "chaos/data/log/")),
        notes=("Slow links are made by relays.",),
    )  # fmt: skip


class _Story:
    """Who leads, from fault to fault."""

    def __init__(self, seed: int, servers: int, end: int) -> None:
        self.chance = random.Random(seed)
        self.names = [f"s{number}" for number in range(1, servers + 1)]
        self.end = end
        self.roles: list[RoleSpan] = []
        self.faults: list[Fault] = []
        self.failovers: list[Failover] = []
        self.outages: list[tuple[int, int]] = []
        self.since = dict.fromkeys(self.names, (START, ProcessRole.STARTING, 0))
        self.primary, self.epoch = "s1", 1

    def become(self, name: str, role: ProcessRole, at: int) -> None:
        since, before, epoch = self.since[name]
        if at > since:
            self.roles.append(RoleSpan(process=name, role=before, from_ns=since, to_ns=at, epoch=epoch))
        self.since[name] = (at, role, self.epoch if role is not ProcessRole.DOWN else 0)

    def tell(self) -> None:
        for name in self.names:
            self.become(name, ProcessRole.PRIMARY if name == "s1" else ProcessRole.STANDBY, START + 300 * MS)
        at = START + 2 * SECOND
        while at < self.end - 8 * SECOND:
            at = self.one_fault(at) + self.chance.randint(200, 2500) * MS
        for name in self.names:
            self.become(name, self.since[name][1], self.end)
        witness = "witness"
        self.roles.append(RoleSpan(process=witness, role=ProcessRole.SERVING, from_ns=START, to_ns=self.end))

    def one_fault(self, at: int) -> int:
        chance = self.chance
        kind = chance.choice(
            [*[FaultKind.KILL] * 6, *[FaultKind.PAUSE] * 5, *[FaultKind.CUT] * 5, *FaultKind]
        )
        lasts = (
            chance.choice((chance.randint(20, 300), chance.randint(400, 1500), chance.randint(1500, 3500)))
            * MS
        )
        others = [name for name in self.names if name != self.primary]
        other = chance.choice(others)
        if kind in (FaultKind.CUT, FaultKind.SLOW) or chance.random() < 0.15:
            return self.aside(kind, at, lasts, other)
        target = other if kind is FaultKind.WIPE or chance.random() < 0.3 else self.primary
        was = "primary" if target == self.primary else "standby"
        self.faults.append(Fault(kind=kind, target=target, from_ns=at, to_ns=at + lasts, was=was))
        down = kind in (FaultKind.KILL, FaultKind.STOP, FaultKind.WIPE)
        if was == "primary":
            return self.fail_over(kind, at, lasts, other, down=down)
        if down:
            self.become(target, ProcessRole.DOWN, at)
            self.come_back(target, at + lasts)
        return at + lasts + 900 * MS

    def aside(self, kind: FaultKind, at: int, lasts: int, other: str) -> int:
        """A link, the witness, or a client: nobody else takes over."""
        if kind in (FaultKind.CUT, FaultKind.SLOW):
            pair = self.chance.choice([(self.primary, other), ("witness", self.primary), ("c1", other)])
            note = "80 ms late" if kind is FaultKind.SLOW else ""
            both_ways = self.chance.random() < 0.5
            fault = Fault(
                kind=kind, target=pair[0], toward=pair[1], both_ways=both_ways,
                from_ns=at, to_ns=at + lasts, note=note,
            )  # fmt: skip
            self.faults.append(fault)
            if kind is FaultKind.CUT and pair[0] == self.primary:
                self.outages.append((at, at + min(lasts, 520 * MS)))
        else:
            self.faults.append(Fault(kind=FaultKind.KILL, target="witness", from_ns=at, to_ns=at + lasts))
        return at + lasts

    def fail_over(self, kind: FaultKind, at: int, lasts: int, other: str, *, down: bool) -> int:
        scale = {FaultKind.KILL: 40, FaultKind.WIPE: 40, FaultKind.STOP: 25, FaultKind.SWITCHOVER: 15}
        took = int(self.chance.lognormvariate(0, 0.6) * scale.get(kind, 1100) * MS)
        old, self.epoch = self.primary, self.epoch + 1
        cause = "switchover" if kind is FaultKind.SWITCHOVER else f"{kind.value} of the primary"
        self.become(old, ProcessRole.DOWN if down else ProcessRole.JOINING, at if down else at + took)
        self.become(other, ProcessRole.PRIMARY, at + took * 9 // 10)
        failover = Failover(
            cause=cause, at_ns=at, took_ns=took, old_primary=old, new_primary=other, epoch=self.epoch
        )
        self.failovers.append(failover)
        self.outages.append((at, at + took))
        self.primary = other
        self.come_back(old, at + max(lasts, took) + 50 * MS)
        return at + max(lasts, took) + 900 * MS

    def come_back(self, name: str, at: int) -> None:
        self.become(name, ProcessRole.STARTING, at)
        self.become(name, ProcessRole.JOINING, at + 220 * MS)
        self.epoch += 1
        self.become(name, ProcessRole.STANDBY, at + 620 * MS)
        since, role, _ = self.since[self.primary]
        if since < at + 620 * MS:
            self.become(self.primary, role, at + 620 * MS)


def _calls(story: _Story, count: int) -> Iterator[MadeCall]:
    """Calls at random times; those within an outage wait for its end, or for their deadline."""
    chance = story.chance
    outages = sorted(story.outages)
    at, place = START + 400 * MS, 0
    step = (story.end - at) / count
    for number in range(count):
        invoked = int(at + number * step + chance.random() * step)
        while place < len(outages) and outages[place][1] < invoked:
            place += 1
        took = int(chance.lognormvariate(0, 0.5) * 0.9 * MS) + (chance.random() < 0.01) * 8 * MS
        outcome = OutcomeKind.DECLINED if chance.random() < 0.03 else OutcomeKind.DONE
        if place < len(outages) and outages[place][0] <= invoked + took:
            if chance.random() < 0.8:
                continue  # Its client was waiting.
            took = max(took, outages[place][1] - invoked + int(chance.expovariate(0.1) * MS))
        if took > 3 * SECOND:
            took, outcome = 3 * SECOND, OutcomeKind.IN_DOUBT
        kind = chance.choices(KINDS, (50, 25, 15, 9, 1))[0]
        yield MadeCall(
            client=f"c{number % 4 + 1}", request=f"c{number % 4 + 1}a:{number}", kind=kind, outcome=outcome,
            invoked_ns=invoked, completed_ns=invoked + took, operations=20 if kind == "batch" else 1,
        )  # fmt: skip


def overlapping(spans: list[RoleSpan]) -> bool:
    """Whether two spans of one process overlap: then the made-up run is not a run."""
    ordered = sorted(spans, key=lambda span: (span.process, span.from_ns))
    return any(a.process == b.process and a.to_ns > b.from_ns for a, b in pairwise(ordered))
