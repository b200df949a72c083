"""Reading and following the view.  Rules V6 and V9.

Rule 1: the view is followed as it is learned; what a proposal was meant to do does not matter (V6).
Rule 2: only a reading that began after an epoch was adopted says anything about that epoch.
Rule 3: a server that holds something and finds no view, or an older one, holds still: the witness has
        lost its memory, and nobody knows who may lead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bankrmi.replication.effects import Answer, ReadView, Report
from bankrmi.replication.events import CoordinatorSilent, Proposed, ViewRead
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["Viewing"]

REMEDY = "run `bankrmi witness restore`"

NEWS_BEACONS = 20
"""A server that is well reads the view once in so many beacons (V6)."""


class Viewing:
    """What one server knows of the view."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.view: View | None = None
        self.last_view: View | None = None  # What it was when the witness lost its memory.
        self._may_have_moved_on = True  # From there, by a proposal that won unheard.
        self.still = False
        self._reading = False
        self._only_for_news = False  # The reading on its way was begun without a reason to doubt the view.
        self._read_ms = float("-inf")
        self._unanswered_since_ms: float | None = None
        self._waits_for_witness = False
        self._asked_to_hold_still: list[Any] = []

    # -- asking ----------------------------------------------------------------------------------

    def poll(self, every_ms: float) -> None:
        """Ask the coordinator, unless it was asked a moment ago."""
        if self._replica.now_ms - self._read_ms >= every_ms:
            self.read()

    def look_for_news(self) -> None:
        """Ask now and then though all is well: a proposal of a process that died may have won since, unheard.

        And that the coordinator cannot be asked is known before it is needed.
        No view, or an older one, is no news: the witness lost its memory, and a bank that is well goes on.
        """
        every_ms = NEWS_BEACONS * self._replica.settings.beacon_ms
        if not self._reading and self._replica.now_ms - self._read_ms >= every_ms:
            self.read()
            self._only_for_news = True

    def read(self) -> None:
        """Ask the coordinator, unless a reading is on its way."""
        self._only_for_news = False
        if self._reading:
            return
        self._reading = True
        self._read_ms = self._replica.now_ms
        adopted = self._replica.journal.adopted
        self._replica.effects.append(ReadView(adopted.epoch if adopted is not None else 0))

    @property
    def is_reading(self) -> bool:
        """Whether the coordinator was asked and has not answered yet."""
        return self._reading

    @property
    def unanswered_ms(self) -> float:
        """For how long the coordinator has answered nothing that it was asked."""
        since_ms = self._unanswered_since_ms
        return 0.0 if since_ms is None else self._replica.now_ms - since_ms

    def silence_lately_ms(self, lately_ms: float) -> float:
        """Return the same for people: 0 if it was not asked lately, for then nobody knows."""
        return self.unanswered_ms if self._replica.now_ms - self._read_ms <= lately_ms else 0.0

    # -- learning --------------------------------------------------------------------------------

    def take_reading(self, event: ViewRead) -> None:
        """The coordinator answered a reading."""
        self._reading = False
        self._unanswered_since_ms = None
        self._replica.believing.witness_says(event.view)
        adopted = self._replica.journal.adopted
        current = adopted is None or (event.since_epoch >= adopted.epoch and not self._only_for_news)
        if event.view is None:
            if adopted is None:
                self._forget()
                self._replica.first_view.seen_no_view = True
            elif current:
                self._hold_still("the witness holds no view: it has lost its memory")
        elif adopted is not None and event.view.epoch < adopted.epoch:
            if current:
                self._hold_still(f"the witness holds epoch {event.view.epoch}, older than {adopted.epoch}")
        else:
            if adopted is None and self.view is not None and event.view.history != self.view.history:
                self._forget()  # Restored meanwhile, perhaps with the epoch of a view that nobody adopted.
            self.learn(event.view)
        self._answer_hold_still()

    def take_decision(self, event: Proposed) -> None:
        """The coordinator answered a proposal, with the view as it is now."""
        self._unanswered_since_ms = None
        self._replica.believing.decided(event.view)
        epoch = event.view.epoch if event.view is not None else 0
        sound = self._replica.proposals.answered(epoch)
        if event.view is not None and sound:
            self.learn(event.view)
        elif self._replica.journal.adopted is not None:
            self._hold_still("the witness no longer holds the view: it has lost its memory")

    def take_silence(self, event: CoordinatorSilent) -> None:
        """The coordinator did not answer: that says nothing about the view."""
        if self._unanswered_since_ms is None:
            self._unanswered_since_ms = self._replica.now_ms
        if event.proposal:
            self._replica.proposals.unanswered(self._replica.now_ms, sent=event.sent)
        else:
            self._reading = False
            self._replica.believing.witness_says(None)
            self._report_silence()
            self._answer_hold_still()

    def _report_silence(self) -> None:
        """Say once that a server that just started waits for the witness."""
        if self._replica.is_starting and not self.still and not self._waits_for_witness:
            self._waits_for_witness = True
            why = "nobody may lead before the view is known"
            self._replica.effects.append(Report("waiting", {"for": ["the witness"], "why": why}))

    def take_news(self, view: View) -> None:
        """Another server says that it leads, or who does.

        An empty server believes nobody but the witness: on the disk that it lost it may have gone on alone,
        and the primary before does not know that it was deposed. Its copy would hide that there was more.
        And whatever anybody says of an epoch that is far from what is known is looked up.
        """
        if self._replica.journal.adopted is None or not self._replica.believing.may_be(view.epoch):
            self.read()
        else:
            self.learn(view)

    def learn(self, view: View) -> None:
        """Follow a view that is newer than the one known; whoever won it, for whatever reason."""
        adopted = self._replica.journal.adopted
        if self.view is not None and view.epoch <= self.view.epoch:
            return
        if adopted is not None and view.epoch < adopted.epoch:
            return
        self.view = view
        self.still = False
        self._replica.proposals.epoch_moved(view.epoch)
        self._replica.follow(view)

    # -- holding still (V9) ----------------------------------------------------------------------

    def _forget(self) -> None:
        """An empty server: what it has heard of a view counts no more than what the witness says now."""
        if self.view is not None:
            self.view = None
            self._replica.first_view.forget()
            self._replica.stand_down("the view that it knew is gone")

    def _hold_still(self, why: str) -> None:
        """Answer nobody until there is a view again."""
        if self.still:
            return
        self.still = True
        self._may_have_moved_on = not self._proposed_nothing_since(self.view)
        self._replica.stand_down(why)
        self.last_view, self.view = self.view, None
        self._replica.effects.append(Report("nobody can lead", {"why": why, "remedy": REMEDY}))

    def _proposed_nothing_since(self, view: View | None) -> bool:
        """Whether neither this process nor one before it has proposed anything from this view that may win.

        One before it can have led in this view only if this one did not win it.
        """
        replica = self._replica
        led_before = view is not None and view.primary == replica.settings.server
        won_by_us = view is not None and view.start_id == replica.start_id
        return replica.proposals.settled and (won_by_us or not led_before)

    def heard_leader(self) -> None:
        """Somebody leads an epoch that is not superseded: no reason to hold still."""
        self.still = False

    def hold_still_asked(self, token: Any) -> None:
        """An operator is about to restore the witness: look for a view, and tell what this server holds."""
        self._asked_to_hold_still.append(token)
        self.read()

    def _answer_hold_still(self) -> None:
        tokens, self._asked_to_hold_still = self._asked_to_hold_still, []
        for token in tokens:
            self._replica.effects.append(Answer(token, self.holdings()))

    def _waits_for_a_first_view(self) -> bool:
        """It is empty, has seen that there is no view, and makes none while others hold something."""
        replica = self._replica
        empty = replica.journal.adopted is None and self.view is None
        return empty and replica.first_view.seen_no_view and not replica.first_view.may_yet_be_made

    def holdings(self) -> Holdings:
        """Return what this server holds, for those who look for the newest copy.

        Without holding still: what it remembers of the view is what it would remember if it held still now.
        """
        replica = self._replica
        adopted = replica.journal.adopted
        last_view, may_have_moved_on = self.last_view, self._may_have_moved_on
        if self.view is not None:
            last_view, may_have_moved_on = self.view, not self._proposed_nothing_since(self.view)
        return Holdings(
            server=replica.settings.server,
            incarnation=replica.journal.incarnation,
            start_id=replica.start_id,
            history=adopted.history if adopted is not None else None,
            epoch=adopted.epoch if adopted is not None else 0,
            primary=adopted.primary if adopted is not None else None,
            tip=replica.journal.tip,
            still=self.still or self._waits_for_a_first_view(),
            last_view=last_view,
            may_have_moved_on=may_have_moved_on,
        )
