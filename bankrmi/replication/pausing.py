"""A primary pauses automatic takeover, or resumes it, as an operator wants.  Rule V11.

Rule 1: it is done when the view says so, whichever proposal brought that about (V6).
Rule 2: not while a server is connected that could not read such a view. One that is away, and turns out to be
        older, stays outside until it is upgraded, or takeover is automatic again.
"""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.moments import as_logged
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.effects import Refusal
from bankrmi.replication.events import PauseAsked
from bankrmi.replication.noted_wish import NotedWish
from bankrmi.replication.pause import Pause
from bankrmi.replication.step import Step
from bankrmi.replication.view import ADDED, View

__all__ = ["Pausing", "begun"]


@dataclass(slots=True, kw_only=True)
class Pausing(NotedWish):
    """The view is to be paused so, or (None) not to be paused any more."""

    pause: Pause | None

    def wanted(self, view: View) -> View:
        return view.paused_by(self.pause).because(self.cause)

    def is_noted_in(self, view: View) -> bool:
        return view.paused == self.pause


def begun(event: PauseAsked, view: View, step: Step) -> Pausing | Refusal:
    """Return what is to be done; or why there is nothing to be done."""
    if event.pause is None and view.paused is None:
        return Refusal("automatic takeover is not paused")
    if event.pause is not None and view.paused is not None:
        since = as_logged(view.paused.since_us)
        return Refusal(f"it is paused already, by {view.paused.by} since {since}")
    why = step.links.why_not_yet(ADDED["paused"].since, step.links.servers)
    if event.pause is not None and why:
        return Refusal(why)
    kind = CauseKind.RESUMED if event.pause is None else CauseKind.PAUSED
    cause = Cause(kind=kind, by=step.server, operator=event.operator)
    return Pausing(token=event.token, pause=event.pause, before=view, since_ms=step.now_ms, cause=cause)
