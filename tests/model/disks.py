"""Writing: a commit is asked for, and is durable some time later, in order; a crash loses the rest."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.laws import Laws, Step
from tests.model.leases import after_a_start, found_dead, relied_on
from tests.model.state import Acknowledgement, Message, Server, State, Write

__all__ = ["acknowledge", "announce", "commit", "happenings", "has_room"]


def has_room(laws: Laws, server: Server) -> bool:
    """Whether one more commit may be on its way."""
    return len(server.writes) < (laws.bounds.writes if laws.bounds.pipelined else 1)


def commit(laws: Laws, state: State, place: int, server: Server, write: Write) -> State:
    """Have `server`, which has changed, write; at once if nobody can tell the difference."""
    if laws.bounds.pipelined:
        return state.with_server(place, server._replace(writes=(*server.writes, write)))
    return _durable(state, place, server, write)


def _durable(state: State, place: int, server: Server, write: Write) -> State:
    state = state.with_server(place, server._replace(disk=write.disk))
    if write.acknowledgement is not None:
        state = relied_on(acknowledge(state, write.acknowledgement), write.lease)
    if write.begins and server.leads and server.memory.adopted <= write.disk.adopted:
        state = announce(state, place)
    return state


def acknowledge(state: State, one: Acknowledgement) -> State:
    """Tell the primary; of what one disk has confirmed in one epoch, the most is enough."""
    known = state.acknowledgements
    same = [other for other in known if other[:3] == one[:3]]
    if any(other.matched >= one.matched for other in same):
        return state
    return state._replace(acknowledgements=known.difference(same) | {one})


def announce(state: State, place: int) -> State:
    """Begin to lead: `base` is the tip that there is now."""
    server = state.servers[place]
    memory = server.memory
    message = Message(memory.adopted, place, len(memory.journal), memory.journal, server.lease, server.home)
    return state._replace(sent=state.sent | {message})


def happenings(laws: Laws, state: State, place: int) -> Iterator[Step]:
    """Return what can happen to one disk, and to one process."""
    server = state.servers[place]
    if server.writes:
        done = server._replace(writes=server.writes[1:])
        yield ("is durable at", place), _durable(state, place, done, server.writes[0])
    if state.crashes:
        yield from _started(laws, state._replace(crashes=state.crashes - 1), place, server, "crashes")
    if state.disks:
        yield from _another_disk(laws, state._replace(disks=state.disks - 1), place, server)


def _another_disk(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """It starts with an empty disk, or with the one that was put aside; that is the member again."""
    put_away = (server.incarnation, server.disk)
    if server.aside is not None:
        back = server._replace(incarnation=server.aside[0], disk=server.aside[1], aside=put_away)
        yield from _started(laws, state, place, back, "is back on the disk before")
        return
    empty = server.disk._replace(journal=(), adopted=0, led=False, noted=0, retired=0)
    fresh = server._replace(incarnation=server.incarnation + 1, disk=empty, aside=put_away)
    yield from _started(laws, state, place, fresh, "has an empty disk")


def _started(laws: Laws, state: State, place: int, server: Server, what: str) -> Iterator[Step]:
    """A new process knows what its disk has; in each lease that it may be told."""
    state = found_dead(laws, state, place)
    heard = 0 if server.disk.adopted else state.view.epoch
    for lease in laws.bounds.leases or (0,):
        process = server.follower()._replace(writes=(), proofs=0, lease=lease, started_in=heard)
        waits = after_a_start(laws, place, process)
        for home in (1, 2) if laws.bounds.changes else (server.home,):
            started = process._replace(
                waits=waits, home=home, knows=(), granted_at=(0,) * len(server.granted_at)
            )
            elsewhere = ("elsewhere",) if home != server.home else ()
            yield (what, place, lease, *elsewhere), state.with_server(place, started)
