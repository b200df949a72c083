"""Who may not lead yet (R3), and who may read (R2).  Lengths are counted in moments of the granter's clock.

A lease is taken to hold as long as it can: from the arrival of the checkpoint that it is granted to.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.laws import Laws, Step
from tests.model.rules import Rule
from tests.model.state import Lease, Message, Server, State

__all__ = [
    "after_a_start",
    "are_over",
    "found_dead",
    "granted",
    "granting",
    "happenings",
    "may_read",
    "relied_on",
]


def granted(laws: Laws, server: Server, message: Message) -> Server:
    """Note what the next acknowledgement binds this process to."""
    if not laws.bounds.leases:
        return server
    length = message.lease if laws.keep(Rule.R3_LENGTH) else server.lease
    waits = list(server.waits if laws.keep(Rule.R3_EVERY) else [0] * len(server.waits))
    waits[message.leader] = max(waits[message.leader], length)
    proofs = server.proofs & ~(1 << message.leader) if laws.keep(Rule.R3_PROOF) else server.proofs
    at = server.granted_at
    if at:
        at = (*at[: message.leader], message.home, *at[message.leader + 1 :])
    return server._replace(waits=tuple(waits), proofs=proofs, granted_at=at)


def granting(laws: Laws, place: int, server: Server, message: Message) -> Lease | None:
    """Return the lease that the acknowledgement of a message grants, from its arrival on."""
    if not laws.bounds.leases:
        return None
    return Lease(place, server.incarnation, message.epoch, message.lease)


def relied_on(state: State, lease: Lease | None) -> State:
    """The primary hears of the acknowledgement: it counts the lease, if there is something left of it."""
    if lease is None or not lease.left:
        return state
    same = [other for other in state.leases if other[:3] == lease[:3]]
    if any(other.left >= lease.left for other in same):
        return state
    return state._replace(leases=state.leases.difference(same) | {lease})


def after_a_start(laws: Laws, place: int, server: Server) -> tuple[int, ...]:
    """Return how long a new process has to wait for each server: unless it led last, for all alike."""
    if server.disk.led or not server.disk.adopted or not laws.keep(Rule.R3_RESTART):
        return (0,) * len(server.waits)
    length = server.disk.noted if laws.keep(Rule.R3_NOTED) else server.lease
    return tuple(length if other != place else 0 for other in range(len(server.waits)))


def found_dead(laws: Laws, state: State, place: int) -> State:
    """Whoever looks now is refused; the news takes its time."""
    if not laws.bounds.leases:
        return state
    servers = tuple(
        _refused(laws, server, place) if other != place else server
        for other, server in enumerate(state.servers)
    )
    return state._replace(servers=servers)


def _refused(laws: Laws, server: Server, other: int) -> Server:
    """A look at where `other` lives, as this process knows, is refused; the news takes its time.

    V12: that is a proof of death only for what said that it lived there; and where it is forgotten who said
    what, only by the addresses of the view.
    """
    if laws.bounds.changes:
        looks_at = _looks_at(laws, server, other)
        if not looks_at:
            return server
        lived_at = server.granted_at[other] or looks_at
        if looks_at != lived_at and laws.keep(Rule.V12_PROOF):
            return server
    return server._replace(proofs=server.proofs | 1 << other)


def _looks_at(laws: Laws, server: Server, other: int) -> int:
    """Return at which address this process looks for another one; 0: it does not, or it proves nothing."""
    if server.knows:
        return server.knows[other]
    forgotten = not server.granted_at[other]
    return 0 if forgotten and laws.keep(Rule.V12_READ) else server.file[other]


def are_over(laws: Laws, state: State, server: Server) -> bool:
    """Whether nothing that this process granted stands against its leading the view (R3)."""
    if not laws.keep(Rule.R3_WAIT) or not laws.keep(Rule.R3_LEADS):
        return True
    return not any(wait for other, wait in enumerate(server.waits) if other != state.view.handed_over_by)


def may_read(laws: Laws, state: State, place: int, server: Server) -> bool:
    """R1 and R2; without leases a primary that is not alone asks, and that is not modelled."""
    if server.stopped or (server.retired and laws.keep(Rule.V14_READS)):
        return False
    needed = [(other, member) for other, member in enumerate(server.members) if member and other != place]
    if laws.keep(Rule.R1_UNSETTLED):
        needed += [(other, joiner) for other, joiner in enumerate(server.mandatory) if joiner]
    if needed and not laws.bounds.leases:
        return False
    if not laws.keep(Rule.R2_LEASE):
        return True
    epoch = server.memory.adopted
    held = {(lease.granter, lease.incarnation) for lease in state.leases if lease.epoch == epoch}
    return held.issuperset(needed)


def happenings(laws: Laws, state: State, place: int) -> Iterator[Step]:
    """A moment passes at one server; news of a death arrives there."""
    if not laws.bounds.leases:
        return
    server = state.servers[place]
    if laws.bounds.changes:
        yield from _look_elsewhere(laws, state, place, server)
    if any(server.waits) or any(lease.granter == place for lease in state.leases):
        yield ("lets a moment pass", place), _a_moment_later(state, place)
    for other, wait in enumerate(server.waits):
        if wait and server.proofs >> other & 1:
            waits = (*server.waits[:other], 0, *server.waits[other + 1 :])
            told = server._replace(waits=waits, proofs=server.proofs & ~(1 << other))
            yield ("hears of the death of", place, other), state.with_server(place, told)


def _look_elsewhere(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """Where nobody lives, whoever looks is refused, however alive the server is elsewhere."""
    for other, wait in enumerate(server.waits):
        if wait and _looks_at(laws, server, other) not in (0, state.servers[other].home):
            refused = _refused(laws, server, other)
            if refused != server:
                yield ("is refused where it looks for", place, other), state.with_server(place, refused)


def _a_moment_later(state: State, place: int) -> State:
    server = state.servers[place]
    left = [_shorter(lease) if lease.granter == place else lease for lease in state.leases]
    waits = tuple(max(0, wait - 1) for wait in server.waits)
    writes = tuple(
        write if write.lease is None else write._replace(lease=_shorter(write.lease))
        for write in server.writes
    )
    later = state._replace(leases=frozenset(lease for lease in left if lease.left))
    return later.with_server(place, server._replace(waits=waits, writes=writes))


def _shorter(lease: Lease) -> Lease:
    return lease._replace(left=max(0, lease.left - 1))
