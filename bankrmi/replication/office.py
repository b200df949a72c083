"""What one server is, and how that changes: it wins, leads, steps down, follows, or knows nothing any more.

Rule 1: `role` changes as `LEGAL_ROLE_CHANGES` has it; each change is one line in the log.
Rule 2: an epoch is adopted durably before the first thing is done in it (A2): `adopt`, and later `lead`.
Rule 3: when any of this is to happen is for the replica.
"""

from __future__ import annotations

from typing import Any, assert_never

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.events import ClientEvent
from bankrmi.replication.following import Follower
from bankrmi.replication.leading import Leader, adopt_own
from bankrmi.replication.messages import ViewNews
from bankrmi.replication.roles import (
    LEGAL_ROLE_CHANGES,
    Adopting,
    Following,
    Joining,
    Leading,
    Role,
    Starting,
    State,
    Won,
)
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Office"]


class Office:
    """One server's role, and what it remembers in it."""

    def __init__(self, now_ms: float) -> None:
        self.state: State = Starting(Follower(now_ms))
        self.role_since_ms = now_ms
        self.adopting: Adopting | None = None

    @property
    def party(self) -> Leader | Follower:
        """The part that clients and other servers are served by."""
        return self.state.leader if isinstance(self.state, Leading) else self.state.follower

    @property
    def is_fenced(self) -> bool:
        """Whether nobody is answered, because the witness has lost its memory (V9)."""
        return isinstance(self.state, Starting) and self.state.fenced

    def win(self, view: View, step: Step) -> None:
        """Lead as soon as that may be: who leads already at once, others when their leases are over."""
        match self.state:
            case Leading():
                self.adopt(view, step)
            case Joining(follower=follower):
                self._become(Won(follower, view, Role.STANDBY), step)
            case Starting(follower=follower, role=role) | Following(follower=follower, role=role):
                self._become(Won(follower, view, role), step)
            case Won() as won:
                won.view = view
            case _:
                assert_never(self.state)

    def adopt(self, view: View, step: Step) -> None:
        """Adopt the epoch that was won; whatever comes waits until that is durable (A2)."""
        self.adopting = Adopting(view, adopt_own(view, step))

    def lead(self, view: View, step: Step) -> None:
        """Begin to lead the epoch that was won, and is adopted durably."""
        self.adopting = None
        details = {"epoch": view.epoch, "in_sync": sorted(view.in_sync), "action_id": step.tip}
        if view.cause is not None:
            details |= {"cause": view.cause.in_words, "by": view.cause.by}
        held: list[ClientEvent] = []
        if isinstance(self.state, Leading):
            leader = self.state.leader
            step.report("view changed", **details)
        else:
            held = self.state.follower.take_held()
            leader = Leader(view, step)
            self._become(Leading(leader), step, **details)
        for other in step.links.servers:
            step.send(other, ViewNews(view=view))
        leader.begin_epoch(view, step)
        leader.view_moved(step)
        for event in held:
            leader.asked(event, step)

    def step_down(self, view: View | None, known: View | None, why: str, step: Step) -> None:
        """Stop leading, for `view` if that is why; clients are sent to whoever leads in the view known."""
        assert isinstance(self.state, Leading)
        leader = self.state.leader
        follower = Follower(step.now_ms, leader.ever_acknowledged)
        self._become(Following(follower), step, led_epoch=leader.view.epoch, why=why)
        leader.end(view, known, step)

    def follow(self, view: View, step: Step) -> None:
        """Another server leads in this view, or another process: be what it makes of this one."""
        assert not isinstance(self.state, Leading)
        follower, member = self.state.follower, step.is_member(view)
        self._become(Following(follower) if member else Joining(follower), step)
        if view.primary == step.server and not member:
            why = "the view names the disk that this server has lost as the primary's"
            step.report("waiting", **{"for": sorted(view.in_sync - {view.primary}), "why": why})
        follower.begin_following(view, step)

    def claim_nothing(self, step: Step) -> None:
        """What was won is given up: somebody knows of a newer epoch."""
        match self.state:
            case Won(follower=follower, role=Role.STARTING):
                self._become(Starting(follower), step)
            case Won(follower=follower):
                self._become(Following(follower), step)
            case _:
                pass

    def know_nothing(self, step: Step, *, fenced: bool) -> None:
        """Be nothing until there is a view again (V9)."""
        assert not isinstance(self.state, Leading)
        self._become(Starting(self.state.follower, fenced), step)

    def _become(self, state: State, step: Step, **details: Any) -> None:
        """Be something else from now on; if people call it otherwise, that is one line in the log."""
        before, role = self.state.role, state.role
        if role is not before:
            if role not in LEGAL_ROLE_CHANGES[before]:
                raise BrokenInvariant(f"{step.server} cannot go from {before.value} to {role.value}")
            step.report(role.value, was=before.value, **details)
            self.role_since_ms = step.now_ms
        self.state = state
