"""One server's rules, as a function: an event and the time in, effects out.

This file owns every change of role and every change of view; `primary`, `standby`, `joining` and
`first_view` say what they want, and `lease` when it may be.

Rule 1: `step` reads no clock, opens no socket, starts no task, and waits for nothing.
Rule 2: the view is followed as it is learned; what a proposal was meant to do does not matter (V6).
Rule 3: a server leads an epoch only after it has won it, has waited for the leases it granted, and has
        adopted the epoch durably, in this order (R3, A2).
Assumption: the caller carries out the effects of a step in order, before the next step (see `effects`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from bankrmi.errors import BrokenInvariant
from bankrmi.replication import joining
from bankrmi.replication.effects import (
    Answer,
    Commit,
    Effect,
    NotLeading,
    Propose,
    ReadView,
    Refusal,
    Report,
    Send,
    Stop,
)
from bankrmi.replication.events import (
    AnswerArrived,
    CoordinatorSilent,
    CopyEnded,
    CopyInstalled,
    Event,
    LinkChanged,
    MessageArrived,
    OutcomeAsked,
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
from bankrmi.replication.lease import Grants
from bankrmi.replication.messages import (
    Acknowledged,
    Census,
    Checkpoint,
    Holdings,
    HoldStill,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Mismatch,
    Superseded,
    ViewNews,
)
from bankrmi.replication.primary import Primary
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.settings import Settings
from bankrmi.replication.standby import Standby, adopted_from
from bankrmi.replication.view import View

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
    Role.PRIMARY: frozenset({Role.STANDBY, Role.JOINING, Role.STARTING}),
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
        self.effects: list[Effect] = []
        self.changed = False
        self.role = Role.STARTING
        self.role_since_ms = now_ms
        self.view: View | None = None
        self.last_view: View | None = None  # What it was when the witness lost its memory.
        self.links: dict[str, str] = {}
        self.grants = Grants(lease_ms=settings.lease_ms, drift_ms=settings.drift_ms)
        self.proposals = Proposals()
        self.primary: Primary | None = None
        self.standby = Standby(self)
        self.joiner = Joiner(self)
        self.first_view = FirstView(self)
        self.stopping = False
        self.still = False
        self._won: View | None = None
        self._reading = False
        self._read_ms = float("-inf")
        self._hold_still_tokens: list[Any] = []
        self._leave_tokens: list[tuple[str, Any]] = []
        adopted = journal.adopted
        if adopted is not None and adopted.primary != settings.server:
            self.grants.started(
                settings.others, now_ms, last_primary=adopted.primary, last_start_id=adopted.start_id
            )
        self._handlers: dict[type, Callable[[Any], None]] = {
            RequestArrived: self._request_arrived,
            OutcomeAsked: self._request_arrived,
            ReadArrived: self._read_arrived,
            Proceed: self._proceed,
            AnswerArrived: self._answer_arrived,
            MessageArrived: self._message_arrived,
            Tick: self._tick,
            LinkChanged: self._link_changed,
            Probed: self._probed,
            ViewRead: self._view_read,
            Proposed: self._proposed,
            CoordinatorSilent: self._coordinator_silent,
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
        if not isinstance(event, (RequestArrived, ReadArrived, Proceed)):
            self._reconsider()
        return self.effects

    # -- clients ---------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether a `Proceed` would do something now."""
        return self.primary is not None and self.primary.has_work

    def _request_arrived(self, event: RequestArrived | OutcomeAsked) -> None:
        if self.primary is not None:
            self.primary.accept(event)
        else:
            self.standby.hold(event)

    def _read_arrived(self, event: ReadArrived) -> None:
        if self.primary is not None:
            self.primary.read(event)
        else:
            self.standby.hold(event)

    def _proceed(self, event: Proceed) -> None:
        if self.primary is not None:
            self.primary.proceed(event.time_us)

    def answer_not_leading(self, token: Any) -> None:
        """Send a client on to whoever leads."""
        view = self.view
        known = view.primary if view is not None and not self.still else None
        self.effects.append(Answer(token, NotLeading(known if known != self.settings.server else None)))

    # -- other servers ---------------------------------------------------------------------------

    def _message_arrived(self, event: MessageArrived) -> None:
        match event.message:
            case Checkpoint():
                self._checkpoint_arrived(event.token, event.message)
            case JoinRequest():
                self._join_asked(event.token, event.message)
            case LeaveRequest(server=server):
                self._leave_asked(event.token, server)
            case ViewNews(view=view):
                self._learn(view)
                self.effects.append(Answer(event.token, None))
            case Census():
                self.effects.append(Answer(event.token, self.holdings()))
            case HoldStill():
                self._hold_still_tokens.append(event.token)
                self.read_view()

    def _checkpoint_arrived(self, token: Any, message: Checkpoint) -> None:
        adopted = self.journal.adopted
        if adopted is None:
            self.effects.append(Answer(token, None))  # Empty: a copy has to come first.
            return
        known = self.view is not None and self.view.history == message.history
        if message.history != adopted.history and not known:
            self.read_view()
            self._supersede(token, message, adopted.history, adopted.epoch)
            return
        floor = max(adopted.epoch, self._won.epoch if self._won is not None else 0)
        if message.epoch < floor:
            self._supersede(token, message, adopted.history, floor)
            return
        if message.epoch == floor:
            self._check_one_leader(message, adopted)
        else:
            if self.primary is not None:
                self._step_down(None, "another server leads a newer epoch")
            self._won = None
            self.journal.adopt(adopted_from(message))
            self.changed = True
        if self.still:
            self.still = False
        self.standby.take(token, message)
        if self.role is Role.STARTING or self.view is None or self.view.epoch < message.epoch:
            self.read_view()

    def _check_one_leader(self, message: Checkpoint, adopted: Adopted) -> None:
        ours = self._won is not None or self.primary is not None
        if ours or (message.primary, message.start_id) != (adopted.primary, adopted.start_id):
            raise BrokenInvariant(f"two processes lead epoch {message.epoch}: one is {message.primary}")

    def _supersede(self, token: Any, message: Checkpoint, history: str, epoch: int) -> None:
        self.effects.append(
            Answer(
                token,
                Superseded(server=self.settings.server, history=history, epoch=epoch, number=message.number),
            )
        )

    def _join_asked(self, token: Any, request: JoinRequest) -> None:
        if self.primary is not None:
            joining.admit(self.primary, token, request)
        else:
            answer = JoinAnswer(server=self.settings.server, number=request.number, outcome="not_primary")
            self.effects.append(Answer(token, answer))

    def _leave_asked(self, token: Any, server: str) -> None:
        peer = self.primary.peers.get(server) if self.primary is not None else None
        can_go = self.primary is not None and len(self.primary.view.in_sync) > self.settings.copies_min
        if self.primary is None or peer is None or server not in self.primary.view.in_sync or not can_go:
            self.effects.append(Answer(token, None))
            return
        peer.leaving = True
        self._leave_tokens.append((server, token))

    def _answer_leavers(self) -> None:
        """Tell those who asked to be taken out that the view has moved, whatever became of it."""
        for _, token in self._leave_tokens:
            self.effects.append(Answer(token, None))
        self._leave_tokens = []

    def _answer_arrived(self, event: AnswerArrived) -> None:
        match event.answer:
            case Acknowledged() if self.primary is not None:
                self.primary.take_acknowledgement(event.answer)
            case Mismatch() if self.primary is not None:
                self.primary.take_mismatch(event.answer)
            case Superseded():
                self._superseded(event.answer)
            case JoinAnswer():
                self.joiner.answered(event.answer)
            case Holdings():
                self.first_view.told(event.answer)
            case _:
                if self.stopping and self.primary is None:
                    self.effects.append(Stop())  # The answer to our leaving.

    def _superseded(self, answer: Superseded) -> None:
        """A2: stop answering at once, then look; lead again only if this server won there."""
        if self.primary is None:
            return
        if answer.history == self.primary.view.history and answer.epoch > self.primary.view.epoch:
            self._step_down(None, f"{answer.server} knows a newer epoch, {answer.epoch}")
        self.read_view()

    def _link_changed(self, event: LinkChanged) -> None:
        if event.up and event.start_id is not None:
            self.links[event.server] = event.start_id
            self.grants.answered(event.server, event.start_id, event.begun_ms)
        else:
            self.links.pop(event.server, None)
        view = self.view
        if self.primary is not None:
            self.primary.link_changed(event)
        elif view is not None and event.server == view.primary:
            if event.up and event.start_id != view.start_id:
                self.standby.proven_gone = (view.history, view.epoch)
            elif not event.up:
                self.standby.look(at_once=True)

    def _probed(self, event: Probed) -> None:
        if event.refused and self.settings.refused_means_gone:
            self.grants.refused(event.server, event.begun_ms)
        elif event.start_id is not None:
            self.grants.answered(event.server, event.start_id, event.begun_ms)
        if self.primary is not None:
            self.primary.probed(event)
        self.standby.probed(event)

    # -- time ------------------------------------------------------------------------------------

    def _tick(self, _: Tick) -> None:
        if self.primary is not None:
            self.primary.tick()
            return
        self.standby.tick()
        if self.still:
            self.poll_view(5 * self.settings.beacon_ms)
        elif self.journal.adopted is None and self.view is None:
            self.first_view.tick()
        elif self.role is Role.STARTING or self.standby.is_silent() or not self.following_epoch():
            self.poll_view(self.settings.beacon_ms)
        if self.role is Role.JOINING:
            self.joiner.tick()

    def following_epoch(self) -> bool:
        """Whether the epoch adopted is the view's, and another server's."""
        adopted, view = self.journal.adopted, self.view
        return adopted is not None and view is not None and adopted.epoch >= view.epoch

    def poll_view(self, every_ms: float) -> None:
        """Ask the coordinator, unless it was asked a moment ago."""
        if self.now_ms - self._read_ms >= every_ms:
            self.read_view()

    def read_view(self) -> None:
        """Ask the coordinator, unless a reading is on its way."""
        if self._reading:
            return
        self._reading = True
        self._read_ms = self.now_ms
        adopted = self.journal.adopted
        self.effects.append(ReadView(adopted.epoch if adopted is not None else 0))

    # -- the view --------------------------------------------------------------------------------

    def _view_read(self, event: ViewRead) -> None:
        self._reading = False
        adopted = self.journal.adopted
        current = adopted is None or event.since_epoch >= adopted.epoch
        if event.view is None:
            if adopted is None:
                self.first_view.seen_no_view = True
            elif current:
                self._hold_still("the witness holds no view: it has lost its memory")
        elif adopted is not None and event.view.epoch < adopted.epoch:
            if current:
                self._hold_still(f"the witness holds epoch {event.view.epoch}, older than {adopted.epoch}")
        else:
            self._learn(event.view)
        self._answer_hold_still()

    def _proposed(self, event: Proposed) -> None:
        sound = self.proposals.answered(event.view.epoch if event.view is not None else 0)
        if event.view is not None and sound:
            self._learn(event.view)
        elif self.journal.adopted is not None:
            self._hold_still("the witness no longer holds the view: it has lost its memory")

    def _coordinator_silent(self, event: CoordinatorSilent) -> None:
        if event.proposal:
            self.proposals.unanswered(self.now_ms)
        else:
            self._reading = False
            self._answer_hold_still()

    def _hold_still(self, why: str) -> None:
        """V9: nobody knows who may lead; answer nobody until there is a view again."""
        if self.primary is not None:
            self._step_down(None, why)
        self._won = None
        if not self.still:
            self.still = True
            self.last_view, self.view = self.view, None
            self._set_role(Role.STARTING)
            remedy = "run `bankrmi witness restore`"
            self.effects.append(Report("nobody can lead", {"why": why, "remedy": remedy}))

    def _answer_hold_still(self) -> None:
        tokens, self._hold_still_tokens = self._hold_still_tokens, []
        for token in tokens:
            self.effects.append(Answer(token, self.holdings()))

    def holdings(self) -> Holdings:
        """Return what this server holds, for those who look for the newest copy."""
        adopted = self.journal.adopted
        return Holdings(
            server=self.settings.server,
            incarnation=self.journal.incarnation,
            start_id=self.start_id,
            history=adopted.history if adopted is not None else None,
            epoch=adopted.epoch if adopted is not None else 0,
            primary=adopted.primary if adopted is not None else None,
            tip=self.journal.tip,
            still=self.still,
            last_view=self.last_view,
        )

    def _learn(self, view: View) -> None:
        """Follow a view that is newer than the one known; whoever won it, for whatever reason."""
        if self.view is not None and view.epoch <= self.view.epoch:
            return
        adopted = self.journal.adopted
        if adopted is not None and view.epoch < adopted.epoch:
            return
        self.view = view
        self.still = False
        self.proposals.epoch_moved(view.epoch)
        won = (view.primary, view.start_id) == (self.settings.server, self.start_id)
        if won and view.names(self.settings.server, self.journal.incarnation):
            if view.handed_over_by is not None:
                self.grants.handed_over(view.handed_over_by)
            self._won = view
            if self.primary is not None:
                self._lead(view)
            elif self.role is Role.JOINING:
                self._set_role(Role.STANDBY)
        else:
            self._follow(view)
        self._answer_leavers()

    def _follow(self, view: View) -> None:
        if self.primary is not None:
            if view.handed_over_by == self.settings.server:
                self.effects.append(Send(view.primary, ViewNews(view=view)))
            self._step_down(view, f"epoch {view.epoch} belongs to {view.primary}")
        if self._won is not None and self._won.epoch < view.epoch:
            self._won = None
        self.standby.heard_ms = self.now_ms
        member = view.names(self.settings.server, self.journal.incarnation)
        self._set_role(Role.STANDBY if member else Role.JOINING)
        if view.primary == self.settings.server and not member:
            why = "the view names the disk that this server has lost as the primary's; another member has to take over"
            self.effects.append(Report("waiting", {"for": sorted(view.in_sync - {view.primary}), "why": why}))
        elif view.primary not in self.links:
            self.standby.look(at_once=True)

    # -- leading ---------------------------------------------------------------------------------

    def _lead(self, view: View) -> None:
        """Adopt the epoch that was won, durably, and begin."""
        adopted = Adopted(
            history=view.history, epoch=view.epoch, primary=self.settings.server, start_id=self.start_id
        )
        if self.journal.adopted is None:
            if len(view.in_sync) > 1:
                raise BrokenInvariant(f"an empty copy was named in {view!r}")
            self.journal.open(adopted)
        else:
            self.journal.adopt(adopted)
        self.changed = True
        self.commit_if_changed("lead")
        self._won = None
        again = self.primary is not None
        if self.primary is None:
            self.primary = Primary(self, view)
        self._set_role(Role.PRIMARY)
        details = {
            "epoch": view.epoch,
            "in_sync": sorted(view.in_sync),
            "action_id": self.journal.tip.action_id,
        }
        self.effects.append(Report("view changed" if again else "leading", details))
        for server in self.links:
            self.effects.append(Send(server, ViewNews(view=view)))
        self.primary.begin_epoch(view)
        for event in self.standby.take_held():
            self._handlers[type(event)](event)

    def _step_down(self, view: View | None, why: str) -> None:
        primary = self.primary
        assert primary is not None
        self.primary = None
        self.standby = Standby(self)
        self.standby.acknowledged = primary.ever_acknowledged
        self.effects.append(Report("stepping down", {"epoch": primary.view.epoch, "why": why}))
        self._set_role(Role.STANDBY)
        primary.end(view)
        self._answer_leavers()
        self.read_view()

    def _set_role(self, role: Role) -> None:
        if role is self.role:
            return
        if role not in LEGAL_ROLE_CHANGES[self.role]:
            raise BrokenInvariant(f"{self.settings.server} cannot go from {self.role.value} to {role.value}")
        self.effects.append(Report("role", {"was": self.role.value, "role": role.value}))
        self.role = role
        self.role_since_ms = self.now_ms

    def commit_if_changed(self, purpose: str) -> None:
        """Ask for a commit if anything was written since the last one."""
        if self.changed:
            self.changed = False
            self.effects.append(Commit(purpose))

    # -- what to want ----------------------------------------------------------------------------

    def _reconsider(self) -> None:
        """Lead if the time has come; propose what is wanted now; stop if the others can go on."""
        if self._won is not None and self.primary is None and self.now_ms >= self.grants.over_at_ms():
            self._lead(self._won)
        wanted = self._wanted_view()
        if wanted is not None and self.proposals.may_propose(self.now_ms):
            self.proposals.proposed(wanted)
            known = self.view
            expected = (known.history, known.epoch) if known is not None else None
            self.effects.append(Propose(wanted, expected))
        if self.stopping:
            self._leave()

    def _wanted_view(self) -> View | None:
        if self.primary is not None:
            return self.primary.wanted_view()
        view = self.view
        if self.still or self.stopping or self._won is not None:
            return None
        if view is None:
            return self.first_view.wanted_view() if self.journal.adopted is None else None
        if not view.names(self.settings.server, self.journal.incarnation):
            return None  # V7
        if view.primary == self.settings.server:
            return view.started_again(self.start_id)  # V4
        if self.journal.adopted is not None and self.standby.primary_is_gone():
            return view.taken_over_by(self.settings.server, self.start_id)  # V1
        return None

    # -- operators -------------------------------------------------------------------------------

    def _switchover_asked(self, event: SwitchoverAsked) -> None:
        if self.primary is not None:
            self.primary.begin_switchover(event)
        else:
            self.effects.append(Answer(event.token, Refusal(f"{self.settings.server} is not the primary")))

    def _stop_asked(self, _: StopAsked) -> None:
        """V10: hand over, or have the primary take this server out; `_leave` sees when it is done."""
        self.stopping = True
        view = self.view
        if self.primary is not None:
            self.primary.begin_switchover(SwitchoverAsked(None, None))
        elif view is not None and self.role is Role.STANDBY and view.primary in self.links:
            self.effects.append(Send(view.primary, LeaveRequest(server=self.settings.server)))

    def _leave(self) -> None:
        view = self.view
        if self.primary is not None:
            done = self.primary.switchover is None
        else:
            member = view is not None and view.names(self.settings.server, self.journal.incarnation)
            asked = view is not None and view.primary in self.links and view.primary != self.settings.server
            handed_over = view is not None and view.handed_over_by == self.settings.server
            done = not member or not asked or handed_over
        if done and not any(isinstance(effect, Stop) for effect in self.effects):
            self.effects.append(Stop())

    def _copy_ended(self, event: CopyEnded) -> None:
        self.joiner.copy_ended(fetched=event.fetched)

    def _copy_installed(self, event: CopyInstalled) -> None:
        self.journal = event.journal
