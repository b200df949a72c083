"""One server's rules, as a function: an event and the time in, effects out.

Calls go down, what is found out comes back as a value; this file alone knows the others, and acts on it.
`roles` has what a server can be, and `office` how that changes; `leading`, `following`, `joining` and
`first_view` are what it does then;
`viewing`, `believing` and `dispatch` weigh what others say; `lease` knows when it may lead; `server_set`,
whether it is one of the bank's servers; `takeover`, what an operator's word lets it propose.

Rule 1: `step` reads no clock, opens no socket, starts no task, and waits for nothing.
Rule 2: a server leads an epoch only after it has won it, has waited for the leases it granted, and has
        adopted the epoch durably, in this order (R3, A2).
Rule 3: while it adopts an epoch of its own, whatever comes waits, in its order, until the adopting is
        durable: nothing is done in the epoch before that, and nothing in the one before it. Only callers who
        have waited too long are turned away, and those who are gone forgotten (W4).
Assumption: the caller carries out the effects of a step in order, before the next step (see `effects`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

from bankrmi.replication import dispatch
from bankrmi.replication.believing import Believing
from bankrmi.replication.commits import Commits
from bankrmi.replication.condition import Condition, condition_of, next_migrations
from bankrmi.replication.dispatch import Adopt, GoOn, TurnedAway
from bankrmi.replication.effects import (
    Effect,
    IsBusy,
    Leave,
    Propose,
    Reach,
    Read,
    Refusal,
    Stop,
)
from bankrmi.replication.events import (
    AnswerArrived,
    CallersGone,
    ClientEvent,
    Committed,
    CoordinatorSilent,
    CopyEnded,
    CopyInstalled,
    Event,
    Happening,
    LinkChanged,
    MessageArrived,
    OutcomeAsked,
    Overdue,
    PauseAsked,
    Probed,
    Proceed,
    Proposed,
    ReadArrived,
    RequestArrived,
    RetireAsked,
    Seen,
    ServersAsked,
    StopAsked,
    SwitchoverAsked,
    TakeoverAsked,
    Tick,
    ViewRead,
)
from bankrmi.replication.figures import Figures
from bankrmi.replication.first_view import FirstView, new_id
from bankrmi.replication.joining import Joiner
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.leading import Leader
from bankrmi.replication.lease import binding_ms, first_grants
from bankrmi.replication.links import LinkTable
from bankrmi.replication.messages import (
    Acknowledged,
    Census,
    Checkpoint,
    Fence,
    Holdings,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Mismatch,
    Superseded,
    ViewNews,
)
from bankrmi.replication.office import Office
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.reading import NOT_AT_ONCE, ReadsAtOnce
from bankrmi.replication.roles import Adopting, Joining, Leading, Role, Starting, State, Won
from bankrmi.replication.server_set import ServerSet
from bankrmi.replication.settings import Settings
from bankrmi.replication.step import Step
from bankrmi.replication.takeover import Takeovers
from bankrmi.replication.view import View
from bankrmi.replication.viewing import REMEDY, Finding, Learned, MemoryLost, NoView, Viewing
from bankrmi.replication.wishes import Asked

__all__ = ["Replica"]


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
        self.links = LinkTable(settings)
        self.grants = first_grants(settings, journal.adopted, now_ms)
        self.figures = Figures()
        self._new_id = new_id
        self._now_ms = now_ms
        self._listened_ms = now_ms  # All that had arrived by then was read: nobody is silent beyond it.
        self._commits = Commits(journal.tip.action_id)
        self._office = Office(now_ms)
        self._stopping = False
        self._server_set = ServerSet(settings)
        self._leaves = False  # It has no place in the bank: it ends, and wants nothing any more (V12).
        self._proposals = Proposals()
        self._believing = Believing(journal.adopted.epoch if journal.adopted is not None else 0)
        self._viewing = Viewing()
        self._joiner = Joiner(settings.heartbeat_ms)
        self._first_view = FirstView()
        self._asked_to_be_fenced: list[Any] = []
        self._takeovers = Takeovers()
        self._reads_at_once: ReadsAtOnce | None = None  # None: not reckoned since the last step.

    def step(self, event: Event, *, now_ms: float) -> list[Effect]:
        """Take one event; return what is to be done, in order.  Raises BrokenInvariant (rule F3)."""
        self._now_ms = now_ms
        self._reads_at_once = None
        if isinstance(event, Committed):
            return self._committed(event.number)
        if isinstance(event, Tick):  # Own lateness is not the others' silence: what came since is read first.
            self._listened_ms = now_ms - event.late_ms
        step = self._this_step()
        self._take_or_hold(event, step)
        return step.effects

    def put(self, event: RequestArrived, *, now_ms: float) -> bool:
        """Put a request where it waits for its group, and return whether that is all there is to do.

        Else it has to be an event. It is what `step` would do.
        """
        state = self._office.state
        if self._office.adopting is not None or type(state) is not Leading:
            return False
        self._now_ms = now_ms
        return state.leader.put(event, self.journal)

    def read_at_once(self, query: Any, seen: Seen | None, *, now_ms: float) -> Read | None:
        """Return what is answered to a read that nothing keeps waiting; None: it has to be an event.

        It changes nothing, and is what `step` would answer.
        """
        self._now_ms = now_ms
        at_once = self._reads_at_once
        if at_once is None:
            leader = self.primary if self._office.adopting is None else None
            at_once = NOT_AT_ONCE if leader is None else leader.reads_at_once(self._this_step())
            self._reads_at_once = at_once
        return at_once.read(query, seen, self.journal, now_ms)

    def _take_or_hold(self, event: Happening, step: Step) -> None:
        if self._office.adopting is not None:
            self._hold(self._office.adopting, event, step)
            return
        self._take(event, step)
        if type(event) not in _CHANGES_NO_ROLE:
            self._reconsider(step)

    def _hold(self, adopting: Adopting, event: Happening, step: Step) -> None:
        match event:
            case Tick() | Proceed():  # Those come again.
                pass
            case CallersGone(tokens=tokens):
                adopting.drop(tokens)
                self._office.party.forget(tokens)
            case Overdue(tokens=tokens):  # That nothing was done rests on nothing.
                for token in adopting.drop(tokens):
                    step.answer(token, IsBusy())
                self._office.party.turn_away(tokens, step)
            case _:
                adopting.held.append(event)

    def _this_step(self, effects: list[Effect] | None = None) -> Step:
        return Step(
            self.settings,
            self.start_id,
            self.journal,
            self._commits,
            self.links,
            self._proposals,
            self.figures,
            self._now_ms,
            self._listened_ms,
            [] if effects is None else effects,
        )

    def _take(self, event: Happening, step: Step) -> None:
        match event:  # What comes most often stands first.
            case RequestArrived() | ReadArrived() | OutcomeAsked():
                self._asked(event, step)
            case AnswerArrived():
                self._answer_arrived(event, step)
            case Proceed():
                if isinstance(self._state, Leading):
                    self._state.leader.proceed(event.time_us, step)
            case MessageArrived():
                self._message_arrived(event, step)
            case Tick():
                self._tick(step)
            case CallersGone(tokens=tokens):
                self._office.party.forget(tokens)
            case Overdue(tokens=tokens):
                self._office.party.turn_away(tokens, step)
            case LinkChanged():
                self._link_changed(event, step)
            case Probed():
                self._probed(event, step)
            case ViewRead():
                self._view_read(event, step)
            case Proposed(view=view):
                self._proposed(view, step)
            case CoordinatorSilent():
                self._coordinator_silent(event, step)
            case CopyEnded(fetched=fetched):
                granted_ms = self.grants.longest_ms(step.now_ms)
                self._joiner.copy_ended(self.view, step, fetched=fetched, granted_ms=granted_ms)
            case CopyInstalled(journal=journal):
                self._copy_installed(journal, step)
            case SwitchoverAsked() | PauseAsked() | RetireAsked() | ServersAsked():
                self._wanted_of_primary(event, step)
            case TakeoverAsked():
                self._takeover_asked(event, step)
            case StopAsked():
                self._stop_asked(step)
            case _:
                assert_never(event)

    # -- what is shown ---------------------------------------------------------------------------

    @property
    def view(self) -> View | None:
        """The newest view known."""
        return self._viewing.view

    @property
    def goes_by_view(self) -> bool:
        """Whether the view says which servers there are, and where (V12); else what this process was told."""
        return self._server_set.goes_by_view

    @property
    def role(self) -> Role:
        """What this server is."""
        return self._state.role

    @property
    def primary(self) -> Leader | None:
        """The leader's part, while this server leads."""
        return self._state.leader if isinstance(self._state, Leading) else None

    @property
    def acknowledged(self) -> int:
        """The newest action id that is known to be acknowledged, in the epoch led if this server leads."""
        return self._office.party.acknowledged

    @property
    def may_be_folded(self) -> int:
        """The newest action id up to which records may leave this server's journal; 0 if none may."""
        return self._office.party.may_be_folded

    def next_migrations(self) -> tuple[tuple[str, str], ...]:
        """S6: return the services that are to get their next version ("": the first one), and why this server
        does not decide each, "" if it may; those that may come first. None, if it leads not."""
        return () if self.primary is None else next_migrations(self._this_step())

    @property
    def has_work(self) -> bool:
        """Whether a `Proceed` would do something now."""
        state = self._office.state
        if self._office.adopting is not None or type(state) is not Leading:
            return False
        leader = state.leader
        if leader.may_form_group(self.journal.tip.action_id, self._now_ms):
            return True
        return leader.reads_wait and leader.may_go_on_reading(self._this_step())

    def condition(self) -> Condition:
        """Return what there is to show of this server."""
        return condition_of(
            self._office,
            self._viewing,
            self._joiner,
            self._first_view,
            self._this_step(),
        )

    @property
    def _state(self) -> State:
        return self._office.state

    # -- the disk --------------------------------------------------------------------------------

    def _committed(self, number: int) -> list[Effect]:
        """More is durable: say what waited for that, and begin to lead if it was the adopting."""
        effects = self._commits.ended(number)
        adopting, leader = self._office.adopting, self.primary
        if adopting is not None and number >= adopting.commit:
            self._begin_to_lead(adopting, self._this_step(effects))
        elif (
            adopting is None and leader is not None and leader.may_acknowledge_more(self._commits.durable_tip)
        ):
            step = self._this_step(effects)
            leader.committed(step)
            self._reconsider(step)
        return effects

    def _begin_to_lead(self, adopted: Adopting, step: Step) -> None:
        self._office.lead(adopted.view, step)
        self._reconsider(step)
        for event in adopted.held:
            self._take_or_hold(event, step)

    # -- clients ---------------------------------------------------------------------------------

    def _asked(self, event: ClientEvent, step: Step) -> None:
        state = self._office.state
        if isinstance(state, Leading):
            state.leader.asked(event, step)
        else:
            state.follower.hold(event, self.view, step)

    # -- connections and time --------------------------------------------------------------------

    def _link_changed(self, event: LinkChanged, step: Step) -> None:
        address = self.settings.address_of(event.server)
        if event.up and event.address not in (None, address):
            return  # It leads to where that server lived before (V12).
        if event.up and event.start_id is not None:
            self.links.up(event, event.start_id)
            self.grants.answered(event.server, address, event.start_id, event.begun_ms)
            if self.view is not None and self.view.primary == event.server:
                self._joiner.begin_again(step)
        else:
            self.links.down(event.server)
        if isinstance(self._state, Leading):
            self._state.leader.link_changed(event, step)
        else:
            self._state.follower.link_changed(event, self.view, step)

    def _probed(self, event: Probed, step: Step) -> None:
        looked_at, lives_at = event.address, self.settings.address_of(event.server)
        looked_at = lives_at if looked_at is None else looked_at
        if event.refused and self.settings.refused_means_gone:
            self.grants.refused(event.server, looked_at, event.begun_ms)
        elif event.start_id is not None:
            self.grants.answered(event.server, looked_at, event.start_id, event.begun_ms)
        if looked_at != lives_at:  # Where it lived before: that says nothing of now (V12).
            event = replace(event, refused=False, start_id=None)
        if isinstance(self._state, Leading):
            self._state.leader.probed(event, step)
        else:
            self._state.follower.probed(event, self.view, step)

    def _tick(self, step: Step) -> None:
        if isinstance(self._state, Leading):
            self._tick_leading(self._state.leader, step)
            return
        follower, heartbeat_ms = self._state.follower, self.settings.heartbeat_ms
        follower.tick(self.view, step)
        if self._office.is_fenced:
            self._viewing.poll(5 * heartbeat_ms, step)
        elif self.journal.adopted is None and self.view is None:
            if self._first_view.tick(step):
                self._viewing.read(step)
        elif self.role is Role.STARTING or follower.is_silent(step) or not self._follows_view(step):
            self._viewing.poll(heartbeat_ms, step)
        elif not self._proposals.settled:
            self._viewing.poll(5 * heartbeat_ms, step)  # V6: it may have won, or win yet, unheard.
        else:
            self._viewing.look_for_news(step)
        if isinstance(self._state, Joining):
            self._joiner.tick(self.view, step, primary_is_silent=follower.is_silent(step))

    def _tick_leading(self, leader: Leader, step: Step) -> None:
        if leader.hears_everybody(step):
            self._viewing.look_for_news(step)
        else:
            self._viewing.poll(5 * self.settings.heartbeat_ms, step)
        leader.tick(step, witness_silent_ms=self._viewing.unanswered_ms(step.now_ms))

    def _follows_view(self, step: Step) -> bool:
        """Whether the epoch adopted is the view's, or newer."""
        view = self.view
        return self.journal.adopted is not None and view is not None and step.adopted_epoch >= view.epoch

    # -- what other servers say ------------------------------------------------------------------

    def _message_arrived(self, event: MessageArrived, step: Step) -> None:
        token = event.token
        match event.message:
            case Checkpoint() as message:
                self._take_checkpoint(token, message, event.address, step)
            case JoinRequest() as request:
                self._take_join(token, request, step)
            case LeaveRequest() as request:
                if isinstance(self._state, Leading):
                    self._state.leader.take_leave(token, request, step)
                else:
                    step.answer(token, None)
            case ViewNews(view=view):
                self._take_news(view, step)
                step.answer(token, None)
            case Census():
                step.answer_when_durable(token, self._holdings(step))
            case Fence():  # An operator is about to restore the witness: is there really no view?
                self._asked_to_be_fenced.append(token)
                self._viewing.read(step)
            case _ as other:
                assert_never(other)

    def _take_checkpoint(self, token: Any, message: Checkpoint, address: str | None, step: Step) -> None:
        state, view, granted_ms = self._office.state, self.view, self._granted_by(message)
        facts = dispatch.ReceiverFacts(
            view,
            state.view if isinstance(state, Won) else None,
            isinstance(state, Leading),
            self._believing.may_be(message.epoch, step),
            granted_ms,
            self.grants,
        )
        match dispatch.weigh(message, facts, step):
            case GoOn(longer=longer):
                if longer is not None:
                    step.adopt(longer)
            case Adopt(adopted=adopted):
                self._adopt(adopted, step)
            case TurnedAway(reply=reply, look=look):
                if look:
                    self._viewing.read(step)
                step.answer(token, reply)
                return
            case _ as other:
                assert_never(other)
        state = self._office.state
        if isinstance(state, Starting):
            state.fenced = False  # Somebody leads.
        assert not isinstance(state, Leading), "who leads turns away what it does not give way to"
        answer = state.follower.take(message, step)
        if isinstance(answer, Acknowledged):
            lives_at = address or self.settings.address_of(message.primary)
            self.grants.acknowledged(message.primary, lives_at, message.start_id, step.now_ms, granted_ms)
        step.answer_when_durable(token, answer)
        if state.role is Role.STARTING or view is None or view.epoch < message.epoch:
            self._viewing.read(step)

    def _granted_by(self, message: Checkpoint) -> int:
        """R3: for how long acknowledging this binds: by what the primary counts, not by what we would."""
        return binding_ms(message.lease_ms, message.drift_ms)

    def _adopt(self, adopted: Adopted, step: Step) -> None:
        """A2: act in a newer epoch only after it is adopted; the commit comes with what it brings."""
        self._give_way(f"{adopted.primary} leads epoch {adopted.epoch}", step)
        step.adopt(adopted)

    def _take_join(self, token: Any, request: JoinRequest, step: Step) -> None:
        if isinstance(self._state, Leading):
            self._state.leader.admit(token, request, step)
            return
        reply = JoinAnswer(server=step.server, number=request.number, outcome="not_primary", epoch=0)
        step.answer(token, reply)

    def _take_news(self, view: View, step: Step) -> None:
        """Another server says that it leads, or who does.

        An empty server believes nobody but the witness: on the disk that it lost it may have gone on alone,
        and the primary before does not know that it was deposed. Its copy would hide that there was more.
        And whatever anybody says of an epoch that is far from what is known is looked up.
        """
        if self.journal.adopted is None or not self._believing.may_be(view.epoch, step):
            self._viewing.read(step)
        else:
            self._act_on(self._viewing.learn(view, step), step)

    def _answer_arrived(self, event: AnswerArrived, step: Step) -> None:
        leader = self.primary
        match event.answer:
            case Acknowledged() as answer if leader is not None:
                leader.take_acknowledgement(answer, step)
            case Mismatch() as answer if leader is not None:
                leader.take_mismatch(answer, step)
            case Superseded() as answer if leader is not None:
                self._take_superseded(answer, leader.view, step)
            case JoinAnswer() as answer:
                if self._joiner.answered(answer, self.view, step):
                    self._viewing.read(step)
            case Holdings() as answer:
                self._first_view.told(answer, step.now_ms)
            case None if self._stopping and leader is None:
                step.do(Stop())  # The answer to our leaving.
            case _:
                pass  # An answer to what this server was before it stepped down.

    def _take_superseded(self, answer: Superseded, led: View, step: Step) -> None:
        """A2: stop answering at once, then look; lead again only if this server won there.

        Unless it cannot be believed: then look, and go on.
        """
        if answer.history != led.history or answer.epoch <= led.epoch:
            self._viewing.read(step)
        elif self._believing.claimed(answer, step, reading=self._viewing.is_reading):
            self._give_way(f"{answer.server} knows a newer epoch, {answer.epoch}", step)
            self._viewing.read(step)
        else:
            self._viewing.poll(self.settings.heartbeat_ms, step)

    # -- the view --------------------------------------------------------------------------------

    def _view_read(self, event: ViewRead, step: Step) -> None:
        self._believing.witness_says(event.view, step)
        self._act_on(self._viewing.take_reading(event, step), step)
        self._takeovers.view_was_read()
        self._tell_who_asked(step)

    def _proposed(self, view: View | None, step: Step) -> None:
        self._believing.decided(view)
        sound = self._proposals.answered(view.epoch if view is not None else 0)
        self._act_on(self._viewing.take_decision(view, step, sound=sound), step)

    def _coordinator_silent(self, event: CoordinatorSilent, step: Step) -> None:
        self._viewing.take_silence(step, reading=not event.proposal)
        if event.proposal:
            self._proposals.unanswered(step.now_ms, sent=event.sent)
        self._takeovers.witness_is_silent(step)
        if event.proposal:
            return
        self._believing.witness_says(None, step)
        if self.role is Role.STARTING and not self._office.is_fenced:
            self._viewing.report_silence(step)
        self._tell_who_asked(step)

    def _act_on(self, finding: Finding | None, step: Step) -> None:
        """Act on what was learned of the view."""
        match finding:
            case Learned(view=view, anew=anew):
                if anew:
                    self._forget_view(step)
                self.figures.views.learned(view)
                self._proposals.epoch_moved(view.epoch)
                self._go_by(view.servers, step)
                self.grants.lived(self.settings.address_of)
                if (why := self._server_set.why_not_in(view, step)) is not None:
                    self._leaves = True
                    step.do(Leave(why))
                else:
                    self._follow(view, step)
                    self._server_set.say_that_it_waits(view, step)
            case NoView(anew=anew):
                if anew:
                    self._forget_view(step)
                    self._go_by(None, step)
                self._first_view.seen_no_view = True
            case MemoryLost(why=why):
                self._fence(why, step)
            case None:
                pass
            case _ as other:
                assert_never(other)

    def _go_by(self, servers: Mapping[str, str] | None, step: Step) -> None:
        """V12: these are the servers, and where they live; None: what this process was told counts."""
        before, after = self.settings, self._server_set.go_by(servers)
        if after.where_all_live() == before.where_all_live():
            return
        self.settings = step.settings = after
        self.links.most_copies = len(after.servers)
        step.do(Reach({name: after.address_of(name) for name in after.others}))
        for name in before.others:
            if name not in after.servers or after.address_of(name) != before.address_of(name):
                if name in self.links:
                    self._link_changed(LinkChanged(server=name, up=False), step)
                self.links.forget(name)

    def _forget_view(self, step: Step) -> None:
        self._first_view.forget()
        self._stand_down("the view that it knew is gone", step, fenced=False)

    def _fence(self, why: str, step: Step) -> None:
        """V9: answer nobody until there is a view again."""
        if self._office.is_fenced:
            return
        self._stand_down(why, step, fenced=True)
        self._takeovers.end(Refusal(f"{why}: {REMEDY}"), step)
        self._viewing.lose(step)
        step.report("nobody can lead", why=why, remedy=REMEDY)

    def _tell_who_asked(self, step: Step) -> None:
        """Answer those who asked to be fenced: a reading has ended."""
        tokens, self._asked_to_be_fenced = self._asked_to_be_fenced, []
        for token in tokens:
            step.answer_when_durable(token, self._holdings(step))

    def _holdings(self, step: Step) -> Holdings:
        """Return what this server holds; fenced as well if it is empty, has seen that there is no view, and
        makes none while others hold something."""
        empty = self.journal.adopted is None and self.view is None
        waits = empty and self._first_view.seen_no_view and not self._first_view.may_yet_be_made(step)
        return self._viewing.holdings(step, fenced=self._office.is_fenced or waits)

    # -- the role --------------------------------------------------------------------------------

    def _follow(self, view: View, step: Step) -> None:
        """Become what a new view makes of this server."""
        self._takeovers.view_is(view, step)
        if step.has_won(view) and step.is_member(view) and not step.has_led(view):
            if view.handed_over_by is not None:
                self.grants.handed_over(view.handed_over_by)
            self._office.win(view, step)
        else:
            self._follow_another(view, step)

    def _follow_another(self, view: View, step: Step) -> None:
        if isinstance(self._state, Leading):
            if view.handed_over_by == step.server:
                step.send(view.primary, ViewNews(view=view))
            self._step_down(view, f"epoch {view.epoch} belongs to {view.primary}", step)
        self._office.follow(view, step)
        self._joiner.begin_again(step)

    def _give_way(self, why: str, step: Step) -> None:
        """Lead no more, and claim nothing: somebody knows of a newer epoch."""
        if isinstance(self._state, Leading):
            self._step_down(None, why, step)
        else:
            self._office.claim_nothing(step)

    def _stand_down(self, why: str, step: Step, *, fenced: bool) -> None:
        """Be nothing until there is a view again (V9)."""
        self._give_way(why, step)
        self._office.know_nothing(step, fenced=fenced)

    def _step_down(self, view: View | None, why: str, step: Step) -> None:
        """Lead no more, for `view` if that is why; look who does now."""
        self._office.step_down(view, self.view, why, step)
        self._viewing.read(step)

    # -- what to want ----------------------------------------------------------------------------

    def _reconsider(self, step: Step) -> None:
        """Lead if the time has come; propose what is wanted now; stop if the others can go on."""
        if self._office.adopting is not None or self._leaves:
            return
        state = self._office.state
        if isinstance(state, Won) and step.now_ms >= self.grants.over_at_ms():
            self._office.adopt(state.view, step)
            return
        wanted = None if step.commit_is_overdue else self._wanted_view(step)
        if (
            wanted is not None
            and self._proposals.may_propose(step.now_ms)
            and self._is_not_deaf(wanted, step)
        ):
            self._propose(wanted, step)
        if self._stopping:
            self._stop_if_done(step)

    def _is_not_deaf(self, wanted: View, step: Step) -> bool:
        """V1, V2: whoever leaves others behind for their silence has heard the coordinator meanwhile.

        What a deaf server sends arrives: it would win a view that it never learns of, and nobody would lead.
        """
        view, state = self.view, self._state
        if view is None or view.in_sync <= wanted.in_sync:
            return True
        if not isinstance(state, Leading | Won) and state.follower.knows_that_it_is_gone(view):
            return True
        return self._viewing.hears(step)

    def _propose(self, wanted: View, step: Step) -> None:
        self._proposals.proposed(wanted)
        known = self.view
        step.do(Propose(wanted, (known.history, known.epoch) if known is not None else None))

    def _wanted_view(self, step: Step) -> View | None:
        state = self._office.state
        if isinstance(state, Leading):
            return state.leader.wanted_view(step)
        if isinstance(state, Won) or self._stopping or self._office.is_fenced:
            return None
        if self.view is not None:
            by_word = self._takeovers.wanted_view(self.view, state.follower, step)
            return by_word or state.follower.wanted_view(self.view, step)
        empty = self.journal.adopted is None
        return self._first_view.wanted_view(step, self._new_id) if empty else None

    # -- operators, copies -----------------------------------------------------------------------

    def _copy_installed(self, journal: Journal, step: Step) -> None:
        self.journal = step.journal = journal
        if not isinstance(self._state, Leading):
            self._state.follower.copy_installed()

    def _wanted_of_primary(self, asked: Asked, step: Step) -> None:
        if isinstance(self._state, Leading):
            self._state.leader.begin_wish(asked, step)
        else:
            step.answer(asked.token, Refusal(f"{step.server} is not the primary"))

    def _takeover_asked(self, event: TakeoverAsked, step: Step) -> None:
        """V7, V11: look at the view first; what comes of it is decided when it was read."""
        if isinstance(self._state, Leading | Won):
            step.answer(event.token, Refusal(f"{step.server} leads already, or is about to"))
        elif self._office.is_fenced:
            step.answer(event.token, Refusal(f"the witness has lost its memory: {REMEDY}"))
        elif self._takeovers.is_under_way or self._stopping:
            step.answer(event.token, Refusal(f"{step.server} is about to take over, or to stop"))
        else:
            self._takeovers.begin(event, self._new_id(), step)
            self._viewing.read(step)

    def _stop_asked(self, step: Step) -> None:
        """V10: hand over, or have the primary take this server out; then stop.

        While automatic takeover is paused, nobody leads for a primary that stops: it is waited for (V11).
        """
        self._stopping = True
        view = self.view
        if isinstance(self._state, Leading) and self._state.leader.view.paused is not None:
            why = "automatic takeover is paused: the bank waits until this server is started again"
            step.report("hands nothing over", why=why)
        elif isinstance(self._state, Leading):
            self._state.leader.begin_wish(SwitchoverAsked(None, None, stopping=True), step)
        elif view is not None and self.role is Role.STANDBY and view.primary in self.links:
            step.send(view.primary, LeaveRequest(server=step.server, start_id=self.start_id))

    def _stop_if_done(self, step: Step) -> None:
        view = self.view
        if isinstance(self._state, Leading):
            done = not self._state.leader.is_switching_over
        else:
            waits = view is not None and step.is_member(view) and view.primary in self.links
            done = not waits or (view is not None and view.handed_over_by == step.server)
        if done:
            step.do(Stop())


_CHANGES_NO_ROLE = frozenset({RequestArrived, OutcomeAsked, CallersGone, Overdue, ReadArrived, Proceed})
