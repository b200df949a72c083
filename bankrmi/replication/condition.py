"""What a server shows of itself, to people and to whoever watches it: values, and nothing to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bankrmi.replication.code_versions import VERSION_1, CodeVersions, StateVersion
from bankrmi.replication.first_view import FirstView
from bankrmi.replication.joining import Joiner
from bankrmi.replication.leading import Leader
from bankrmi.replication.office import Office
from bankrmi.replication.peer import Standing
from bankrmi.replication.record import Position
from bankrmi.replication.roles import Role, Won
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.replication.viewing import Viewing

__all__ = ["Condition", "CopyShown", "condition_of", "next_migrations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyShown:
    """Another server's copy, as its primary sees it.

    `matched` is the newest action id that is known to be durable there, in this epoch (0: none yet);
    `too_old` is why it is sent nothing, "" if it can read what this journal holds (V13).
    """

    server: str
    standing: Standing
    matched: int
    too_old: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One server at the end of its newest step.

    `epoch` is the adopted one, None while this copy is empty; `fenced`, it answers nobody because the witness
    has lost its memory (V9); `has_won`, it leads as soon as the leases that it granted are over (R3).
    `servers` are all of the bank, and `addresses` where they live: as the view says, else the configuration.
    `missing` are those whose word the first view waits for, None where no first view is to be made.
    `read_lease_ms` and `acknowledges` are a primary's: for how long it may still read by itself, and whether
    what is asked for now is likely to be acknowledged before the view changes.
    So are `queued`, the requests that wait to be decided, and `copies`, the others'; `primary_silent_ms` is
    everybody else's. `anchor` is where the journal begins, `durable` how far this disk holds it.
    `state_version` is that of this copy, and `code` what this server's code knows; `codes` and
    `state_versions` are what the others that are connected said of theirs; `migrations` are the services
    of which the code could make the next version ("": the first service), and why the primary does not yet
    ("": it may).
    The witness was asked `witness_asked_ms_ago`, and has answered nothing for `witness_silent_ms`.
    """

    server: str
    servers: tuple[str, ...]
    addresses: Mapping[str, str]
    start_id: str
    incarnation: str
    role: Role
    role_since_ms: float
    view: View | None
    epoch: int | None
    tip: Position
    anchor: Position
    acknowledged: int
    durable: int
    queued: int
    copies: tuple[CopyShown, ...]
    primary_silent_ms: float | None
    read_lease_ms: float | None
    acknowledges: bool | None
    connected: frozenset[str]
    witness_asked_ms_ago: float
    witness_silent_ms: float
    fenced: bool
    has_won: bool
    missing: tuple[str, ...] | None
    is_copying: bool
    is_admitted: bool
    state_version: StateVersion = 1
    code: CodeVersions = VERSION_1
    codes: Mapping[str, CodeVersions] = field(default_factory=dict)
    state_versions: Mapping[str, StateVersion] = field(default_factory=dict)
    migrations: tuple[tuple[str, str], ...] = ()


def condition_of(
    office: Office,
    viewing: Viewing,
    joiner: Joiner,
    first_view: FirstView,
    step: Step,
) -> Condition:
    """Return what there is to show of one server."""
    state, party = office.state, office.party
    adopted, view = step.journal.adopted, viewing.view
    leader = party if isinstance(party, Leader) else None
    waits = adopted is None and view is None and first_view.seen_no_view
    return Condition(
        server=step.server,
        servers=step.settings.servers,
        addresses=step.settings.where_all_live(),
        start_id=step.start_id,
        incarnation=step.journal.incarnation,
        role=state.role,
        role_since_ms=office.role_since_ms,
        view=view,
        epoch=adopted.epoch if adopted is not None else None,
        tip=step.journal.tip,
        anchor=step.journal.anchor,
        acknowledged=party.acknowledged if leader is None else leader.ever_acknowledged,
        durable=step.durable_tip,
        queued=0 if leader is None else leader.queued,
        copies=() if leader is None else _copies(leader, step),
        primary_silent_ms=None if isinstance(party, Leader) else party.silent_ms(step.now_ms),
        read_lease_ms=None if leader is None else leader.lease_left_ms(step),
        acknowledges=None if leader is None else leader.can_acknowledge(step),
        connected=frozenset(step.links.servers),
        witness_asked_ms_ago=viewing.asked_ms_ago(step.now_ms),
        witness_silent_ms=viewing.unanswered_ms(step.now_ms),
        fenced=office.is_fenced,
        has_won=isinstance(state, Won),
        missing=tuple(first_view.missing(step.settings)) if waits else None,
        is_copying=joiner.is_copying,
        is_admitted=joiner.is_admitted(view),
        state_version=step.journal.version,
        code=step.settings.code,
        codes={name: code for name in step.links.servers if (code := step.links.code_of(name)) is not None},
        state_versions={name: step.links.state_version_of(name) or 1 for name in step.links.servers},
        migrations=() if leader is None else next_migrations(step),
    )


def next_migrations(step: Step) -> tuple[tuple[str, str], ...]:
    """S6: which services ("": the first one) are to get their next version, and why each may not yet, "" if
    it may; those that may come first. One that waits, or whose migration fails, holds up no other."""
    code, version = step.settings.code, step.journal.version
    if not code.migrates(version):
        return ()
    found = [
        (service, step.links.why_not_migrated(code, version, step.settings.others, service))
        for service in code.steps(version)
    ]
    return tuple(sorted(found, key=lambda one: bool(one[1])))


def _copies(leader: Leader, step: Step) -> tuple[CopyShown, ...]:
    needed = step.journal.needs_protocol
    return tuple(
        CopyShown(
            server=peer.server,
            standing=peer.standing,
            matched=peer.matched,
            too_old=step.links.too_old_for(needed, [peer.server]),
        )
        for peer in leader.copies.peers.values()
    )
