"""What the nemesis is going to do to a database and those who use it, drawn from a seed.  Pure.

As `chaos.schedule`, with other victims. A database is three things that fail apart: PostgreSQL, the Patroni
that looks after it, and the machine with both.

Rule 1: the same seed gives the same storms and the same settings, on every machine.
Rule 2: kinds of faults are dealt like cards: a long run has each of them in its share, a short one most.
Rule 3: many faults are longer than Patroni's `ttl`: only then somebody else leads.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bankrmi.patroni.members import DatabaseTiming
from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.chaos.storms import Direction, Planned, Storm, one_of

__all__ = ["EngineAim", "EngineTiming", "engine_storms", "engine_timing"]


class EngineAim(Enum):
    """Whom a fault is to hit; found out when it is due."""

    POSTGRESQL = "the primary's PostgreSQL"
    PATRONI = "the primary's Patroni"
    PRIMARY = "the primary: both"
    STANDBY = "the standby: both"
    DATABASES = "both databases"
    MEMBER = "a member of etcd"
    MEMBERS = "all members of etcd"
    SERVER = "a server"
    SERVERS = "all servers"
    NAMESERVER = "the name server"
    CLIENT = "a client"
    CLIENTS = "all clients"
    PEERS = "the standby and all members of etcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTiming:
    """What is drawn of the settings."""

    database: DatabaseTiming
    client_timeout_ms: int
    patience_ms: int


_DECK = (
    *[FaultKind.KILL] * 7,
    *[FaultKind.PAUSE] * 5,
    *[FaultKind.CUT] * 5,
    *[FaultKind.SWITCHOVER] * 2,
    FaultKind.SLOW,
    FaultKind.STOP,
    FaultKind.RUSH,
)
_KILLED = {
    EngineAim.POSTGRESQL: 6,
    EngineAim.PATRONI: 3,
    EngineAim.PRIMARY: 5,
    EngineAim.STANDBY: 2,
    EngineAim.DATABASES: 1,
    EngineAim.MEMBER: 2,
    EngineAim.SERVER: 4,
    EngineAim.SERVERS: 1,
    EngineAim.NAMESERVER: 1,
    EngineAim.CLIENT: 1,
}
_PAUSED = {
    EngineAim.POSTGRESQL: 5,
    EngineAim.PATRONI: 3,
    EngineAim.PRIMARY: 5,
    EngineAim.STANDBY: 2,
    EngineAim.MEMBER: 1,
    EngineAim.SERVER: 3,
    EngineAim.NAMESERVER: 1,
    EngineAim.CLIENT: 1,
}
_LINKS = {
    (EngineAim.SERVERS, EngineAim.PRIMARY): 3,
    (EngineAim.SERVER, EngineAim.PRIMARY): 2,
    (EngineAim.PRIMARY, EngineAim.MEMBERS): 4,
    (EngineAim.PRIMARY, EngineAim.PEERS): 4,  # Servers still reach it: what it tells them now must not count.
    (EngineAim.PRIMARY, EngineAim.STANDBY): 2,
    (EngineAim.STANDBY, EngineAim.MEMBERS): 1,
    (EngineAim.CLIENTS, EngineAim.SERVER): 1,
    (EngineAim.MEMBER, EngineAim.MEMBERS): 1,
}


def engine_timing(seed: int) -> EngineTiming:
    """Return the settings of a run: times far shorter than usual, so that a short run sees many failovers."""
    chance = random.Random(f"engine timing/{seed}")
    return EngineTiming(
        database=DatabaseTiming(
            ttl_s=5,
            loop_s=1,
            retry_s=2,
            start_s=chance.choice((0, 0, 20)),
        ),
        client_timeout_ms=chance.choice((1_500, 4_000, 12_000)),
        patience_ms=chance.choice((300, 150)),
    )


def engine_storms(seed: int) -> Iterator[Storm[EngineAim]]:
    """Yield storms without end."""
    chance = random.Random(f"engine storms/{seed}")
    deck: list[FaultKind] = []
    while True:
        faults = list(_deposed_unawares(chance)) if chance.random() < 0.15 else []
        for _ in range(chance.choice((1, 1, 2, 2, 3)) if not faults else 0):
            if not deck:
                deck = [*_DECK]
                chance.shuffle(deck)
            faults.append(_fault(chance, deck.pop()))
        faults.sort(key=lambda fault: fault.after_ms)
        yield Storm(
            faults=tuple(faults), calm_ms=chance.randint(200, 1500), until_in_sync=chance.random() < 0.7
        )


def _fault(chance: random.Random, kind: FaultKind) -> Planned[EngineAim]:
    aim, second, direction = EngineAim.PRIMARY, None, Direction.BOTH
    match kind:
        case FaultKind.KILL:
            aim = one_of(chance, _KILLED)
        case FaultKind.PAUSE:
            aim = one_of(chance, _PAUSED)
        case FaultKind.CUT | FaultKind.SLOW:
            aim, second = one_of(chance, _LINKS)
            direction = chance.choice((Direction.BOTH, Direction.BOTH, Direction.THERE, Direction.BACK))
        case FaultKind.STOP:
            aim = chance.choice((EngineAim.SERVER, EngineAim.PRIMARY))
        case FaultKind.RUSH:
            aim = EngineAim.SERVERS
    return Planned(
        kind=kind,
        aim=aim,
        second=second,
        direction=direction,
        after_ms=chance.randint(0, 1500),
        for_ms=_length_ms(chance),
        late_ms=chance.choice((20, 80, 250)),
    )


def _deposed_unawares(chance: random.Random) -> tuple[Planned[EngineAim], Planned[EngineAim]]:
    """PostgreSQL's Patroni stands still, so nobody tells it that another leads; then servers find both."""
    after_ms = chance.randint(0, 800)
    asleep = Planned(
        kind=FaultKind.PAUSE,
        aim=EngineAim.PATRONI,
        after_ms=after_ms,
        for_ms=chance.randint(7000, 12_000),
    )
    cut = Planned(
        kind=FaultKind.CUT,
        aim=EngineAim.SERVER,
        second=EngineAim.PRIMARY,
        after_ms=after_ms + chance.randint(500, 4000),
        for_ms=chance.randint(500, 4000),
    )
    return asleep, cut


def _length_ms(chance: random.Random) -> int:
    """Return a moment, about as long as a call waits, or longer than a primary that is silent leads on."""
    return chance.choice((chance.randint(10, 300), chance.randint(500, 2500), chance.randint(6000, 10_000)))
