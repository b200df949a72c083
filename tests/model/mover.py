"""Who moves the bank to a database, and who takes that back (V14, ADR 51).

Rule: more is allowed than the code does. A mover, and who cancels, may stop for good between any two steps,
and an order that he gave may be carried out at any time after it; who is to be retired goes on deciding until
it is; of two movers at one row both may go on.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.laws import Laws, Step
from tests.model.leader import acknowledged_by, acts
from tests.model.rules import Rule
from tests.model.state import REINSTATED, Database, Mover, Proposal, Server, State
from tests.model.witness import propose

__all__ = ["happenings"]


def happenings(laws: Laws, state: State) -> Iterator[Step]:
    """Return what movers, and those who cancel, may do now."""
    if not laws.bounds.movers:
        return
    if not state.database.open:
        yield from _begins(laws, state)
        for mover in set(state.movers):
            yield from _goes_on(laws, state, mover)
        yield from _cancels(laws, state)
    if state.movers:
        yield from _ordered(laws, state)


def _begins(laws: Laws, state: State) -> Iterator[Step]:
    """Go on with the row that is there, or begin one; that is made only while the servers serve.

    Whether they do is looked at when the row is there already, and nobody else sees it yet.
    """
    database = state.database
    if len(state.movers) == laws.bounds.movers:
        return
    if database.row:
        yield ("is the row that a mover goes on with", database.row), _with(state, None, Mover(database.row))
    elif not state.view.retired or not laws.keep(Rule.V14_SERVED):
        row = database.rows + 1
        begun = state._replace(database=database._replace(row=row, rows=row))
        yield ("is the row that a mover begins", row), _with(begun, None, Mover(row))


def _goes_on(laws: Laws, state: State, mover: Mover) -> Iterator[Step]:
    """See that the servers are retired, copy what is frozen so, have the database open with it."""
    if mover.row != state.database.row:
        return
    view = state.view
    if view.retired and mover.seen < view.epoch and not mover.frozen:
        yield (
            ("is the retired epoch that a mover sees", view.epoch),
            _with(state, mover, mover._replace(seen=view.epoch)),
        )
    if mover.frozen:
        opened = Database(mover.row, state.database.rows, open=True, journal=mover.journal)
        yield (
            ("entries are what the database opens with", len(mover.journal)),
            state._replace(database=opened),
        )
        return
    for place, server in enumerate(state.servers):
        if mover.seen and acts(laws, server) and _is_frozen(laws, state, mover, place, server):
            journal = server.memory.journal
            told = state.acknowledged | set(enumerate(journal, 1))
            copied = mover._replace(frozen=True, journal=journal)
            yield (
                ("is copied whole", place, len(journal)),
                _with(state, mover, copied)._replace(acknowledged=told),
            )


def _is_frozen(laws: Laws, state: State, mover: Mover, place: int, server: Server) -> bool:
    """Whether what this server holds is all that there ever is."""
    if not server.retired and laws.keep(Rule.V14_LEADS):
        return False
    if server.memory.adopted < mover.seen and laws.keep(Rule.V14_LEADS) and laws.keep(Rule.V14_SEEN):
        return False
    everything = len(server.memory.journal)
    return acknowledged_by(laws, state, place, server) >= everything or not laws.keep(Rule.V14_ALL)


def _cancels(laws: Laws, state: State) -> Iterator[Step]:
    """Take away what was brought, having read the view: for which retirement that was is known then."""
    database = state.database
    if database.row and len(state.cancelled) < laws.bounds.cancels:
        row = 0 if laws.keep(Rule.V14_CANCEL) else database.row
        cancelled = tuple(sorted((*state.cancelled, state.view.retired)))
        yield (
            ("is the row that is taken away", database.row),
            state._replace(database=database._replace(row=row), cancelled=cancelled),
        )


def _ordered(laws: Laws, state: State) -> Iterator[Step]:
    """Whoever leads is to retire the servers, or to reinstate them, as somebody wanted some time."""
    view = state.view
    for place, server in enumerate(state.servers):
        if not acts(laws, server) or server.memory.adopted != view.epoch:
            continue
        if not server.retired:
            wanted = Proposal(place, server.members, retired=view.epoch + 1)
            asked = propose(laws, state, wanted)
            if asked is not None:
                yield ("proposes to be retired", place), asked
        elif server.retired in state.cancelled or (state.cancelled and not laws.keep(Rule.V14_SAME)):
            asked = propose(laws, state, Proposal(place, server.members, retired=REINSTATED))
            if asked is not None:
                yield ("proposes to be reinstated", place), asked


def _with(state: State, before: Mover | None, after: Mover) -> State:
    """Return the world in which one mover is another value; who is who makes no difference."""
    movers = [*state.movers, after]
    if before is not None:
        movers.remove(before)
    return state._replace(movers=tuple(sorted(movers)))
