"""What every server does: take checkpoints, take over, lead what it has won, fetch a copy."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.disks import acknowledge, announce, commit, has_room
from tests.model.laws import Laws, Step
from tests.model.leader import acts
from tests.model.leases import are_over, granted, granting, relied_on
from tests.model.rules import Rule
from tests.model.state import (
    Acknowledgement,
    Disk,
    Homes,
    Journal,
    Message,
    Proposal,
    Server,
    State,
    Write,
)
from tests.model.witness import propose, without_member

__all__ = ["happenings"]


def happenings(laws: Laws, state: State, place: int) -> Iterator[Step]:
    """Return what one server may do now, whether it leads or not."""
    server = state.servers[place]
    if not laws.may_act(bool(server.writes)):
        return
    view = state.view
    if laws.bounds.changes and server.knows != view.homes:
        yield ("reads the view", place), state.with_server(place, _reading(server, view.homes))
    if view.epoch > server.memory.adopted:
        if view.primary == place and not view.gone:
            yield from _lead(laws, state, place, server)
        elif server.leads:
            yield ("steps down", place), state.with_server(place, server.follower())
    if not server.leads:
        yield from _propose(laws, state, place, server)
        yield from _lead_again(laws, state, place, server)
    if not server.memory.adopted:
        yield from _fetch_a_copy(laws, state, place, server)
    for message in state.sent:
        yield from _take(laws, state, place, server, message)


def _reading(server: Server, homes: Homes) -> Server:
    """What it saw at other addresses than those says nothing of who lives there."""
    known = server.knows or server.file
    changed = sum(1 << other for other, home in enumerate(homes) if home != known[other])
    return server._replace(knows=homes, proofs=server.proofs & ~changed)


def _is_at_home(laws: Laws, state: State, place: int, server: Server) -> bool:
    """V12: else it stops, as soon as it knows the view; nobody would find it."""
    homes = state.view.homes
    return not homes or homes[place] == server.home or not laws.keep(Rule.V12_HOME)


def _is_member(laws: Laws, state: State, place: int, server: Server) -> bool:
    member = state.view.members[place]
    if not laws.keep(Rule.V8_NEW_MEMBER):
        return bool(member)
    return member == server.incarnation


def _propose(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """V1 and V4: take over, or start again."""
    view = state.view
    if not _is_at_home(laws, state, place, server):
        return
    if view.primary == place:
        again = propose(laws, state, Proposal(place, view.members))
        if again is not None and _is_member(laws, state, place, server):
            yield ("proposes to start again", place), again
        return
    if not _is_member(laws, state, place, server) and laws.keep(Rule.V7_MEMBER):
        return
    if any(server.waits) and not laws.keep(Rule.R3_LEADS):
        return
    members = without_member(view.members, view.primary)
    if not members[place]:
        members = (*members[:place], server.incarnation, *members[place + 1 :])
    taken = propose(laws, state, Proposal(place, members))
    if taken is not None:
        yield ("proposes to take over", place), taken


def _lead(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """Adopt the epoch that was won, and begin with the journal that is there (R3, A2)."""
    may = _is_member(laws, state, place, server) and has_room(laws, server)
    may = may and _is_at_home(laws, state, place, server)
    if not may or not (server.leads or are_over(laws, state, server)):
        return
    memory = server.memory
    reached = len(memory.journal)
    if not laws.keep(Rule.V3_INHERITED):
        reached = server.reached if server.leads else 0
    leading = server._replace(
        waits=(0,) * len(server.waits),
        leads=True,
        members=state.view.members,
        mandatory=(0,) * len(server.waits),
        unsettled=0,
        reached=reached,
        stopped=False,
        retired=state.view.retired,
    )
    adopted = Disk(memory.journal, state.view.epoch, led=True, retired=state.view.retired)
    write = Write(adopted, begins=laws.keep(Rule.A2_LEADS))
    led = commit(laws, state, place, leading, write)
    yield ("leads", place, state.view.epoch), led if write.begins else announce(led, place)


def _lead_again(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """What V4 forbids: a process goes on in the epoch that one before it led."""
    mine = server.disk.led and (state.view.epoch, state.view.primary) == (server.disk.adopted, place)
    if mine and not laws.keep(Rule.V4_FRESH):
        members = state.view.members
        leading = server._replace(
            leads=True, members=members, mandatory=(0,) * len(members), reached=len(server.disk.journal)
        )
        yield ("goes on leading", place), announce(state.with_server(place, leading), place)


def _fetch_a_copy(laws: Laws, state: State, place: int, server: Server) -> Iterator[Step]:
    """V8: an empty server copies the disk of whoever leads, by what the witness said since its start."""
    for other, source in enumerate(state.servers):
        known = source.memory.adopted >= server.started_in or not laws.keep(Rule.V8_WITNESS_ONLY)
        if acts(laws, source) and known and has_room(laws, server):
            noted = max(server.waits)
            disk = Disk(source.disk.journal, source.memory.adopted, noted=noted)
            copied = server._replace(started_in=0)
            yield ("has a copy of", place, other), commit(laws, state, place, copied, Write(disk))


def _take(laws: Laws, state: State, place: int, server: Server, message: Message) -> Iterator[Step]:
    """Take a checkpoint that ends anywhere in what was sent (A2, A3), and acknowledge it (A5)."""
    memory = server.memory
    newer = message.epoch > memory.adopted
    if message.leader == place or not memory.adopted or not has_room(laws, server):
        return
    if message.epoch < memory.adopted and laws.keep(Rule.A2_ADOPTED):
        return
    if server.leads and not newer:
        return
    bound = granted(laws, server, message).follower()
    noted = memory.noted
    if newer or noted < bound.waits[message.leader]:
        noted = max(bound.waits)
    epoch = message.epoch if laws.keep(Rule.A5_EPOCH) else 0
    for matched in range(len(message.journal) + 1):
        disk = Disk(
            journal=_brought_in(laws, memory.journal, message, matched),
            adopted=max(memory.adopted, message.epoch),
            led=memory.led and not newer,
            noted=noted,
            retired=memory.retired if not newer else 0,
        )
        answer = Acknowledgement(epoch, place, server.incarnation, matched)
        write = Write(disk, answer, granting(laws, place, server, message))
        taken = _taken(laws, state, place, bound, write)
        if taken != state:
            yield ("takes", place, message.epoch, matched), taken


def _taken(laws: Laws, state: State, place: int, bound: Server, write: Write) -> State:
    """Acknowledge when all is durable that the answer rests on; what is durable already needs no write."""
    answer, disk = write.acknowledgement, bound.disk
    assert answer is not None
    if write.disk == disk and not bound.writes:
        return relied_on(acknowledge(state.with_server(place, bound), answer), write.lease)
    held = disk.journal[: answer.matched] == write.disk.journal[: answer.matched]
    if laws.keep(Rule.A1_STANDBY_DISK) and (laws.keep(Rule.A2_ACTS) or not held):
        return commit(laws, state, place, bound, write)
    writing = commit(laws, state, place, bound, Write(write.disk))
    return relied_on(acknowledge(writing, answer), write.lease)


def _brought_in(laws: Laws, own: Journal, message: Message, matched: int) -> Journal:
    """A3: remove what conflicts, and what is above `base` and of an older epoch; nothing else."""
    news = message.journal[:matched]
    if not laws.keep(Rule.A3_CONFLICT):
        return own + message.journal[len(own) : matched]
    if not laws.keep(Rule.A3_LATE):
        return news
    journal = own if own[:matched] == news else news
    keep = max(message.base, matched) if laws.keep(Rule.A3_BASE) else matched
    if len(journal) > keep and journal[-1].epoch < message.epoch:
        return journal[:keep]
    return journal
