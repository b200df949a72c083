"""Reading the view, and what is learned by it.  Rules V6 and V9.

Rule 1: the view is followed as it is learned; what a proposal was meant to do does not matter (V6).
Rule 2: only a reading that began after an epoch was adopted says anything about that epoch.
Rule 3: a server that holds something and finds no view, or an older one, has learned that the witness lost
        its memory: nobody knows who may lead.
Rule 4: nothing here acts on what is learned: it comes back.
"""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.replication.effects import ReadView
from bankrmi.replication.events import ViewRead
from bankrmi.replication.messages import Holdings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["REMEDY", "Finding", "Learned", "MemoryLost", "NoView", "Viewing"]

REMEDY = "run `bankrmi witness restore`"

NEWS_HEARTBEATS = 20
"""A server that is well reads the view once in this many heartbeats (V6)."""


@dataclass(frozen=True, slots=True)
class Learned:
    """There is a newer view; `anew`: what was known before is of another history, and was never adopted."""

    view: View
    anew: bool = False


@dataclass(frozen=True, slots=True)
class NoView:
    """An empty server was told that there is none; `anew`: it had heard of one, which no longer counts."""

    anew: bool


@dataclass(frozen=True, slots=True)
class MemoryLost:
    """The witness has lost its memory, as far as a server can tell that holds something (V9)."""

    why: str


Finding = Learned | NoView | MemoryLost


class Viewing:
    """What one server knows of the view."""

    def __init__(self) -> None:
        self.view: View | None = None
        self._last_view: View | None = None  # What it was when the witness lost its memory.
        self._may_have_moved_on = True  # From there, by a proposal that won unheard.
        self._reading = False
        self._only_for_news = False  # The reading on its way was begun without a reason to doubt the view.
        self._read_ms = self._answered_ms = float("-inf")
        self._unanswered_since_ms: float | None = None
        self._waits_for_witness = False

    # -- asking ----------------------------------------------------------------------------------

    def poll(self, every_ms: float, step: Step) -> None:
        """Ask the coordinator, unless it was asked a moment ago."""
        if step.now_ms - self._read_ms >= every_ms:
            self.read(step)

    def look_for_news(self, step: Step) -> None:
        """Ask now and then though all is well: a proposal of a process that died may have won since, unheard.

        And that the coordinator cannot be asked is known before it is needed.
        No view, or an older one, is not news: the witness lost its memory, and a bank that is well goes on.
        """
        every_ms = NEWS_HEARTBEATS * step.settings.heartbeat_ms
        if not self._reading and step.now_ms - self._read_ms >= every_ms:
            self.read(step)
            self._only_for_news = True

    def read(self, step: Step) -> None:
        """Ask the coordinator, unless a reading is on its way."""
        self._only_for_news = False
        if self._reading:
            return
        self._reading = True
        self._read_ms = step.now_ms
        step.do(ReadView(step.adopted_epoch))

    def hears(self, step: Step) -> bool:
        """Whether the coordinator has answered lately; if not, it is asked, once in a heartbeat.

        Where nobody listens, or we are denied, a silence comes at once, and would be the next reason to ask.
        """
        if step.now_ms - self._answered_ms <= step.settings.checkpoint_timeout_ms:
            return True
        self.poll(step.settings.heartbeat_ms, step)
        return False

    @property
    def is_reading(self) -> bool:
        """Whether the coordinator was asked and has not answered yet."""
        return self._reading

    def unanswered_ms(self, now_ms: float) -> float:
        """For how long the coordinator has answered nothing that it was asked."""
        return 0.0 if self._unanswered_since_ms is None else now_ms - self._unanswered_since_ms

    def asked_ms_ago(self, now_ms: float) -> float:
        """When the coordinator was asked last."""
        return now_ms - self._read_ms

    # -- learning --------------------------------------------------------------------------------

    def take_reading(self, event: ViewRead, step: Step) -> Finding | None:
        """The coordinator answered a reading."""
        self._reading = False
        self._unanswered_since_ms = None
        self._answered_ms = step.now_ms
        view, adopted = event.view, step.journal.adopted
        if adopted is None:
            return self._learned_empty(view, step)
        if view is not None and view.epoch >= adopted.epoch:
            return self.learn(view, step)
        if event.since_epoch < adopted.epoch or self._only_for_news:
            return None
        if view is None:
            return MemoryLost("the witness holds no view: it has lost its memory")
        return MemoryLost(f"the witness holds epoch {view.epoch}, older than {adopted.epoch}")

    def _learned_empty(self, view: View | None, step: Step) -> Finding | None:
        """An empty server: what it has heard of a view counts no more than what the witness says now."""
        known = self.view
        if view is None:
            self.view = None
            return NoView(anew=known is not None)
        if known is not None and view.history != known.history:
            self.view = view  # Restored meanwhile, perhaps with the epoch of a view that nobody adopted.
            return Learned(view, anew=True)
        return self.learn(view, step)

    def take_decision(self, view: View | None, step: Step, *, sound: bool) -> Finding | None:
        """The coordinator answered a proposal, with the view as it is now; `sound`: as it may be."""
        self._unanswered_since_ms = None
        self._answered_ms = step.now_ms
        if view is not None and sound:
            return self.learn(view, step)
        if step.journal.adopted is not None:
            return MemoryLost("the witness no longer holds the view: it has lost its memory")
        return None

    def take_silence(self, step: Step, *, reading: bool) -> None:
        """The coordinator did not answer a reading, or a proposal: that says nothing about the view."""
        if self._unanswered_since_ms is None:
            self._unanswered_since_ms = step.now_ms
        if reading:
            self._reading = False

    def report_silence(self, step: Step) -> None:
        """Say once that a server that just started waits for the witness."""
        if not self._waits_for_witness:
            self._waits_for_witness = True
            why = "nobody may lead before the view is known"
            step.report("waiting", **{"for": ["the witness"], "why": why})

    def learn(self, view: View, step: Step) -> Learned | None:
        """Note a view that is newer than the one known; whoever won it, for whatever reason."""
        if self.view is not None and view.epoch <= self.view.epoch:
            return None
        if view.epoch < step.adopted_epoch:
            return None
        self.view = view
        return Learned(view)

    # -- when the witness has lost its memory (V9) -------------------------------------------------

    def lose(self, step: Step) -> None:
        """Nobody knows the view any more: remember what it was, for those who restore it."""
        self._may_have_moved_on = not self._proposed_nothing_since(self.view, step)
        self._last_view, self.view = self.view, None

    def _proposed_nothing_since(self, view: View | None, step: Step) -> bool:
        """Whether neither this process nor one before it has proposed anything from this view that may win.

        One before it can have led in this view only if this one did not win it.
        """
        led_before = view is not None and view.primary == step.server
        won_by_us = view is not None and view.start_id == step.start_id
        return step.proposals.settled and (won_by_us or not led_before)

    def holdings(self, step: Step, *, fenced: bool) -> Holdings:
        """Return what this server holds, for those who look for the newest copy.

        Without being fenced: what it remembers of the view is what it would remember if it were fenced now.
        """
        adopted = step.journal.adopted
        last_view, may_have_moved_on = self._last_view, self._may_have_moved_on
        if self.view is not None:
            last_view, may_have_moved_on = self.view, not self._proposed_nothing_since(self.view, step)
        return Holdings(
            server=step.server,
            incarnation=step.journal.incarnation,
            start_id=step.start_id,
            history=adopted.history if adopted is not None else None,
            epoch=adopted.epoch if adopted is not None else 0,
            primary=adopted.primary if adopted is not None else None,
            tip=step.journal.tip,
            fenced=fenced,
            last_view=last_view,
            may_have_moved_on=may_have_moved_on,
            retired_for=adopted.retired_for if adopted is not None else None,
        )
