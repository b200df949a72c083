"""A primary pauses automatic takeover, or resumes it, as an operator wants.  Rule V11.

Rule 1: it is done when the view says so, whichever proposal brought that about (V6).
Rule 2: not while a server is connected that could not read such a view. One that is away, and turns out to be
        older, stays outside until it is upgraded, or takeover is automatic again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bankrmi.moments import as_logged
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.effects import Handed, Refusal, Reply
from bankrmi.replication.events import PauseAsked
from bankrmi.replication.pause import Pause
from bankrmi.replication.step import Step
from bankrmi.replication.view import ADDED, View

__all__ = ["Pausing", "begun"]


@dataclass(slots=True)
class Pausing:
    """The view is to be paused so, or (None) not to be paused any more."""

    token: Any
    pause: Pause | None
    before: View
    since_ms: float
    cause: Cause

    def wanted(self, view: View) -> View:
        """Return the view to propose."""
        return view.paused_by(self.pause).because(self.cause)

    def left(self, view: View | None, _known: View | None, step: Step) -> Reply:
        """This server stops leading, for `view` if it is known: return what to tell the operator."""
        return self.outcome(view, step) or Refusal("another view was won meanwhile")

    def outcome(self, view: View | None, step: Step) -> Reply | None:
        """Return what to tell the operator, with this view; None while it may still come to something."""
        if view is not None and view.paused == self.pause:
            return Handed(self.before, view)
        if step.now_ms - self.since_ms <= step.settings.switchover_timeout_ms:
            return None
        silent = "the witness did not answer in time, or is too old for it (its log says so)"
        if step.proposals.settled:
            return Refusal(silent)
        return Refusal(f"{silent}, so it may happen yet: `bankrmi status` shows it")


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
    return Pausing(event.token, event.pause, view, step.now_ms, cause)
