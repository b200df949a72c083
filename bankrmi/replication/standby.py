"""Following: taking checkpoints, noticing that the primary is gone.  Rules A2, A3, A5, V1, V7.

Rule 1: a checkpoint is acknowledged only behind the `Commit` of all that it changed.
Rule 2: records are removed only if they conflict, or are above `base` and of an older epoch (A3).
Rule 3: believing the primary gone costs nothing but a proposal; only `lease` decides who may lead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from bankrmi.replication.effects import Answer, IsBusy, Probe, Report
from bankrmi.replication.events import LinkChanged, OutcomeAsked, Probed, ReadArrived, RequestArrived
from bankrmi.replication.messages import Acknowledged, Checkpoint, Mismatch
from bankrmi.replication.record import Position, Record
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["Standby"]

PROBE_AGAIN_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Waits before the first, second, ... look at a primary that neither answers nor is refused."""

HELD_LIMIT = 4096
"""Client requests that may wait while a standby looks whether the primary is gone."""


class Standby:
    """A server while it does not lead."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.heard_ms = replica.now_ms
        self.acknowledged = 0
        self.proven_gone: tuple[str, int] | None = None  # (history, epoch) whose primary is gone.
        self._primarys_lease_ms: int | None = None  # As the last primary that was heard said.
        self._probing = False
        self._probes = 0
        self._held: deque[tuple[float, RequestArrived | OutcomeAsked | ReadArrived]] = deque()

    # -- checkpoints -----------------------------------------------------------------------------

    def take(self, token: Any, message: Checkpoint) -> None:
        """Take a checkpoint of an epoch that is not superseded (A2); answer it."""
        replica, journal = self.replica, self.replica.journal
        if not self._holds(message.previous):
            replica.commit_if_changed("checkpoint")
            tip = journal.tip.action_id
            replica.effects.append(
                Answer(
                    token,
                    Mismatch(
                        server=replica.settings.server, epoch=message.epoch, number=message.number, tip=tip
                    ),
                )
            )
            return
        self._bring_in(message)
        matched = journal.position(message.through)
        assert matched is not None
        replica.commit_if_changed("checkpoint")
        self.acknowledged = min(message.acknowledged, matched.action_id)
        granted_ms = replica.correspondence.granted_by(message)
        replica.grants.acknowledged(message.primary, message.start_id, replica.now_ms, granted_ms)
        self._heard(message)
        replica.effects.append(
            Answer(
                token,
                Acknowledged(
                    server=replica.settings.server,
                    history=message.history,
                    epoch=message.epoch,
                    incarnation=journal.incarnation,
                    start_id=replica.start_id,
                    number=message.number,
                    matched=matched.action_id,
                    digest=matched.digest,
                ),
            )
        )

    def contradiction(self, message: Checkpoint) -> str | None:
        """A3: return why the records cannot be: two different ones of an epoch at one action id."""
        journal = self.replica.journal
        if not message.records or message.previous.action_id >= journal.tip.action_id:
            return None
        news = self._without_known(message.records) if self._holds(message.previous) else []
        known = journal.holding(news[0].first_id) if news else None
        if known is None or known.epoch != news[0].epoch:
            return None
        return (
            f"two different requests of epoch {known.epoch} at action id {news[0].first_id}: "
            f"ours, and one from {message.primary}"
        )

    def _holds(self, position: Position) -> bool:
        """Whether this journal is the same as another one up to there."""
        return self.replica.journal.position(position.action_id) == position

    def _heard(self, message: Checkpoint) -> None:
        self.heard_ms = self.replica.now_ms
        self._primarys_lease_ms = message.lease_ms
        self._probes = 0

    def _bring_in(self, message: Checkpoint) -> None:
        """Make the journal hold the records, and nothing that the primary cannot have (A3)."""
        journal = self.replica.journal
        news = self._without_known(message.records)
        if news and news[0].first_id <= journal.tip.action_id:
            self._roll_back(news[0].first_id - 1, "they conflict with the primary's")
        keep = max(message.base.action_id, message.through)
        if journal.tip.epoch < message.epoch and journal.tip.action_id > keep:
            self._roll_back(keep, "they were never shared with the new primary")
        if news:
            journal.append(news)
            self.replica.changed = True

    def _without_known(self, records: Sequence[Record]) -> list[Record]:
        """Return what is left of the records after those that the journal holds just so."""
        journal = self.replica.journal
        for index, record in enumerate(records):
            if journal.position(record.action_id) != record.position:
                return list(records[index:])
        return []

    def _roll_back(self, to: int, why: str) -> None:
        removed = self.replica.journal.roll_back(to)
        self.replica.changed = True
        entries = sum(record.operation_count for record in removed)
        self.replica.effects.append(
            Report("rolled back", {"entries": entries, "after_action_id": to, "why": why})
        )

    def begin_following(self, view: View) -> None:
        """A new view: its primary has as long as any to be heard; look at it if it cannot be spoken to."""
        self.heard_ms = self.replica.now_ms
        if view.primary != self.replica.settings.server and view.primary not in self.replica.links:
            self.look(at_once=True)

    def link_changed(self, event: LinkChanged) -> None:
        """The connection to another server is up or lost; the primary's says something about the primary."""
        view = self.replica.view
        if view is None or event.server != view.primary:
            return
        if event.up and event.start_id != view.start_id:
            self.proven_gone = (view.history, view.epoch)
        elif not event.up:
            self.look(at_once=True)

    # -- is the primary gone? --------------------------------------------------------------------

    def primary_is_gone(self) -> bool:
        """Whether to propose to take over: the primary is proven gone, or was silent for a lease."""
        replica = self.replica
        view = replica.view
        if view is None:
            return False
        if self.proven_gone == (view.history, view.epoch):
            return True
        return replica.listened_ms - self.heard_ms >= self.silence_ms

    @property
    def silence_ms(self) -> float:
        """After how long without a word from it the primary counts as gone: its lease, if it was heard.

        For its beacons fit that; and while it has a lease nobody could lead in its place.
        """
        settings, lease_ms = self.replica.settings, self._primarys_lease_ms
        if lease_ms is None:
            return settings.silence_ms
        return lease_ms or 2 * settings.checkpoint_timeout_ms

    def is_silent(self) -> bool:
        """Whether the primary missed a few beacons: worth looking at it, and at the view."""
        return self.replica.listened_ms - self.heard_ms >= 3 * self.replica.settings.beacon_ms

    def look(self, *, at_once: bool = False) -> None:
        """Probe the primary, unless a probe is on its way."""
        replica = self.replica
        view = replica.view
        if self._probing or view is None or view.primary not in replica.settings.others:
            return
        delay = 0.0 if at_once else PROBE_AGAIN_MS[min(self._probes, len(PROBE_AGAIN_MS) - 1)]
        self._probes += 1
        self._probing = True
        replica.effects.append(Probe(view.primary, view.epoch, delay))

    def probed(self, event: Probed) -> None:
        """The primary was refused, answered as some process, or did neither."""
        view = self.replica.view
        self._probing = False
        if view is None or (event.server, event.epoch) != (view.primary, view.epoch):
            return
        refused = event.refused and self.replica.settings.refused_means_gone
        if refused or (event.start_id is not None and event.start_id != view.start_id):
            self.proven_gone = (view.history, view.epoch)
        elif event.start_id is not None and not self.is_silent():
            self._send_on_held()

    # -- clients that came to the wrong server ---------------------------------------------------

    def hold(self, event: RequestArrived | OutcomeAsked | ReadArrived) -> None:
        """A client asks here: perhaps it knows that the primary is gone.  Look before answering."""
        replica = self.replica
        view = replica.view
        if view is None or not view.names(replica.settings.server, replica.journal.incarnation):
            replica.answer_not_leading(event.token, undecided=True)
        elif len(self._held) >= HELD_LIMIT:
            replica.effects.append(Answer(event.token, IsBusy()))
        else:
            self._held.append((replica.now_ms, event))
            self.look(at_once=True)

    def forget(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers any more."""
        self._held = deque(one for one in self._held if one[1].token not in tokens)

    def turn_away(self, tokens: Collection[Any]) -> None:
        """Nobody leads, as far as is known here, and these have not much time left."""
        late = [event.token for _, event in self._held if event.token in tokens]
        self.forget(late)
        self.replica.effects += [Answer(token, IsBusy()) for token in late]

    def _send_on_held(self) -> None:
        for event in self.take_held():
            self.replica.answer_not_leading(event.token, undecided=True)

    def take_held(self) -> list[RequestArrived | OutcomeAsked | ReadArrived]:
        """Return the clients that wait here, to be served or sent on; they no longer wait here."""
        held = [event for _, event in self._held]
        self._held.clear()
        return held

    def tick(self) -> None:
        """Look again at a primary that is not heard; let nobody wait for ever."""
        replica = self.replica
        view = replica.view
        patience_ms = 2 * self.silence_ms
        while self._held and replica.now_ms - self._held[0][0] >= patience_ms:
            replica.answer_not_leading(self._held.popleft()[1].token, undecided=True)
        if view is None or view.primary == replica.settings.server:
            return
        if self.is_silent() or view.primary not in replica.links:
            self.look()
        elif self._held:
            self.look(at_once=True)
