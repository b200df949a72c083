"""Proposals and the view: exactly one proposal wins, however late, whoever is dead meanwhile (V6)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.laws import Laws, Step
from tests.model.leases import after_a_start
from tests.model.rules import Rule
from tests.model.state import REINSTATED, Entry, Members, Proposal, Server, State, View

__all__ = ["happenings", "propose", "with_member", "without_member"]


def propose(laws: Laws, state: State, proposal: Proposal) -> State | None:
    """Return the world in which it may win from now on; None if that is this one."""
    if not proposal.homes:
        proposal = proposal._replace(homes=state.view.homes)
    if not proposal.retired and laws.keep(Rule.V14_CARRIED):
        proposal = proposal._replace(retired=state.view.retired)
    if state.view.epoch >= laws.bounds.epochs or proposal in state.proposals:
        return None
    return state._replace(proposals=state.proposals | {proposal})


def with_member(members: Members, place: int, incarnation: int) -> Members:
    """Return the members with one more, or with another disk of it."""
    return (*members[:place], incarnation, *members[place + 1 :])


def without_member(members: Members, place: int) -> Members:
    """Return the members without one."""
    return with_member(members, place, 0)


def happenings(laws: Laws, state: State) -> Iterator[Step]:
    """Let any proposal win; let an operator force one; lose the view, and be restored."""
    epoch = state.view.epoch + 1
    if epoch > laws.bounds.epochs:
        return
    for proposal in state.proposals:
        view = View(epoch, *proposal)
        if proposal.retired == REINSTATED:
            view = view._replace(retired=0)
        won = state._replace(view=view, proposals=frozenset())
        if proposal.forced:
            won = won._replace(acknowledged=_kept(state, proposal.primary))
        homes = proposal.homes if proposal.homes != state.view.homes else ()
        retired = ("retired",) if view.retired else ()
        yield ("wins", proposal.primary, epoch, *proposal.members, *homes, *retired), won
    if state.forces:
        yield from _forced(laws, state)
    if state.restores and all(not server.writes and server.aside is None for server in state.servers):
        yield from _restored(laws, state, epoch)


def _kept(state: State, place: int) -> frozenset[tuple[int, Entry]]:
    """V7: the promises are waived for what this disk does not hold at this moment, and for nothing else."""
    journal = state.servers[place].disk.journal
    return frozenset(one for one in state.acknowledged if journal[one[0] - 1 : one[0]] == (one[1],))


def _forced(laws: Laws, state: State) -> Iterator[Step]:
    """V7: all who are in sync, or lead, are switched off, and start again at once; another one is to lead.

    What those propose as new processes may win before it. That epochs are of one history here only adds to
    what may happen: what is on its way fits.
    """
    members = state.view.members

    def is_off(place: int, server: Server) -> bool:
        old = server.leads and laws.keep(Rule.V7_OFF_ALL)
        return laws.keep(Rule.V7_OFF) and (old or members[place] == server.incarnation)

    servers = tuple(
        server.follower()._replace(writes=(), proofs=0, waits=after_a_start(laws, other, server))
        if is_off(other, server)
        else server
        for other, server in enumerate(state.servers)
    )
    gone = state.view._replace(gone=laws.keep(Rule.V7_OFF))
    off = state._replace(view=gone, servers=servers, forces=state.forces - 1)
    for place, server in enumerate(state.servers):
        if server.disk.adopted and not server.leads and members[place] != server.incarnation:
            alone = with_member((0,) * len(members), place, server.incarnation)
            asked = propose(laws, off, Proposal(place, alone, forced=True))
            if asked is not None:
                yield ("is to lead by force", place), asked


def _restored(laws: Laws, state: State, epoch: int) -> Iterator[Step]:
    """V9: all are fenced; a history of its own, so nothing that is on its way fits any more (ADR 6).

    Within a bound one epoch more is as good as a thousand: nobody here tells of views that were won.
    """

    def newest_epoch(server: Server) -> tuple[int, ...]:
        return (server.disk.adopted, int(server.disk.led))

    def newest_journal(server: Server) -> tuple[int, ...]:
        journal = server.disk.journal
        return (journal[-1].epoch if journal else 0, len(journal))

    by = newest_epoch if laws.keep(Rule.V9_RESTORE) else newest_journal
    place = max(range(len(state.servers)), key=lambda other: by(state.servers[other]))
    alone = with_member((0,) * len(state.servers), place, state.servers[place].incarnation)
    retired = state.servers[place].disk.retired if laws.keep(Rule.V14_NOTED) else 0
    restored = state._replace(
        view=View(epoch, place, alone, homes=state.view.homes, retired=retired),
        proposals=frozenset(),
        servers=tuple(server.follower() for server in state.servers),
        sent=frozenset(),
        acknowledgements=frozenset(),
        restores=state.restores - 1,
    )
    yield ("is named by a restore", place, epoch), restored
