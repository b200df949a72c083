"""One server's rules, as a function: an event and the time in, effects out.

This file owns the role and the changes of it.  `primary`, `standby`, `joining` and `first_view` are what a
server does in each; `viewing` and `correspondence` bring in what others say; `lease` knows when it may be.

Rule 1: `step` reads no clock, opens no socket, starts no task, and waits for nothing.
Rule 2: a server leads an epoch only after it has won it, has waited for the leases it granted, and has
        adopted the epoch durably, in this order (R3, A2).
Assumption: the caller carries out the effects of a step in order, before the next step (see `effects`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.believing import Believing
from bankrmi.replication.correspondence import Correspondence
from bankrmi.replication.effects import (
    Answer,
    Commit,
    Effect,
    NotLeading,
    Propose,
    Refusal,
    Report,
    Send,
    Stop,
)
from bankrmi.replication.events import (
    AnswerArrived,
    CallersGone,
    CoordinatorSilent,
    CopyEnded,
    CopyInstalled,
    Event,
    LinkChanged,
    MessageArrived,
    OutcomeAsked,
    Overdue,
    Probed,
    Proceed,
    Proposed,
    ReadArrived,
    RequestArrived,
    StopAsked,
    SwitchoverAsked,
    Tick,
    ViewRead,
)
from bankrmi.replication.first_view import FirstView, new_id
from bankrmi.replication.joining import Joiner
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.leading import Leader
from bankrmi.replication.lease import Grants, binding_ms
from bankrmi.replication.links import Links
from bankrmi.replication.messages import LeaveRequest, ViewNews
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.settings import Settings
from bankrmi.replication.standby import Standby
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.replication.viewing import Viewing

__all__ = ["Replica", "Role"]


class Role(Enum):
    """What a server is, for people and for the tags of its name."""

    STARTING = "starting"
    JOINING = "joining"
    STANDBY = "standby"
    PRIMARY = "primary"


LEGAL_ROLE_CHANGES = {
    Role.STARTING: frozenset({Role.JOINING, Role.STANDBY, Role.PRIMARY}),
    Role.JOINING: frozenset({Role.STANDBY, Role.STARTING}),
    Role.STANDBY: frozenset({Role.PRIMARY, Role.JOINING, Role.STARTING}),
    Role.PRIMARY: frozenset({Role.STANDBY}),  # Deposed: what it did not share is rolled back.
}
"""STARTING again: the witness has lost its memory, and nobody knows who may lead (V9)."""


class Replica:
    """The rules of one server process; `step` is the way in."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        *,
        start_id: str,
        now_ms: float,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.start_id = start_id
        self.new_id = new_id
        self.now_ms = now_ms
        self.listened_ms = now_ms  # All that had arrived by then was read: nobody is silent beyond it.
        self.effects: list[Effect] = []
        self.changed = False  # Something was written since the last `Commit`.
        self.role = Role.STARTING
        self.role_since_ms = now_ms
        self.links = Links(settings)
        self.won: View | None = None  # Won, and not led yet: the leases that were granted are not over.
        self.stopping = False
        self.grants = self._first_grants()
        self.proposals = Proposals()
        self.believing = Believing(self)
        self.viewing = Viewing(self)
        self.correspondence = Correspondence(self)
        self.primary: Leader | None = None
        self.standby = Standby(self)
        self.joiner = Joiner(self)
        self.first_view = FirstView(self)
        self._handlers = self._event_handlers()

    def _first_grants(self) -> Grants:
        """What the process before this one acknowledged, and when, is not known any more (R3).

        Unless it led: then it had waited for all of that, and acknowledged nothing since.
        """
        settings, adopted = self.settings, self.journal.adopted
        grants = Grants()
        if adopted is not None and adopted.primary != settings.server:
            length_ms = adopted.granted_ms
            if length_ms is None:  # By a version in which both were taken for equal.
                length_ms = binding_ms(settings.lease_ms, settings.drift_ms)
            grants.started(
                settings.others,
                self.now_ms,
                length_ms,
                last_primary=adopted.primary,
                last_start_id=adopted.start_id,
            )
        return grants

    def _event_handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            RequestArrived: self._request_arrived,
            OutcomeAsked: self._request_arrived,
            ReadArrived: self._read_arrived,
            CallersGone: self._callers_gone,
            Overdue: self._overdue,
            Proceed: self._proceed,
            AnswerArrived: self.correspondence.take_answer,
            MessageArrived: self.correspondence.take_message,
            Tick: self._tick,
            LinkChanged: self._link_changed,
            Probed: self._probed,
            ViewRead: self.viewing.take_reading,
            Proposed: self.viewing.take_decision,
            CoordinatorSilent: self.viewing.take_silence,
            CopyEnded: self._copy_ended,
            CopyInstalled: self._copy_installed,
            SwitchoverAsked: self._switchover_asked,
            StopAsked: self._stop_asked,
        }

    def step(self, event: Event, *, now_ms: float) -> list[Effect]:
        """Take one event; return what is to be done, in order.  Raises BrokenInvariant (rule F3)."""
        self.now_ms = now_ms
        self.effects = []
        self._handlers[type(event)](event)
        if type(event) not in _CHANGES_NO_ROLE:
            self._reconsider()
        return self.effects

    @property
    def now(self) -> Step:
        return Step(
            self.settings,
            self.start_id,
            self.journal,
            self.links,
            self.proposals,
            self.now_ms,
            self.listened_ms,
            self.effects,
        )

    @property
    def view(self) -> View | None:
        """The newest view known."""
        return self.viewing.view

    @property
    def is_starting(self) -> bool:
        """Whether this server does not know yet what it is."""
        return self.role is Role.STARTING

    def is_member(self, view: View | None) -> bool:
        """Whether the view names this server, with the disk that it has."""
        return view is not None and view.names(self.settings.server, self.journal.incarnation)

    def commit_if_changed(self, purpose: str) -> None:
        """Ask for a commit if anything was written since the last one."""
        if self.changed:
            self.changed = False
            self.effects.append(Commit(purpose))

    # -- clients ---------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether a `Proceed` would do something now."""
        return self.primary is not None and self.primary.has_work(self.now)

    def _request_arrived(self, event: RequestArrived | OutcomeAsked) -> None:
        if self.primary is not None:
            self.primary.accept(event, self.now)
        else:
            self.standby.hold(event)

    def _read_arrived(self, event: ReadArrived) -> None:
        if self.primary is not None:
            self.primary.read(event, self.now)
        else:
            self.standby.hold(event)

    def _callers_gone(self, event: CallersGone) -> None:
        if self.primary is not None:
            self.primary.forget(event.tokens)
        self.standby.forget(event.tokens)

    def _overdue(self, event: Overdue) -> None:
        if self.primary is not None:
            self.primary.turn_away(event.tokens, self.now)
        self.standby.turn_away(event.tokens)

    def _proceed(self, event: Proceed) -> None:
        if self.primary is not None:
            self.primary.proceed(event.time_us, self.now)

    def answer_not_leading(self, token: Any, *, undecided: bool) -> None:
        """Send a client on to whoever leads."""
        view = self.view
        known = view.primary if view is not None and view.primary != self.settings.server else None
        self.effects.append(Answer(token, NotLeading(known, undecided)))

    # -- connections and time --------------------------------------------------------------------

    def _link_changed(self, event: LinkChanged) -> None:
        if event.up and event.start_id is not None:
            self.links.up(event, event.start_id)
            self.grants.answered(event.server, event.start_id, event.begun_ms)
            if self.view is not None and self.view.primary == event.server:
                self.joiner.begin_again()
        else:
            self.links.down(event.server)
        if self.primary is not None:
            self.primary.link_changed(event, self.now)
        else:
            self.standby.link_changed(event)

    def _probed(self, event: Probed) -> None:
        if event.refused and self.settings.refused_means_gone:
            self.grants.refused(event.server, event.begun_ms)
        elif event.start_id is not None:
            self.grants.answered(event.server, event.start_id, event.begun_ms)
        if self.primary is not None:
            self.primary.probed(event)
        self.standby.probed(event)

    def _tick(self, event: Tick) -> None:
        """Own lateness is not the others' silence: what came meanwhile is read before the next tick."""
        self.listened_ms = self.now_ms - event.late_ms
        if self.primary is not None:
            if self.primary.hears_everybody(self.now):
                self.viewing.look_for_news()
            else:
                self.viewing.poll(5 * self.settings.beacon_ms)
            self.primary.tick(self.now, witness_silent_ms=self.viewing.unanswered_ms)
            return
        self.standby.tick()
        if self.viewing.still:
            self.viewing.poll(5 * self.settings.beacon_ms)
        elif self.journal.adopted is None and self.view is None:
            self.first_view.tick()
        elif self.is_starting or self.standby.is_silent() or not self._follows_view():
            self.viewing.poll(self.settings.beacon_ms)
        elif not self.proposals.settled:
            self.viewing.poll(5 * self.settings.beacon_ms)  # V6: it may have won, or win yet, unheard.
        else:
            self.viewing.look_for_news()
        if self.role is Role.JOINING:
            self.joiner.tick()

    def _follows_view(self) -> bool:
        """Whether the epoch adopted is the view's, or newer."""
        adopted, view = self.journal.adopted, self.view
        return adopted is not None and view is not None and adopted.epoch >= view.epoch

    # -- the role --------------------------------------------------------------------------------

    def follow(self, view: View) -> None:
        """Become what a new view makes of this server."""
        if self._has_won(view) and self.is_member(view) and not self._has_led(view):
            if view.handed_over_by is not None:
                self.grants.handed_over(view.handed_over_by)
            self.won = view
            if self.primary is not None:
                self._lead(view)
            elif self.role is Role.JOINING:
                self._set_role(Role.STANDBY)
        else:
            self._follow_another(view)
        if self.primary is not None:
            self.primary.view_moved(self.now)

    def _has_won(self, view: View) -> bool:
        """Whether it was this process that won, not one before it (V4)."""
        return (view.primary, view.start_id) == (self.settings.server, self.start_id)

    def _has_led(self, view: View) -> bool:
        """Whether this process led that epoch, and held still since: it has to win another one (V4).

        Else a late answer to what it said then would confirm a read that arrived now.
        """
        adopted = self.journal.adopted
        return adopted is not None and (adopted.history, adopted.epoch, adopted.start_id) == (
            view.history,
            view.epoch,
            self.start_id,
        )

    def _follow_another(self, view: View) -> None:
        if self.primary is not None:
            if view.handed_over_by == self.settings.server:
                self.effects.append(Send(view.primary, ViewNews(view=view)))
            self._step_down(view, f"epoch {view.epoch} belongs to {view.primary}")
        if self.won is not None and self.won.epoch < view.epoch:
            self.won = None
        member = self.is_member(view)
        self._set_role(Role.STANDBY if member else Role.JOINING)
        if view.primary == self.settings.server and not member:
            why = "the view names the disk that this server has lost as the primary's"
            self.effects.append(Report("waiting", {"for": sorted(view.in_sync - {view.primary}), "why": why}))
        self.standby.begin_following(view)
        self.joiner.begin_again()

    def _lead(self, view: View) -> None:
        """Adopt the epoch that was won, durably, and begin."""
        server = self.settings.server
        adopted = Adopted(
            history=view.history,
            epoch=view.epoch,
            primary=server,
            start_id=self.start_id,
            granted_ms=0,  # All is over that was granted.
        )
        if self.journal.adopted is not None:
            self.journal.adopt(adopted)
        elif view.in_sync == {server}:
            self.journal.open(adopted)
        else:
            raise BrokenInvariant(f"an empty copy was named in {view!r}")
        self.changed = True
        self.commit_if_changed("lead")
        self.won = None
        again = self.primary is not None
        if self.primary is None:
            self.primary = Leader(view, self.now)
        details = {
            "epoch": view.epoch,
            "in_sync": sorted(view.in_sync),
            "action_id": self.journal.tip.action_id,
        }
        if again:
            self.effects.append(Report("view changed", details))
        self._set_role(Role.PRIMARY, **details)
        for other in self.links.servers:
            self.effects.append(Send(other, ViewNews(view=view)))
        self.primary.begin_epoch(view, self.now)
        for event in self.standby.take_held():
            self._handlers[type(event)](event)

    def give_way(self, why: str) -> None:
        """Lead no more, and claim nothing: somebody knows of a newer epoch."""
        self.won = None
        if self.primary is not None:
            self._step_down(None, why)

    def stand_down(self, why: str) -> None:
        """Be nothing until there is a view again (V9)."""
        self.give_way(why)
        self._set_role(Role.STARTING)

    def _step_down(self, view: View | None, why: str) -> None:
        primary = self.primary
        assert primary is not None
        self.primary = None
        self.standby = Standby(self)
        self.standby.acknowledged = primary.ever_acknowledged
        self._set_role(Role.STANDBY, led_epoch=primary.view.epoch, why=why)
        primary.end(view, self.view, self.now)
        self.viewing.read()

    def _set_role(self, role: Role, **details: Any) -> None:
        """Change the role, if it is another one; that is one line in the log."""
        if role is self.role:
            return
        if role not in LEGAL_ROLE_CHANGES[self.role]:
            raise BrokenInvariant(f"{self.settings.server} cannot go from {self.role.value} to {role.value}")
        self.effects.append(Report(role.value, {"was": self.role.value, **details}))
        self.role = role
        self.role_since_ms = self.now_ms

    # -- what to want ----------------------------------------------------------------------------

    def _reconsider(self) -> None:
        """Lead if the time has come; propose what is wanted now; stop if the others can go on."""
        if self.won is not None and self.primary is None and self.now_ms >= self.grants.over_at_ms():
            self._lead(self.won)
        wanted = self._wanted_view()
        if wanted is not None and self.proposals.may_propose(self.now_ms):
            self._propose(wanted)
        if self.stopping:
            self._stop_if_done()

    def _propose(self, wanted: View) -> None:
        self.proposals.proposed(wanted)
        known = self.view
        expected = (known.history, known.epoch) if known is not None else None
        self.effects.append(Propose(wanted, expected))

    def _wanted_view(self) -> View | None:
        if self.primary is not None:
            return self.primary.wanted_view(self.now)
        view = self.view
        if self.viewing.still or self.stopping or self.won is not None:
            return None
        if view is None:
            return self.first_view.wanted_view() if self.journal.adopted is None else None
        if not self.is_member(view):
            return None  # V7
        if view.primary == self.settings.server:
            return view.started_again(self.start_id)  # V4
        if self.journal.adopted is not None and self.standby.primary_is_gone():
            return view.taken_over_by(self.settings.server, self.start_id)  # V1
        return None

    # -- operators, copies -----------------------------------------------------------------------

    def _switchover_asked(self, event: SwitchoverAsked) -> None:
        if self.primary is not None:
            self.primary.begin_switchover(event, self.now)
        else:
            self.effects.append(Answer(event.token, Refusal(f"{self.settings.server} is not the primary")))

    def _stop_asked(self, _: StopAsked) -> None:
        """V10: hand over, or have the primary take this server out; then stop."""
        self.stopping = True
        view = self.view
        if self.primary is not None:
            self.primary.begin_switchover(SwitchoverAsked(None, None), self.now)
        elif view is not None and self.role is Role.STANDBY and view.primary in self.links:
            self.effects.append(
                Send(view.primary, LeaveRequest(server=self.settings.server, start_id=self.start_id))
            )

    def _stop_if_done(self) -> None:
        view = self.view
        if self.primary is not None:
            done = not self.primary.is_switching_over
        else:
            waits = view is not None and self.is_member(view) and view.primary in self.links
            done = not waits or (view is not None and view.handed_over_by == self.settings.server)
        if done:
            self.effects.append(Stop())

    def _copy_ended(self, event: CopyEnded) -> None:
        self.joiner.copy_ended(fetched=event.fetched)

    def _copy_installed(self, event: CopyInstalled) -> None:
        self.journal = event.journal
        self.standby.acknowledged = 0  # Of this journal nothing is known yet.


_CHANGES_NO_ROLE = frozenset({RequestArrived, OutcomeAsked, CallersGone, Overdue, ReadArrived, Proceed})
