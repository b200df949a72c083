"""What must hold in every state.  Each sentence begins with what is broken: loss, double, stale read."""

from __future__ import annotations

from tests.model.laws import Laws
from tests.model.leader import acts
from tests.model.leases import may_read
from tests.model.state import Disk, Entry, Journal, Server, State

__all__ = ["broken"]


def broken(laws: Laws, state: State) -> str | None:
    """Return the sentence about the promise that this state breaks, None if it breaks none."""
    return _double(state) or _loss(laws, state) or _moved(laws, state) or _stale_read(laws, state)


def _double(state: State) -> str | None:
    places: dict[int, Entry] = {}
    requests: dict[int, int] = {}
    for action_id, entry in state.acknowledged:
        if action_id in places:
            return f"loss: two different entries were acknowledged at action id {action_id}"
        if entry.request in requests:
            return f"double: request {entry.request} was acknowledged at two action ids"
        places[action_id] = entry
        requests[entry.request] = action_id
    for place, server in enumerate(state.servers):
        journal = server.memory.journal
        if len({entry.request for entry in journal}) < len(journal):
            return f"double: a request is in the journal of {place} twice"
    return None


def _lacks(journal: Journal, state: State) -> bool:
    return any(
        len(journal) < action_id or journal[action_id - 1] != entry for action_id, entry in state.acknowledged
    )


def _loss(laws: Laws, state: State) -> str | None:
    for place, server in enumerate(state.servers):
        if (
            server.leads
            and server.memory.adopted == state.view.epoch
            and _lacks(server.memory.journal, state)
        ):
            return f"loss: {place} leads the newest epoch, and lacks what was acknowledged"
        member = state.view.members[place]
        for incarnation, disk in _disks(server):
            if laws.bounds.latent and member == incarnation and _lacks(disk.journal, state):
                return f"loss: {place} is in sync, and lacks what was acknowledged"
    return None


def _moved(laws: Laws, state: State) -> str | None:
    """V14: what the database opens with is all that there ever is, and nobody else answers then."""
    database = state.database
    if not database.open:
        return None
    if _lacks(database.journal, state):
        return "loss: the database is open, and lacks what was acknowledged"
    for place, server in enumerate(state.servers):
        if acts(laws, server) and may_read(laws, state, place, server):
            return f"stale read: the database is open, and {place} answers from its copy"
    return None


def _disks(server: Server) -> list[tuple[int, Disk]]:
    here = (server.incarnation, server.disk)
    return [here] if server.aside is None else [here, server.aside]


def _stale_read(laws: Laws, state: State) -> str | None:
    for place, server in enumerate(state.servers):
        reads = acts(laws, server) and may_read(laws, state, place, server)
        if reads and _lacks(server.memory.journal, state):
            return f"stale read: {place} answers from its copy, which lacks what was acknowledged"
    return None
