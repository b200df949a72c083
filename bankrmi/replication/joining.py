"""Coming back: a server outside `in_sync` shows the tail of its journal, and does what the primary answers.

Rule 1: the tail thins out (1, 2, 4, 8, ... operations apart) and always ends where the journal can be rolled
        back to, at its anchor or later, so it is short however long the journal is; the checkpoints that
        follow find the exact place (A3). Who has nothing in common with that gets a copy (`admission`).
Rule 2: a copy takes the journal's place only while it is still what this server needs.
"""

from __future__ import annotations

from bankrmi.replication.effects import FetchCopy, InstallCopy
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.messages import JoinAnswer, JoinRequest
from bankrmi.replication.record import Position
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Joiner", "tail_of"]

COPY_AGAIN_MS = 500.0
"""A pause after a copy that failed: what made it fail (a full disk, say) is likely still there."""


def tail_of(journal: Journal) -> list[Position]:
    """Return positions from the tip down, thinning out, to where it goes back to; nothing if the copy is
    empty."""
    if journal.adopted is None:
        return []
    end = journal.holding(journal.goes_back_to) or journal.anchor
    tail, action_id, step = [], journal.tip.action_id, 1
    while action_id > end.action_id:
        position = journal.before(action_id + 1)
        assert position is not None
        if position == end:
            break
        tail.append(position)
        action_id, step = min(action_id - step, position.action_id - 1), step * 2
    return [*tail, end]


class Joiner:
    """A server outside `in_sync`, on its way back in; `view` is the newest that it knows."""

    def __init__(self, heartbeat_ms: float) -> None:
        self._asked_ms = float("-inf")
        self._asked = 0
        self._pause_ms = heartbeat_ms
        self._copying = False
        self._copied_view: View | None = None
        self._admitted: tuple[str, int] | None = None

    @property
    def is_copying(self) -> bool:
        """Whether a copy of the primary's database is asked for, or on its way."""
        return self._copying

    def is_admitted(self, view: View | None) -> bool:
        """Whether the primary has said, in its epoch, that it will send what is missing."""
        return view is not None and self._admitted == (view.history, view.epoch)

    def tick(self, view: View | None, step: Step, *, primary_is_silent: bool) -> None:
        """Ask the primary to be let in, until it has admitted us in its epoch, and whenever it falls silent.

        Hearing it is not enough: it may speak to the disk that this server has lost. Only the answer to the
        newest request counts, so the pause grows until an answer fits into it.
        """
        if self._awaits_copy(view) or view is None or view.primary not in step.links:
            return
        if step.server not in step.settings.servers:
            return  # It waits for an operator to add it (V12).
        admitted = self.is_admitted(view) and not primary_is_silent
        if admitted or step.now_ms - self._asked_ms < self._pause_ms:
            return
        self._asked_ms = step.now_ms
        if self._asked:
            self._wait_longer(step)
        self._asked += 1
        adopted = step.journal.adopted
        request = JoinRequest(
            server=step.server,
            incarnation=step.journal.incarnation,
            start_id=step.start_id,
            number=self._asked,
            history=adopted.history if adopted is not None else None,
            tail=tail_of(step.journal),
        )
        step.send(view.primary, request)

    def _wait_longer(self, step: Step) -> None:
        """Up to the time in which a checkpoint has to be answered: who is farther away counts as silent."""
        self._pause_ms = min(2 * self._pause_ms, step.settings.checkpoint_timeout_ms)

    def begin_again(self, step: Step) -> None:
        """Another primary, or another connection to it: how long it takes to answer is not known."""
        self._pause_ms = step.settings.heartbeat_ms

    def answered(self, answer: JoinAnswer, view: View | None, step: Step) -> bool:
        """The primary answered: fetch a copy, or wait for checkpoints; return whether to look who leads now.

        A late answer to an older request, or to one of a server that is a member by now, does not count.
        """
        if answer.number != self._asked or not _is_outside(view, step):
            return False
        self.begin_again(step)
        if answer.outcome == "not_primary":
            return True
        if view is not None and view.primary == answer.server:
            if answer.outcome == "checkpoints":
                self._admitted = (view.history, answer.epoch)
            elif answer.outcome == "copy" and not self._awaits_copy(view):
                self._copying = True
                self._copied_view = view
                step.do(FetchCopy(view.primary))
        return False

    def _awaits_copy(self, view: View | None) -> bool:
        """Whether a copy is on its way that could still be put in place.

        One of a view before could not; and its source may be silent for ever.
        """
        return self._copying and self._copied_view == view

    def copy_ended(self, view: View | None, step: Step, *, fetched: bool, granted_ms: int) -> None:
        """A copy is here, or none: install it if it is still what we need; ask again in any case.

        Meanwhile another server may lead, and may have let us in with the journal that we have:
        then the copy, which is older, must not take its place. `granted_ms` binds us meanwhile (R3).
        """
        copied, own = self._copied_view, step.journal.adopted
        self._copying = False
        if not fetched or copied is None:
            self._asked_ms = step.now_ms + COPY_AGAIN_MS
            return
        self._asked_ms = float("-inf")
        same_view = view == copied and (own is None or own.epoch <= copied.epoch)
        # V7: what was proposed by an operator's word names the disk that was here then, and may yet win.
        still_wanted = same_view and _is_outside(view, step) and step.proposals.settled
        adopted = Adopted(
            history=copied.history,
            epoch=copied.epoch,
            primary=copied.primary,
            start_id=copied.start_id,
            granted_ms=granted_ms,
        )
        step.do(InstallCopy(adopted if still_wanted else None))


def _is_outside(view: View | None, step: Step) -> bool:
    return view is not None and not step.is_member(view)
