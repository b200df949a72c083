"""A primary retires the bank's servers for a database that keeps it; or reinstates them.  Rule V14.

Rule 1: from the proposal on nothing is decided and nothing read; so whichever view is won, what the journal
        holds then is all that was ever acknowledged here.
Rule 2: it is done when the view says so, whichever proposal brought that about (V6). The view says so from
        then on, whoever leads, until an operator reinstates the servers.
Rule 3: not while a server is connected that could not read such a view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.effects import Handed, Refusal, Reply
from bankrmi.replication.events import RetireAsked
from bankrmi.replication.step import Step
from bankrmi.replication.view import ADDED, View

__all__ = ["Retiring", "begun"]


@dataclass(slots=True)
class Retiring:
    """The servers are to be retired for that, or (None) to be reinstated."""

    token: Any
    retired_for: str | None
    before: View
    since_ms: float
    cause: Cause

    def wanted(self, view: View) -> View:
        """Return the view to propose."""
        return view.retiring(self.retired_for).because(self.cause)

    def left(self, view: View | None, _known: View | None, step: Step) -> Reply:
        """This server stops leading, for `view` if it is known: return what to tell the operator."""
        return self.outcome(view, step) or Refusal("another view was won meanwhile")

    def outcome(self, view: View | None, step: Step) -> Reply | None:
        """Return what to tell the operator, with this view; None while it may still come to something."""
        if view is not None and view.retired_for == self.retired_for:
            return Handed(self.before, view)
        if step.now_ms - self.since_ms <= step.settings.switchover_timeout_ms:
            return None
        silent = "the witness did not answer in time, or is too old for it (its log says so)"
        if step.proposals.settled:
            return Refusal(silent)
        return Refusal(f"{silent}, so it may happen yet: `bankrmi status` shows it")


def begun(event: RetireAsked, view: View, step: Step) -> Retiring | Refusal:
    """Return what is to be done; or why there is nothing to be done."""
    if event.retired_for is None and view.retired_for is None:
        return Refusal("the servers of this bank are not retired")
    if event.retired_for is not None and view.retired_for is not None:
        return Refusal(f"the servers of this bank are retired already: it is in {view.retired_for}")
    why = step.links.why_not_yet(ADDED["retired_for"].since, step.links.servers)
    if event.retired_for is not None and why:
        return Refusal(why)
    kind = CauseKind.REINSTATED if event.retired_for is None else CauseKind.RETIRED
    cause = Cause(kind=kind, by=step.server, operator=event.operator)
    return Retiring(event.token, event.retired_for, view, step.now_ms, cause)
