"""Where a search begins: a bank that has run for a while, two in sync, nothing under way, nothing asked.

Rule 1: it gets there by itself, as banks do: two processes start on disks that are in sync.
Rule 2: or it begins before that, with two processes that have just started and one server outside `in_sync`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bankrmi.replication.journal import Adopted
from bankrmi.replication.view import View
from bankrmi.robustness.exhaustive import state as at
from bankrmi.robustness.exhaustive.bank import MoveGenerator
from bankrmi.robustness.exhaustive.bounds import SearchBounds
from bankrmi.robustness.exhaustive.client import WANTED
from bankrmi.robustness.exhaustive.disks import Content
from bankrmi.robustness.exhaustive.server import NAMES, start_id
from bankrmi.robustness.exhaustive.state import State

__all__ = ["first_state", "just_started"]

_ROUNDS = 12
"""How often time passes until nothing is new: it has to be waited for, learned, proposed, won, led, heard."""


def first_state(bank: MoveGenerator, bounds: SearchBounds) -> State:
    """Return the state in which a search begins."""
    if bounds.joining:
        first = list(just_started(bank, NAMES[:1]))
    else:
        first = list(_settled(bank, just_started(bank, NAMES)))
    first[at.ANSWERED] = 0
    first[at.CRASHES], first[at.LOSSES] = bounds.crashes, bounds.losses
    first[at.RETRIES], first[at.SWITCHOVERS] = bounds.retries, bounds.switchovers
    return tuple(first)


def _settled(bank: MoveGenerator, state: State) -> State:
    """Let time pass until all is well."""
    state = _all_done(bank, state)
    for _ in range(_ROUNDS):
        # The standby's time first, so that it has just heard its primary when all is done.
        for turn in (-1, 0):
            state = _all_done(bank, bank.time_passes(state)[turn][1])
    return state


def _all_done(bank: MoveGenerator, state: State) -> State:
    """Let one thing after the other happen, until only time is left."""
    while moves := bank.without_time(state):
        state = moves[0][1]
    return state


def just_started(bank: MoveGenerator, in_sync: Sequence[str]) -> State:
    """Return a bank whose processes have just started; nobody asks it anything."""
    servers = bank.servers
    before = start_id(0, 0)
    incarnations = {name: f"{name}-disk" for name in NAMES}
    members = {name: incarnations[name] for name in in_sync}
    view = View(
        history="h",
        epoch=1,
        primary=NAMES[0],
        start_id=before,
        in_sync=frozenset(in_sync),
        incarnations=members,
    )
    adopted = Adopted(history=view.history, epoch=view.epoch, primary=view.primary, start_id=before)
    state: list[Any] = [()] * at.FIELDS
    for place, name in enumerate(NAMES):
        dead = servers.dead(place, Content(incarnations[name], adopted, ()))
        state[at.SERVER[place]] = servers.start(dead)
        state[at.LINK[place]] = at.DOWN
        state[at.READING[place]] = state[at.PROPOSAL[place]] = None
    state[at.VIEW] = servers.kept.number(view)
    state[at.ANSWERED], state[at.ASKED] = len(WANTED) - 1, None
    state[at.ACKNOWLEDGED] = servers.kept.number(())
    state[at.CRASHES] = state[at.LOSSES] = state[at.RETRIES] = state[at.SWITCHOVERS] = 0
    return tuple(state)
