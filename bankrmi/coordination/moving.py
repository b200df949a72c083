"""Moving the view of a living bank to another keeper: from the witness to etcd, or back.  For operators.

    1. the old keeper is closed, by compare-and-set on what it holds: its last record says where it goes
    2. the new keeper is given the view, by compare-and-set on what it holds: nothing, or a view that was once
       moved from there to here

Two keepers are never believed at once: after step 1 nothing can win at the old one, whoever asks there, and
before step 2 there is nothing to win at the new one. Between the two steps there is no keeper: a bank that is
well goes on without one (F2), and the same command, run again, finds the closed record and goes on with step
2. Neither step can be done late: each compares a revision that never comes again.

Servers that run are told by the old keeper that it is closed, read their configuration file again, and ask
the new one (see `movable_keeper`).
"""

from __future__ import annotations

from dataclasses import dataclass
from time import time_ns

from bankrmi.coordination.keepers import AskedKeeper, KeeperSilent, KeptView
from bankrmi.errors import OperationFailed
from bankrmi.replication.cause import named
from bankrmi.replication.keeper_move import PLACE_AT_MOST, KeeperMove
from bankrmi.replication.view import View
from bankrmi.who_runs_this import who_runs_this

__all__ = ["Move", "move", "plan"]

_PERHAPS_CLOSED = (
    "the old keeper may be closed, and the new one may not have the view yet: run the same command again"
)
_TRIES = 5
"""The view may change between reading and closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is to be done: both steps, the second, or nothing."""

    view: View
    source: KeptView
    target: KeptView

    @property
    def is_begun(self) -> bool:
        """Whether the old keeper is closed already."""
        return self.source.moved_to is not None

    @property
    def is_done(self) -> bool:
        """Whether the new keeper has it already."""
        return self.is_begun and self.target.view is not None and self.target.moved_to is None


def plan(source: AskedKeeper, target: AskedKeeper) -> Move:
    """Look, and change nothing; raises OperationFailed if it cannot be moved there."""
    old, new = source.kept(), target.kept()
    if old.keeper == new.keeper:
        raise OperationFailed(f"both configurations name the same keeper of the view ({old.keeper})")
    if old.view is None:
        raise OperationFailed("there is nothing to move: the keeper that is left holds no view")
    if old.moved_to not in (None, new.keeper):
        raise OperationFailed(f"the view was moved from there to {old.moved_to}, and not to {new.keeper}")
    planned = Move(view=old.view, source=old, target=new)
    if not planned.is_done and new.view is not None and new.moved_to != old.keeper:
        held = f"epoch {new.view.epoch}, history {new.view.history}"
        where = f", and says that it was moved to {new.moved_to}" if new.moved_to is not None else ""
        raise OperationFailed(
            f"the keeper that is to have the view holds another one of this service ({held}){where}: nothing "
            "is written over it"
        )
    return planned


def move(source: AskedKeeper, target: AskedKeeper, *, place: str) -> View:
    """Close the old keeper, which is at `place`, and give the view to the new one; return it.

    The new one has it with a note of that: so `history` knows where the changes before are.

    Raises OperationFailed, which says what was done; the same call goes on from there.
    """
    for _ in range(_TRIES):
        planned = plan(source, target)
        if planned.is_done:
            return planned.view
        try:
            if not planned.is_begun and not source.move(planned.source, planned.view, planned.target.keeper):
                continue  # It has changed meanwhile.
            return _given(planned, target, place)
        except KeyboardInterrupt as interruption:
            interruption.add_note(f"interrupted: {_PERHAPS_CLOSED}")
            raise
        except KeeperSilent as silent:
            raise OperationFailed(f"{silent.message}; {_PERHAPS_CLOSED}") from silent
    raise OperationFailed("the view changes again and again: nothing was moved; run the command again")


def _given(planned: Move, target: AskedKeeper, place: str) -> View:
    closed = "the old keeper is closed, and the new one has not got the view yet: run the command again"
    note = KeeperMove(
        keeper=planned.source.keeper,
        place=place[:PLACE_AT_MOST],
        moved_us=time_ns() // 1000,
        operator=named(who_runs_this()),
    )
    moved = planned.view.moved(note)
    try:
        if target.move(planned.target, moved, None):
            return moved
        now = target.kept()
    except OperationFailed as failure:
        raise OperationFailed(f"{failure.message}; {closed}") from failure
    if now.view is not None and now.view == planned.view and now.moved_to is None:
        return now.view  # By another run of this command.
    raise OperationFailed(f"what the new keeper holds has changed meanwhile; {closed}")
