"""Who may be connected, and who makes room for whom.  Pure: no sockets; the caller brings the time.

    unfinished   no handshake yet
    callers      everybody with a handshake
    operators    a reserve: whatever the callers do, an operator gets in
    server s1    a reserve for each server that is known by name; no other name has one, and there is no more

While there are seats, whoever comes gets one. When all are taken, one of those without a call in progress
makes room: callers without our handshake first, among equals who belongs to an address that has more than its
share, among those who has been idle for longest. A share is what each address could have if all had as much;
so one machine may have all seats that nobody else wants.

Rule 1: nobody with a call in progress makes room for whose address has its share; if everybody has one, who
        comes is refused, in a sentence. Nor does one of ours that was active lately: a crowd of more than
        there are seats would else cut each other off instead of being served. For an address that has less
        than its share, who came last of the one that has most goes, whatever he does: else that one could
        keep all others out by never ending its calls.
Rule 2: without a handshake, only who has idled for a while makes room: his first message may be on its way.
Rule 3: in the reserve of a server, and of the operators, a connection in use stays, and who came last makes
        room: a crowd in a server's name may keep its own out, but does not cut the server off, and is never
        more than a few.
Rule 4: how long to look for who makes room is bounded: nobody was found, nobody is for a moment.
Assumption: addresses cannot be forged (TCP); what a caller says of himself can be, until certificates.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from typing import Generic, Protocol, TypeVar

from .addresses import Address

__all__ = ["KINDS", "NoSeat", "Occupant", "SeatPlan", "Seats", "origin"]

IDLE_BEFORE_HANDSHAKE_S = 0.25
"""Before that, a connection without a handshake makes room for nobody."""

OURS_STAY_S = 3.0
"""Since one of ours has called: before that it makes room only where its address has more than its share."""

FIRST_CALL_S = 1.0
"""Since one of ours has come, for its first call to arrive; the same goes until then."""

IN_USE_S = 1.0
"""A server's connection that was called on within this time is in use; servers call ten times a second."""

NOBODY_S = 20e-6
"""When nobody was idle, that holds for this long, times all who were looked at; looking took less."""

_LOOKED_UP_AT_ONCE = 16


KINDS = ("unfinished", "clients", "strangers", "operators", "servers")
"""Of connections; clients are callers with our handshake, strangers those without."""


class Occupant(Protocol):
    """A connection, as far as its seat goes."""

    @property
    def active_at(self) -> float:
        """When it last had a whole message or an answer; before the first one, when it came."""

    @property
    def busy(self) -> bool:
        """Whether a call of it is in progress."""


Who = TypeVar("Who", bound=Occupant)


class NoSeat(Exception):
    """The message tells the caller why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatPlan:
    """How many seats there are."""

    unfinished: int
    callers: int
    operators: int
    of_each_server: int
    servers: frozenset[str] = frozenset()
    """The names that have a reserve."""

    @property
    def total(self) -> int:
        """How many connections there may be at once."""
        return self.unfinished + self.callers + self.operators + self.of_each_server * len(self.servers)


def origin(address: Address) -> str:
    """Return what counts as one address: the host; of IPv6 the network, of which one machine has all."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if ":" not in host:
        return host
    try:
        parsed = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


class Seats(Generic[Who]):
    """All seats of one daemon."""

    def __init__(self, plan: SeatPlan) -> None:
        self.plan = plan
        self._unfinished: _Row[Who] = _Row(plan.unfinished)
        self._callers: _Row[Who] = _Row(plan.callers, OURS_STAY_S)
        self._operators: _Row[Who] = _Reserve(plan.operators)
        self._servers: dict[str, _Row[Who]] = {
            name: _Reserve(plan.of_each_server) for name in sorted(plan.servers)
        }
        self._row_of: dict[Who, _Row[Who]] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[Who]:
        return iter(list(self._row_of))

    def change(self, plan: SeatPlan) -> None:
        """There are so many from now on; whoever has a seat keeps it, even that of a server that is gone."""
        self.plan = plan
        self._unfinished.seats, self._callers.seats = plan.unfinished, plan.callers
        known = self._servers
        self._servers = {
            name: known[name] if name in known else _Reserve(plan.of_each_server)
            for name in sorted(plan.servers)
        }

    @property
    def unfinished(self) -> int:
        """How many have no handshake yet."""
        return len(self._unfinished)

    def by_kind(self) -> dict[str, int]:
        """Return how many seats are taken, by `KINDS`."""
        counts = len(self._unfinished), *self._callers.by_rank(), len(self._operators)
        return dict(zip(KINDS, (*counts, sum(map(len, self._servers.values()))), strict=True))

    def reserved_for_servers(self, who: Who) -> bool:
        """Whether it has a seat in the reserve of a server."""
        return self._row_of.get(who) in self._servers.values()

    def crowded(self, coming: int, now: float) -> bool:
        """Whether one more, beside the `coming`, would find neither a seat nor anybody who makes room."""
        row = self._unfinished
        if len(row) + coming < row.seats:
            return False
        return row.idle_since(now - IDLE_BEFORE_HANDSHAKE_S) <= coming

    def arrive(self, who: Who, host: str, now: float) -> Who | None:
        """Seat a new connection, without a handshake yet; return who makes room for it, if need be.

        There may be one too many for a moment, if nobody has idled for long enough; see `crowded`.
        """
        row = self._unfinished
        victim = None
        if len(row) >= row.seats:
            candidates = row.who_makes_room(host, now), row.longest_idle()
            since = now - IDLE_BEFORE_HANDSHAKE_S
            victim = next((one for one in candidates if one is not None and one.active_at <= since), None)
        self._move(who, host, row, 0, now)
        return self._leave(victim)

    def finish(self, who: Who, host: str, role: str, server: str, now: float) -> Who | None:
        """Give it the seat of its role ("" for a stock client); return who makes room. Raises NoSeat."""
        reserve = self._servers.get(server) if role == "server" else None
        if role == "operator":
            reserve = self._operators
        is_ours = role in ("client", "operator") or reserve is not None
        if role == "server" and reserve is not None:
            rows = [reserve]
        else:
            rows = [self._callers] if reserve is None else [reserve, self._callers]
        for row in rows:
            victim = row.who_makes_room(host, now) if len(row) >= row.seats else None
            if len(row) < row.seats or victim is not None:
                self._move(who, host, row, int(is_ours), now)
                return self._leave(victim)
        raise NoSeat(f"busy: all {self._callers.seats} connections of this server are in use; try again")

    def leave(self, who: Who) -> None:
        """Its seat is free."""
        self._leave(who)

    def longest_idle(self) -> Who | None:
        """Return which caller should go if one has to, whoever it is for."""
        return self._callers.longest_idle()

    def _move(self, who: Who, host: str, row: _Row[Who], rank: int, now: float) -> None:
        self._leave(who)
        self._row_of[who] = row
        row.add(who, host, rank, now)

    def _leave(self, who: Who | None) -> Who | None:
        row = None if who is None else self._row_of.pop(who, None)
        if who is not None and row is not None:
            row.discard(who)
        return who


class _Group(Generic[Who]):
    """Those of one rank from one address."""

    __slots__ = ("_longest", "_stay_s", "host", "joined_at", "rank")

    def __init__(self, rank: int, host: str, stay_s: float) -> None:
        self.rank = rank
        self.host = host
        self._stay_s = stay_s if rank else 0.0
        self.joined_at: dict[Who, float] = {}
        self._longest: list[tuple[float, Who]] = []  # The longest idle is the last.

    def __len__(self) -> int:
        return len(self.joined_at)

    def longest_idle(self) -> tuple[float, Who] | None:
        """Return whose turn to make room is first, and since when; None if all have a call in progress.

        That is who has been idle for longest; one of ours comes later, by `stay_s` if it has called.
        One look at all finds the next few as well: who is active in between only moves further back, and who
        comes is looked at by `add`.
        """
        for _ in range(2):
            while self._longest:
                since, who = self._longest[-1]
                if who in self.joined_at and not who.busy and self._turn_at(who) == since:
                    return since, who
                self._longest.pop()
            idle = (
                (self._turn_at(who), number, who) for number, who in enumerate(self.joined_at) if not who.busy
            )
            self._longest = [(since, who) for since, _, who in nsmallest(_LOOKED_UP_AT_ONCE, idle)][::-1]
        return None

    def add(self, who: Who, now: float) -> None:
        """One more; his turn may be before that of those who were found."""
        self.joined_at[who] = now
        if self._longest and self._turn_at(who) < self._longest[0][0]:
            self._longest.clear()

    def _turn_at(self, who: Who) -> float:
        if who.active_at > self.joined_at[who]:
            return who.active_at + self._stay_s
        return who.active_at + min(FIRST_CALL_S, self._stay_s)


class _Row(Generic[Who]):
    """Some seats that have the same purpose."""

    def __init__(self, seats: int, stay_s: float = 0.0) -> None:
        self.seats = seats
        self._stay_s = stay_s
        self._groups: dict[tuple[int, str], _Group[Who]] = {}
        self._group_of: dict[Who, _Group[Who]] = {}
        self._nobody_until = 0.0  # Nobody is idle, as far as was seen.

    def __len__(self) -> int:
        return len(self._group_of)

    def add(self, who: Who, host: str, rank: int, now: float) -> None:
        group = self._groups.get((rank, host))
        if group is None:
            group = self._groups[rank, host] = _Group(rank, host, self._stay_s)
        group.add(who, now)
        self._group_of[who] = group

    def discard(self, who: Who) -> None:
        group = self._group_of.pop(who)
        del group.joined_at[who]
        if not group:
            del self._groups[group.rank, group.host]

    def idle_since(self, when: float) -> int:
        """Return how many have been idle since then; of more than a few, a few."""
        longest = nsmallest(_LOOKED_UP_AT_ONCE, (who.active_at for who in self._group_of))
        return sum(active_at <= when for active_at in longest)

    def longest_idle(self) -> Who | None:
        """Return who has been idle for longest; None if all have a call in progress."""
        longest = (group.longest_idle() for group in self._groups.values())
        first = min((one for one in longest if one is not None), key=lambda one: one[0], default=None)
        return None if first is None else first[1]

    def who_makes_room(self, host: str, now: float) -> Who | None:
        """Return who makes room for one from `host`; None if nobody does."""
        ranks = [self._of_rank(0), self._of_rank(1)]
        if now >= self._nobody_until:
            found = [_longest_idle(groups) for groups in ranks]
            for groups, idle in zip(ranks, found, strict=True):
                victim = _idle_one(groups, idle, host, now)
                if victim is not None:
                    return victim
            if not any(found):
                self._nobody_until = now + NOBODY_S * len(self)
        for groups in ranks:
            victim = _last_of_the_largest(groups, host)
            if victim is not None:
                return victim
        return None

    def by_rank(self) -> tuple[int, int]:
        """Return how many of them are ours, and how many are not."""
        ours = sum(map(len, self._of_rank(1)))
        return ours, len(self) - ours

    def _of_rank(self, rank: int) -> list[_Group[Who]]:
        return [group for group in self._groups.values() if group.rank == rank]


_Idle = tuple[float, Who, _Group[Who]]
"""Since when, who, and where he belongs."""


def _longest_idle(groups: list[_Group[Who]]) -> list[_Idle[Who]]:
    """Return of each group whose turn is first, in the order of their turns."""
    found = [(*idle, group) for group in groups if (idle := group.longest_idle()) is not None]
    return sorted(found, key=lambda one: one[0])


def _idle_one(groups: list[_Group[Who]], found: list[_Idle[Who]], host: str, now: float) -> Who | None:
    """Return whose turn it is, first where there are too many; else another address's before his turn."""
    share = _share(groups, host)
    greedy = [one for one in found if len(one[2]) + (one[2].host == host) >= share]
    for since, who, _ in (*greedy[:1], *found[:1]):
        if since <= now:
            return who
    for _, who, group in greedy:
        if group.host != host:
            return who
    return None


def _share(groups: list[_Group[Who]], host: str) -> float:
    """Return how many each address could have, if all had as much, with one more from `host`."""
    return (sum(map(len, groups)) + 1) / len({host, *(group.host for group in groups)})


def _last_of_the_largest(groups: list[_Group[Who]], host: str) -> Who | None:
    """Return who came last of the address that has most, if `host` has less than its share."""
    share = _share(groups, host)
    own = sum(len(group) for group in groups if group.host == host)
    largest = max(groups, key=len, default=None)
    if largest is None or largest.host == host or own + 1 > share or len(largest) <= share:
        return None
    return next(reversed(largest.joined_at))


class _Reserve(_Row[Who]):
    """A few seats: what is in use stays (rule 3), and somebody always makes room."""

    def who_makes_room(self, host: str, now: float) -> Who | None:  # noqa: ARG002
        def turn(who: Who, joined_at: float) -> tuple[bool, float]:
            in_use = who.busy or (who.active_at > joined_at and now - who.active_at < IN_USE_S)
            return in_use, -joined_at if in_use else who.active_at

        everybody = ((who, at) for group in self._groups.values() for who, at in group.joined_at.items())
        first = min(everybody, key=lambda one: turn(*one), default=None)
        return None if first is None else first[0]
