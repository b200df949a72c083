"""Following: taking checkpoints, noticing that the primary is gone.  Rules A2, A3, A5, V1, V4, V7.

Rule 1: a checkpoint is acknowledged only when all is durable that was written by then (A5).
Rule 2: records are removed only if they conflict, or are above `base` and of an older epoch (A3).
Rule 3: believing the primary gone costs nothing but a proposal; only `lease` decides who may lead.
Rule 4: what this server's code does not know it does not take, and confirms nothing of that message (S5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

from bankrmi.replication import matching
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.code_versions import (
    MIGRATIONS,
    migration_of,
    version_in_words,
)
from bankrmi.replication.effects import IsBusy, Probe
from bankrmi.replication.events import ClientEvent, LinkChanged, Probed
from bankrmi.replication.messages import Acknowledged, Checkpoint, Mismatch
from bankrmi.replication.record import DONE, Record, entries_of
from bankrmi.replication.settings import Settings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Follower"]

PROBE_AGAIN_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Waits before the first, second, ... look at a primary that neither answers nor is refused."""

_TOLD_AT_MOST = 20
"""Requests that a line of the log names; all of them are in the file of what was rolled back."""

HELD_LIMIT = 4096
"""Client requests that may wait while a standby looks whether the primary is gone."""


class Follower:
    """A server while it does not lead; `view` is the newest that it knows, whenever it is asked something."""

    def __init__(self, now_ms: float, acknowledged: int = 0) -> None:
        self.acknowledged = acknowledged
        self._heard_ms = now_ms
        self._proven_gone: tuple[str, int] | None = None  # (history, epoch) whose primary is gone.
        self._refused_at: str | None = None  # What proved that; None: another process answers there.
        self._last_word_ms = float("-inf")  # When the primary was heard.
        self._looked_ms = float("-inf")  # When the newest look at it began that has ended.
        self._answers_looks = False  # The primary's process does, though it sends nothing.
        self._primarys_lease_ms: int | None = None  # As the last primary that was heard said.
        self._probing = False
        self._probes = 0
        self._held: deque[tuple[float, ClientEvent]] = deque()
        self._said_unknown = False  # That records came which this server's code does not know.

    # -- checkpoints -----------------------------------------------------------------------------

    def take(self, message: Checkpoint, step: Step) -> Acknowledged | Mismatch | None:
        """Take a checkpoint of an epoch that is not superseded (A2); return the answer to it, if there is
        one."""
        journal = step.journal
        message = matching.above_anchor(journal, message)
        if not matching.holds(journal, message.previous):
            step.commit_if_changed("checkpoint")
            return Mismatch(server=step.server, epoch=message.epoch, number=message.number, tip=step.tip)
        if self._bring_in(message, step):
            step.commit_if_changed("checkpoint")
            self._report_unknown(step)
            return None
        matched = journal.position(message.through)
        assert matched is not None
        step.commit_if_changed("checkpoint")
        self.acknowledged = min(message.acknowledged, matched.action_id)
        self._heard(message, step)
        return Acknowledged(
            server=step.server,
            history=message.history,
            epoch=message.epoch,
            incarnation=journal.incarnation,
            start_id=step.start_id,
            number=message.number,
            matched=matched.action_id,
            digest=matched.digest,
        )

    def silent_ms(self, now_ms: float) -> float:
        """Return for how long no primary was heard; one that was never heard, since this server follows."""
        return now_ms - self._heard_ms

    def _heard(self, message: Checkpoint, step: Step) -> None:
        self._heard_ms = self._last_word_ms = step.now_ms
        self._primarys_lease_ms = message.lease_ms
        self._probes = 0
        self._answers_looks = False

    def _report_unknown(self, step: Step) -> None:
        if not self._said_unknown:
            self._said_unknown = True
            code, version = step.settings.code, step.journal.version
            step.report(
                "takes nothing its code does not know",
                knows=list(code[:2]),
                state_version=version_in_words(version),
            )

    def _bring_in(self, message: Checkpoint, step: Step) -> bool:
        """Make the journal hold the records, and nothing that the primary cannot have (A3).

        Return whether that is refused, since this server's code does not know what is new (S5).
        """
        journal = step.journal
        news = matching.without_known(journal, message.records)
        pieces = _up_to_migrations(news)
        if pieces and not _knows(pieces[0], step):
            return True
        if news and news[0].first_id <= step.tip:
            self._roll_back(news[0].first_id - 1, "they conflict with the primary's", step)
        keep = max(message.base.action_id, message.through)
        if journal.tip.epoch < message.epoch and step.tip > keep:
            self._roll_back(keep, "they were never shared with the new primary", step)
        for place, piece in enumerate(pieces):
            if place and not _knows(piece, step):
                return True
            journal.append(piece)
            step.changed = True
        return False

    def _roll_back(self, to: int, why: str, step: Step) -> None:
        removed = step.journal.roll_back(to)
        step.changed = True
        entries = sum(record.operation_count for record in removed)
        requests = [f"{record.session}:{record.sequence}" for record in removed[:_TOLD_AT_MOST]]
        step.report("rolled back", entries=entries, after_action_id=to, why=why, request_ids=requests)

    @property
    def may_be_folded(self) -> int:
        """Up to where records may be folded: known to be acknowledged."""
        return self.acknowledged

    def copy_installed(self) -> None:
        """Another journal is in place: of that nothing is known to be acknowledged yet."""
        self.acknowledged = 0

    # -- is the primary gone? --------------------------------------------------------------------

    def begin_following(self, view: View, step: Step) -> None:
        """A new view: its primary has as long as any to be heard; look at it if it cannot be spoken to."""
        self._heard_ms = step.now_ms
        self._answers_looks = False
        if view.primary != step.server and view.primary not in step.links:
            self._look(view, step, at_once=True)

    def link_changed(self, event: LinkChanged, view: View | None, step: Step) -> None:
        """The connection to another server is up or lost; the primary's says something about the primary."""
        if view is None or event.server != view.primary:
            return
        if event.up and event.start_id != view.start_id:
            self._proven_gone, self._refused_at = (view.history, view.epoch), None
        elif not event.up:
            self._look(view, step, at_once=True)

    def wanted_view(self, view: View, step: Step) -> View | None:
        """Return the view to follow this one, if this server is to lead in it (V1, V4)."""
        if view.primary != step.server and not self.primary_is_gone(view, step):
            return None  # As nearly always.
        if not step.is_member(view):
            return None  # V7
        if not step.may_lead:
            return None  # S5
        if view.primary == step.server:
            again = CauseKind.LED_AGAIN if view.start_id == step.start_id else CauseKind.STARTED_AGAIN
            cause = Cause(kind=again, by=step.server, of=(step.server,))
            return view.started_again(step.start_id).because(cause)  # V4
        if view.paused is not None:
            return None  # V11
        if step.journal.adopted is not None:
            return view.taken_over_by(step.server, step.start_id).because(self._why_gone(view, step))  # V1
        return None

    def knows_that_it_is_gone(self, view: View) -> bool:
        """Whether the view's primary is proven gone: by an answer, so that this server is not deaf."""
        return self._proven_gone == (view.history, view.epoch)

    def primary_is_gone(self, view: View, step: Step) -> bool:
        """Whether to propose to take over: the primary is proven gone, or was silent for a lease."""
        if self.knows_that_it_is_gone(view):
            return True
        return step.listened_ms - self._heard_ms >= self._silence_ms(step.settings)

    def was_heard(self, since_ms: float) -> bool:
        """Whether the primary has said something since."""
        return self._last_word_ms > since_ms

    def answered_look(self, since_ms: float) -> bool:
        """Whether the primary's process answered a look that began since."""
        return self._answers_looks and self._looked_ms >= since_ms

    def has_looked(self, since_ms: float, view: View, step: Step) -> bool:
        """Whether a look at the primary began since, and has ended; or none can be made.  If not, look."""
        if self._looked_ms >= since_ms or view.primary not in step.settings.others:
            return True
        self._look(view, step, at_once=True)
        return False

    def _why_gone(self, view: View, step: Step) -> Cause:
        """Return what makes this server believe that the primary is gone, or stuck (ADR 15)."""
        by, of = step.server, (view.primary,)
        if self._proven_gone == (view.history, view.epoch):
            return Cause(kind=CauseKind.CRASH, by=by, of=of, address=self._refused_at)
        kind = CauseKind.STUCK if self._answers_looks else CauseKind.SILENCE
        return Cause(kind=kind, by=by, of=of, silent_ms=round(step.listened_ms - self._heard_ms))

    def _silence_ms(self, settings: Settings) -> float:
        """After how long without a word from it the primary counts as gone: its lease, if it was heard.

        For its heartbeats fit that; and while it has a lease nobody could lead in its place.
        """
        lease_ms = self._primarys_lease_ms
        if lease_ms is None:
            return settings.silence_ms
        return lease_ms or 2 * settings.checkpoint_timeout_ms

    def is_silent(self, step: Step) -> bool:
        """Whether the primary missed a few heartbeats: worth looking at it, and at the view."""
        return step.listened_ms - self._heard_ms >= 3 * step.settings.heartbeat_ms

    def _look(self, view: View | None, step: Step, *, at_once: bool = False) -> None:
        """Probe the primary, unless a probe is on its way."""
        if self._probing or view is None or view.primary not in step.settings.others:
            return
        delay = 0.0 if at_once else PROBE_AGAIN_MS[min(self._probes, len(PROBE_AGAIN_MS) - 1)]
        self._probes += 1
        self._probing = True
        step.do(Probe(view.primary, view.epoch, delay))

    def probed(self, event: Probed, view: View | None, step: Step) -> None:
        """The primary was refused, answered as some process, or did neither."""
        self._probing = False
        if view is None or (event.server, event.epoch) != (view.primary, view.epoch):
            return
        self._looked_ms = event.begun_ms
        refused = event.refused and step.settings.refused_means_gone
        self._answers_looks = event.start_id == view.start_id
        if refused or (event.start_id is not None and event.start_id != view.start_id):
            self._proven_gone = (view.history, view.epoch)
            self._refused_at = event.address if refused else None
        elif event.start_id is not None and not self.is_silent(step):
            for held in self.take_held():
                step.send_on(held.token, view, undecided=True)

    # -- clients that came to the wrong server ---------------------------------------------------

    def hold(self, event: ClientEvent, view: View | None, step: Step) -> None:
        """A client asks here: perhaps it knows that the primary is gone.  Look before answering."""
        if not step.is_member(view):
            step.send_on(event.token, view, undecided=True)
        elif len(self._held) >= HELD_LIMIT:
            step.answer(event.token, IsBusy())
        else:
            self._held.append((step.now_ms, event))
            self._look(view, step, at_once=True)

    def forget(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers any more."""
        self._held = deque(one for one in self._held if one[1].token not in tokens)

    def turn_away(self, tokens: Collection[Any], step: Step) -> None:
        """Nobody leads, as far as is known here, and these have not much time left."""
        late = [event.token for _, event in self._held if event.token in tokens]
        self.forget(late)
        for token in late:
            step.answer(token, IsBusy())

    def take_held(self) -> list[ClientEvent]:
        """Return the clients that wait here, to be served or sent on; they no longer wait here."""
        held = [event for _, event in self._held]
        self._held.clear()
        return held

    def tick(self, view: View | None, step: Step) -> None:
        """Look again at a primary that is not heard; let nobody wait for ever."""
        patience_ms = 2 * self._silence_ms(step.settings)
        while self._held and step.now_ms - self._held[0][0] >= patience_ms:
            step.send_on(self._held.popleft()[1].token, view, undecided=True)
        if view is None or view.primary == step.server:
            return
        if self.is_silent(step) or view.primary not in step.links:
            self._look(view, step)
        elif self._held:
            self._look(view, step, at_once=True)


def _up_to_migrations(records: Sequence[Record]) -> list[Sequence[Record]]:
    """Return the same in pieces, each but the last of which ends with a migration.

    What version there is after it is known when it is done: it may have failed.
    """
    ends = [end for end, record in enumerate(records, 1) if record.session.startswith(MIGRATIONS)]
    begins = [0, *ends]
    pieces = [records[begin:end] for begin, end in zip(begins, [*ends, len(records)], strict=True)]
    return [piece for piece in pieces if piece]


def _knows(records: Sequence[Record], step: Step) -> bool:
    """Whether this server's code can do what these records say, from the state that it has (S5).

    A migration that failed has done nothing, and whoever cannot do it can do that, too: after one, people go
    back to the code before.
    """
    code, version = step.settings.code, step.journal.version_at(min(step.tip, records[0].first_id - 1))
    for record in records:
        migration = migration_of(record.session) if record.session.startswith(MIGRATIONS) else None
        if migration is not None:
            if not (code.makes(*migration, version) or _came_to_nothing(record)):
                return False
        elif not (code.runs(version) or record.cancelled):
            return False
    return True


def _came_to_nothing(record: Record) -> bool:
    return all(entry.status != DONE for entry in entries_of([record]))
