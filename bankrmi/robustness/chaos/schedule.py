"""What the nemesis is going to do, drawn from a seed.  Pure.

A run is a row of storms. A storm is a few faults that may overlap; after it the bank is left alone, either
for a moment only or until every copy is in sync again. Whom a fault hits is an aim ("the primary"), since
nobody knows beforehand who that will be. Some storms are plots: two faults that belong together.

Rule 1: the same seed gives the same storms and the same settings, on every machine. (Real processes take
        their own time, so what comes of them differs from run to run.)
Rule 2: kinds of faults are dealt like cards: a long run has each of them in its share, a short one most.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.chaos.storms import Direction, Planned, Storm, one_of

__all__ = ["Aim", "Timing", "storms", "timing"]


class Aim(Enum):
    """Whom a fault is to hit; found out when it is due."""

    PRIMARY = "the primary"
    STANDBY = "a standby"
    SERVERS = "all servers"
    WITNESS = "the witness"
    CLIENT = "a client"
    CLIENTS = "all clients"
    PEERS = "the other servers and the witness"
    WRITERS = "all clients but the one that only reads"
    OTHERS = "everybody else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The keys of config.yaml that are drawn."""

    lease_ms: int
    heartbeat_ms: int
    checkpoint_timeout_ms: int
    client_timeout_ms: int
    patience_ms: int
    records_behind: int


_DECK = (
    *[FaultKind.KILL] * 6,
    *[FaultKind.PAUSE] * 5,
    *[FaultKind.CUT] * 5,
    *[FaultKind.SWITCHOVER] * 2,
    FaultKind.SLOW,
    FaultKind.STOP,
    FaultKind.WIPE,
    FaultKind.STRANGERS,
    FaultKind.RUSH,
    FaultKind.SLOW_DISK,
)
_REMOVALS = (FaultKind.REMOVE,) * 3
_RELEASES = (FaultKind.RELEASE,) * 4
_KILLED = {Aim.PRIMARY: 9, Aim.STANDBY: 5, Aim.SERVERS: 2, Aim.WITNESS: 3, Aim.CLIENT: 1}
_PAUSED = {Aim.PRIMARY: 9, Aim.STANDBY: 5, Aim.SERVERS: 1, Aim.WITNESS: 3, Aim.CLIENT: 2}
_STOPPED = {Aim.PRIMARY: 2, Aim.STANDBY: 1}
_SLOW_DISKS = {Aim.PRIMARY: 2, Aim.STANDBY: 2, Aim.SERVERS: 1}
_LINKS = {
    (Aim.PRIMARY, Aim.STANDBY): 6,
    (Aim.PRIMARY, Aim.WITNESS): 3,
    (Aim.STANDBY, Aim.WITNESS): 2,
    (Aim.CLIENT, Aim.PRIMARY): 2,
    (Aim.CLIENTS, Aim.PRIMARY): 2,
    (Aim.CLIENTS, Aim.STANDBY): 1,
    (Aim.PRIMARY, Aim.PEERS): 4,  # Clients still reach it: whom it answers now, it must not.
    (Aim.PRIMARY, Aim.OTHERS): 2,
    (Aim.STANDBY, Aim.OTHERS): 1,
}
_LEASES_MS = (1000, 1000, 500, 300, 0)


def timing(seed: int) -> Timing:
    """Return the timing of a run: the shipped one, or a shorter one."""
    chance = random.Random(f"timing/{seed}")
    return Timing(
        lease_ms=chance.choice(_LEASES_MS),
        heartbeat_ms=chance.choice((100, 50)),
        checkpoint_timeout_ms=chance.choice((500, 300)),
        client_timeout_ms=chance.choice((500, 1200, 3000)),
        patience_ms=chance.choice((300, 150)),
        records_behind=chance.choice((0, 20, 200, 4096)),
    )


def storms(seed: int, *, removals: bool = False, releases: bool = False) -> Iterator[Storm[Aim]]:
    """Yield storms without end; with `removals`, servers are removed and added, too; with `releases`, they
    get newer code."""
    chance = random.Random(f"storms/{seed}")
    deck: list[FaultKind] = []
    while True:
        faults = list(chance.choice(_PLOTS)(chance)) if chance.random() < 0.3 else []
        for _ in range(chance.choice((1, 2, 2, 3, 4)) if not faults else chance.choice((0, 0, 1, 2))):
            if not deck:
                deck = [*_DECK, *(_REMOVALS if removals else ()), *(_RELEASES if releases else ())]
                chance.shuffle(deck)
            faults.append(_planned(chance, deck.pop()))
        until_in_sync = chance.random() < 0.6
        calm_ms = chance.randint(100, 700) if until_in_sync else chance.randint(200, 1500)
        faults.sort(key=lambda fault: fault.after_ms)
        yield Storm(faults=tuple(faults), calm_ms=calm_ms, until_in_sync=until_in_sync)


def _planned(chance: random.Random, kind: FaultKind) -> Planned[Aim]:
    aim, second, direction = Aim.PRIMARY, None, Direction.BOTH
    match kind:
        case FaultKind.KILL:
            aim = one_of(chance, _KILLED)
        case FaultKind.PAUSE:
            aim = one_of(chance, _PAUSED)
        case FaultKind.STOP:
            aim = one_of(chance, _STOPPED)
        case FaultKind.WIPE | FaultKind.REMOVE:
            aim = Aim.STANDBY
        case FaultKind.CUT | FaultKind.SLOW:
            aim, second = one_of(chance, _LINKS)
            direction = chance.choice((Direction.BOTH, Direction.BOTH, Direction.THERE, Direction.BACK))
        case FaultKind.STRANGERS | FaultKind.RUSH | FaultKind.RELEASE:
            aim = Aim.SERVERS
        case FaultKind.SLOW_DISK:
            aim = one_of(chance, _SLOW_DISKS)
        case FaultKind.SWITCHOVER:
            pass
    return Planned(
        kind=kind,
        aim=aim,
        second=second,
        direction=direction,
        after_ms=chance.randint(0, 1500),
        for_ms=_length_ms(chance),
        late_ms=chance.choice((20, 80, 250)),
    )


# Two faults that mean little by themselves.


def _blow_while_nobody_looks(chance: random.Random) -> tuple[Planned[Aim], Planned[Aim]]:
    """A standby hears nothing, and before it is given up, the primary is gone."""
    kind = chance.choice((FaultKind.PAUSE, FaultKind.CUT))
    second = Aim.PRIMARY if kind is FaultKind.CUT else None
    after_ms = chance.randint(0, 800)
    deaf_ms = chance.randint(150, 500)
    deaf = Planned(kind=kind, aim=Aim.STANDBY, second=second, after_ms=after_ms, for_ms=deaf_ms)
    blow_ms = after_ms + chance.randint(50, deaf_ms)
    gone = Planned(kind=FaultKind.KILL, aim=Aim.PRIMARY, after_ms=blow_ms, for_ms=chance.randint(1000, 2500))
    return deaf, gone


def _leave_it_alone_with_readers(chance: random.Random) -> tuple[Planned[Aim], Planned[Aim]]:
    """A primary gets no more updates, then nobody else hears it: who reads there is told old news."""
    after_ms = chance.randint(0, 800)
    for_ms = chance.randint(2000, 3500)
    idle = Planned(
        kind=FaultKind.CUT, aim=Aim.WRITERS, second=Aim.PRIMARY, after_ms=after_ms, for_ms=for_ms + 100
    )
    alone = Planned(
        kind=FaultKind.CUT, aim=Aim.PRIMARY, second=Aim.PEERS, after_ms=after_ms + 100, for_ms=for_ms
    )
    return idle, alone


_PLOTS = (_blow_while_nobody_looks, _leave_it_alone_with_readers)


def _length_ms(chance: random.Random) -> int:
    """Return a moment, about a lease, or longer than anybody waits."""
    return chance.choice((chance.randint(10, 300), chance.randint(400, 1500), chance.randint(1500, 3500)))
