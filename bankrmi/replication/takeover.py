"""One takeover that an operator wants of this server.  Rules V7 and V11.

A member takes over as it would by itself (V1), though automatic takeover is paused. By force a server leads
that may lack what was acknowledged: in a new history, in which it alone is in sync.

Rule 1: it rests on the view that the operator was shown: if there is another one, nothing is proposed.
Rule 2: nobody is taken over from who is heard: the primary has to be believed gone, as for V1. By force
        no process of that primary may answer who looks for it: it would acknowledge alone.
Rule 3: the history is drawn once: a proposal that is made again is the same one.
Rule 4: once it has been sent, it is proposed until it is answered: it may win (V6), and a server outside
        `in_sync` has no other proposal that could settle it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.code_versions import version_in_words
from bankrmi.replication.effects import Handed, Refusal, Reply
from bankrmi.replication.events import TakeoverAsked
from bankrmi.replication.following import Follower
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["WITHIN_MS", "Takeover", "Takeovers"]

WITHIN_MS = 20_000.0
"""What was not proposed by then is not wanted any more: the operator waits not much longer."""


@dataclass(slots=True)
class Takeover:
    """An operator wants it of this server.

    `has_looked`: the witness was read since; `was_proposed`: this may win until the epoch has moved.
    """

    wish: TakeoverAsked
    history: str
    since_ms: float
    before: View | None = None
    has_looked: bool = False
    was_proposed: bool = False

    @property
    def token(self) -> Any:
        """Who waits for the answer."""
        return self.wish.token

    def objection(self, view: View, follower: Follower, step: Step) -> str:
        """Return why this comes to nothing; empty while it may still come to something."""
        wish = self.wish
        if (view.history, view.epoch) != wish.expected:
            return f"the view is epoch {view.epoch} by now, with {view.primary} as the primary: look again"
        if step.now_ms - self.since_ms > WITHIN_MS:
            return f"{step.server} could not propose it in {WITHIN_MS / 1000:g} s"
        if wish.resumes and view.paused is None:
            return "automatic takeover is not paused"
        standing = self._objection_to_standing(view, step)
        if standing:
            return standing
        if follower.was_heard(self.since_ms) or (wish.forced and follower.answered_look(self.since_ms)):
            there = f"{view.primary}, the primary, answers {step.server}"
            return f"{there}: use `bankrmi switchover`, or, if it hangs, end that process first"
        return ""

    def _objection_to_standing(self, view: View, step: Step) -> str:
        """Say why this server is not the one to do so."""
        server = step.server
        if step.journal.adopted is None:
            return f"{server} holds nothing"
        if step.journal.adopted.history != view.history:
            return f"{server} has not followed the bank into history {view.history}: it cannot lead"
        if not step.may_lead:
            version, newest = version_in_words(step.journal.version), step.settings.code.in_words
            return f"{server} has version {newest} of what is served, and holds a state of version {version}"
        if step.is_member(view):
            if view.primary == server:
                return f"{server} is the primary of the newest view, and leads again by itself"
            if self.wish.forced:
                return f"{server} is in sync, and holds all that was acknowledged: it needs no force"
        elif not self.wish.forced:
            return f"{server} is not in sync, and may lack what was acknowledged: only by force"
        return ""

    def is_time(self, view: View, follower: Follower, step: Step) -> bool:
        """Whether to propose it now: the primary was looked for since, and is believed gone."""
        looked = not self.wish.forced or follower.has_looked(self.since_ms, view, step)
        return looked and follower.primary_is_gone(view, step)

    def wanted_view(self, view: View, step: Step) -> View:
        """Return the view to propose."""
        self.before, self.was_proposed = view, True
        operator = self.wish.operator
        if self.wish.forced:
            given_up = tuple(sorted(view.in_sync - {step.server}))
            cause = Cause(kind=CauseKind.FORCED, by=step.server, of=given_up, operator=operator)
            forced = view.taken_over_by_force(
                step.server, step.start_id, incarnation=step.journal.incarnation, history=self.history
            )
            return forced.because(cause)
        kind = CauseKind.RESUMED if self.wish.resumes else CauseKind.TAKEOVER
        cause = Cause(kind=kind, by=step.server, of=(view.primary,), operator=operator)
        taken = view.taken_over_by(step.server, step.start_id).because(cause)
        return taken.resumed() if self.wish.resumes else taken

    def outcome(self, view: View, step: Step) -> Reply:
        """There is another view: return what to tell the operator."""
        if self.before is not None and step.has_won(view):
            return Handed(self.before, view)
        return Refusal(f"another view was won meanwhile: epoch {view.epoch}, primary {view.primary}")


class Takeovers:
    """The one that is under way at this server, if any: from an operator's word to the answer to it."""

    def __init__(self) -> None:
        self._takeover: Takeover | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether an operator waits for one."""
        return self._takeover is not None

    def begin(self, asked: TakeoverAsked, history: str, step: Step) -> None:
        """It is wanted from now on, by force in this history; nothing is decided before the view is read."""
        self._takeover = Takeover(asked, history, step.now_ms)

    def view_was_read(self) -> None:
        """The witness answered a reading."""
        if self._takeover is not None:
            self._takeover.has_looked = True

    def wanted_view(self, view: View, follower: Follower, step: Step) -> View | None:
        """Return what an operator's word lets this server propose now."""
        move = self._takeover
        if move is None or not move.has_looked:
            return None
        if move.was_proposed and not step.proposals.settled:
            return move.wanted_view(view, step)  # V6: until it is answered.
        why = move.objection(view, follower, step)
        if why:
            self.end(Refusal(why), step)
            return None
        return move.wanted_view(view, step) if move.is_time(view, follower, step) else None

    def view_is(self, view: View, step: Step) -> None:
        """A view was learned: if it is another one than the operator was shown, it is over."""
        move = self._takeover
        if move is not None and (view.history, view.epoch) != move.wish.expected:
            self.end(move.outcome(view, step), step)

    def witness_is_silent(self, step: Step) -> None:
        """It comes to nothing, unless it was proposed and may win (V6)."""
        if step.proposals.settled:
            remedy = "start it; if it has lost its disk, `bankrmi witness restore` is the way"
            self.end(Refusal(f"the witness does not answer: {remedy}"), step)

    def end(self, reply: Reply, step: Step) -> None:
        """Tell the operator what became of it, if one is under way."""
        move, self._takeover = self._takeover, None
        if move is None:
            return
        step.answer(move.token, reply)
        if isinstance(reply, Handed) and reply.after.forced:
            before, after = reply.before, reply.after
            step.report(
                "leads by force",
                epoch=after.epoch,
                history=after.history,
                history_before=before.history,
                kept_up_to=step.tip,
                given_up=sorted(before.in_sync - after.in_sync),
                operator=move.wish.operator,
            )
