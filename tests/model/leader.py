"""What a leader does: decide, acknowledge, let in, go on alone, hand over."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.disks import has_room
from tests.model.laws import Laws, Step
from tests.model.leases import may_read
from tests.model.rules import Rule
from tests.model.state import Entry, Journal, Members, Proposal, Server, State, Write, common
from tests.model.witness import propose, with_member, without_member

__all__ = ["acknowledged_by", "acts", "happenings", "matched_by"]


def acts(laws: Laws, server: Server) -> bool:
    """Whether it leads, and its adopting that is durable (A2)."""
    if not server.leads:
        return False
    return server.disk.adopted == server.memory.adopted or not laws.keep(Rule.A2_LEADS)


def matched_by(laws: Laws, state: State, epoch: int, place: int, incarnation: int) -> int:
    """Return how much of the primary's journal a disk of a server is known to hold (A5)."""
    if not laws.keep(Rule.A5_EPOCH):
        epoch = 0
    any_disk = not laws.keep(Rule.A5_DISK)
    known = (
        one.matched
        for one in state.acknowledgements
        if one.epoch == epoch and one.server == place and (any_disk or one.incarnation == incarnation)
    )
    return max(known, default=0)


def happenings(laws: Laws, state: State, place: int) -> Iterator[Step]:
    """Return what one leader may do now."""
    server = state.servers[place]
    if not acts(laws, server):
        return
    may_act = laws.may_act(bool(server.writes))
    stopped = server.stopped or (server.retired and laws.keep(Rule.V14_DECIDES))
    if may_act and not stopped and has_room(laws, server):
        yield from _decide(laws, state, place, server)
    if may_act or not laws.keep(Rule.A1_OWN_DISK):
        yield from _acknowledge(laws, state, place, server)
    if may_read(laws, state, place, server):
        yield from _read(laws, state, place, server)
    if may_act:
        if server.memory.adopted == state.view.epoch:
            yield from _change_the_view(laws, state, place, server)
        yield from _look_after_joiners(laws, state, place, server)


def _decide(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """Journal a request, and send it; the commit follows."""
    memory = server.memory
    for request in range(1, laws.bounds.requests + 1):
        known = any(entry.request == request for entry in memory.journal)
        if (known and laws.keep(Rule.O1_ONCE)) or len(memory.journal) > laws.bounds.requests:
            continue
        journal = (*memory.journal, Entry(memory.adopted, request))
        write = Write(memory._replace(journal=journal))
        owes = server.owes | (1 << request if laws.bounds.movers else 0)
        deciding = state.with_server(place, server._replace(writes=(*server.writes, write), owes=owes))
        yield ("decides", place, request), _send(deciding, place, memory.adopted, memory.journal, journal)


def _send(state: State, place: int, epoch: int, before: Journal, journal: Journal) -> State:
    """What was sent of a journal is the beginning of what is sent of a longer one."""
    for message in state.sent:
        if (message.epoch, message.leader, message.journal) == (epoch, place, before):
            longer = message._replace(journal=journal)
            return state._replace(sent=state.sent - {message} | {longer})
    return state


def _acknowledge(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """A1: answer what every copy that counts holds."""
    journal = server.memory.journal
    limit = acknowledged_by(laws, state, place, server)
    for matched in range(1, min(limit, len(journal)) + 1):
        told = set(enumerate(journal[:matched], 1))
        if server.retired and laws.keep(Rule.V14_ANSWERS):
            told = {(action_id, entry) for action_id, entry in told if server.owes >> entry.request & 1}
        answered = state.acknowledged | told
        if answered != state.acknowledged or matched > server.reached:
            reached = server._replace(reached=max(server.reached, matched))
            answering = state._replace(acknowledged=answered).with_server(place, reached)
            yield ("answers up to", place, matched), answering


def acknowledged_by(laws: Laws, state: State, place: int, server: Server) -> int:
    """Return up to where what a leader holds is known to be on every copy that counts, in its epoch."""
    journal = server.memory.journal
    if sum(map(bool, server.members)) < laws.bounds.copies_min:
        return 0
    limit = common(server.disk.journal, journal) if laws.keep(Rule.A1_OWN_DISK) else len(journal)
    if laws.keep(Rule.A1_COPIES):
        held = (
            matched_by(laws, state, server.memory.adopted, other, incarnation)
            for other, incarnation in _counting(laws, state, place, server)
        )
        limit = min(limit, min(held, default=limit))
    if not laws.keep(Rule.A1_RECORDED):
        limit = max(limit, sum(entry.epoch < server.memory.adopted for entry in journal))
    return limit


def _read(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """R4: each request has an account of its own, and what a read shows of it may not be lost.

    Where the rule is kept, all that can be shown was acknowledged: nothing happens.
    """
    shown_to = 0
    if not laws.keep(Rule.R4_SAW):
        shown_to = len(server.memory.journal)
    elif not laws.keep(Rule.R4_EPOCH):
        shown_to = min(server.reached, len(server.memory.journal))
    for action_id, entry in enumerate(server.memory.journal[:shown_to], 1):
        if (action_id, entry) not in state.acknowledged:
            shown = state.acknowledged | {(action_id, entry)}
            yield ("shows", place, action_id), state._replace(acknowledged=shown)


def _counting(laws: Laws, state: State, place: int, server: Server) -> Iterator[tuple[int, int]]:
    """Return the disks without which nothing is acknowledged: members and mandatory joiners (V3)."""
    for other, member in enumerate(server.members):
        joiner = server.mandatory[other]
        if other == place or (member and _counts_as_gone(laws, state, place, server, other)):
            continue
        if member and (not joiner or laws.keep(Rule.V8_NAMED_DISK)):
            yield other, member
        if joiner and (member or laws.keep(Rule.V3_MANDATORY)):
            yield other, joiner


def _counts_as_gone(laws: Laws, state: State, place: int, server: Server, other: int) -> bool:
    if laws.keep(Rule.V2_FIRST):
        return False
    return Proposal(place, without_member(server.members, other)) in state.proposals


def _change_the_view(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """V2, V3, V5, and V6: another proposal from the same epoch settles what is unsettled."""
    for other, member in enumerate(server.members):
        if other == place:
            continue
        if member and sum(map(bool, server.members)) > laws.bounds.copies_min:
            alone = propose(laws, state, Proposal(place, without_member(server.members, other)))
            if alone is not None:
                yield ("proposes to go on without", place, other), alone
        if server.mandatory[other]:
            yield from _let_in(laws, state, place, server, other)
        elif member and laws.bounds.switchover:
            yield from _hand_over(laws, state, place, server, other)
    if state.changes:
        yield from _change_the_servers(laws, state, place, server)
    settled = propose(laws, state, Proposal(place, server.members))
    if settled is not None:
        yield ("proposes to go on as before", place), settled


def _change_the_servers(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """V12: an operator's word; one server comes, goes, or moves, and what it was leaves `in_sync` with it."""
    homes = state.view.homes
    for other, home in enumerate(homes):
        if other == place and laws.keep(Rule.V12_NOT_ITSELF):
            continue
        without = without_member(server.members, other)
        below = sum(map(bool, without)) < laws.bounds.copies_min
        for after in (1, 2) if not home else (0, 3 - home):
            if (below and server.members[other] and home) or (other == place and not after):
                continue
            changed = (*homes[:other], after, *homes[other + 1 :])
            stays = other == place or (after and home and not laws.keep(Rule.V12_LEAVES))
            members = server.members if stays or not home else without
            proposed = propose(laws, state, Proposal(place, members, homes=changed))
            if proposed is not None:
                what = (
                    "proposes to add" if not home else "proposes to move" if after else "proposes to remove"
                )
                yield (what, place, other, after), proposed._replace(changes=state.changes - 1)


def _let_in(laws: Laws, state: State, place: int, server: Server, other: int) -> Iterator[Step]:
    """V3: it holds what was ever acknowledged, and what this process began with."""
    joiner = server.mandatory[other]
    held = matched_by(laws, state, server.memory.adopted, other, joiner)
    if held < server.reached and laws.keep(Rule.V3_EVERYTHING):
        return
    waiting = server._replace(unsettled=server.unsettled | 1 << other)
    view = Proposal(place, with_member(server.members, other, joiner))
    proposed = propose(laws, state.with_server(place, waiting), view)
    if proposed is not None:
        yield ("proposes to let in", place, other), proposed


def _hand_over(laws: Laws, state: State, place: int, server: Server, other: int) -> Iterator[Step]:
    """V5: when the target has everything, and this server answers nobody any more."""
    journal = server.memory.journal
    held = matched_by(laws, state, server.memory.adopted, other, server.members[other])
    if server.disk.journal != journal or held < len(journal):
        return
    stopped = server._replace(stopped=laws.keep(Rule.V5_STOPS))
    proposed = propose(
        laws, state.with_server(place, stopped), Proposal(other, server.members, handed_over_by=place)
    )
    if proposed is not None:
        yield ("hands over to", place, other), proposed


def _look_after_joiners(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """Wait for a joiner, or not any more; and resume after a switchover, which a rule forbids."""
    for other, joins in enumerate(state.servers):
        if other == place or server.members[other] == joins.incarnation:
            continue
        waits, bit = server.mandatory[other], 1 << other
        settled = not server.unsettled & bit or not laws.keep(Rule.V6_SETTLE)
        another = waits != joins.incarnation and joins.disk.adopted and _is_reached(laws, state, other)
        if another and (not waits or settled or not laws.keep(Rule.V3_OTHER_DISK)):
            yield ("waits for the joiner", place, other), _waiting(state, place, other, joins.incarnation)
        if waits and settled:
            yield ("waits no more for", place, other), _waiting(state, place, other, 0)
    if server.stopped and not laws.keep(Rule.V5_RESUME):
        yield ("resumes", place), state.with_server(place, server._replace(stopped=False))


def _is_reached(laws: Laws, state: State, other: int) -> bool:
    """V12: the primary's link leads to where the view says that a server lives."""
    homes = state.view.homes
    if not homes:
        return True
    lives_there = homes[other] == state.servers[other].home or not laws.keep(Rule.V12_JOINS)
    return bool(homes[other]) and lives_there


def _waiting(state: State, place: int, other: int, incarnation: int) -> State:
    server = state.servers[place]
    mandatory: Members = with_member(server.mandatory, other, incarnation)
    unsettled = server.unsettled if incarnation else server.unsettled & ~(1 << other)
    return state.with_server(place, server._replace(mandatory=mandatory, unsettled=unsettled))
