"""A primary retires the bank's servers for a database that keeps it; or reinstates them.  Rule V14.

Rule 1: from the proposal on nothing is decided and nothing read, until it is won, or given up. What a server
        holds that leads a view which says so is all that was ever acknowledged here.
Rule 2: it is done when the view says so, whichever proposal brought that about (V6). The view says so from
        then on, whoever leads, until an operator reinstates the servers.
Rule 3: not while a server is connected that could not read such a view.
Rule 4: they are reinstated from the view that the operator has seen: since then they may have been reinstated
        and retired again, by somebody who has moved the bank.

That nothing is decided while the view is asked for only makes the pause short: if it is given up, and wins
all the same, what was decided meanwhile is in the journal that the retired epoch begins with. Whoever moves
the bank goes by a server that leads such an epoch, whatever he was told.
"""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.effects import Refusal
from bankrmi.replication.events import RetireAsked
from bankrmi.replication.noted_wish import NotedWish
from bankrmi.replication.step import Step
from bankrmi.replication.view import ADDED, View

__all__ = ["Retiring", "begun"]


@dataclass(slots=True, kw_only=True)
class Retiring(NotedWish):
    """The servers are to be retired for that, or (None) to be reinstated."""

    retired_for: str | None

    def wanted(self, view: View) -> View:
        return view.retiring(self.retired_for).because(self.cause)

    def is_noted_in(self, view: View) -> bool:
        return view.retired_for == self.retired_for


def begun(event: RetireAsked, view: View, step: Step) -> Retiring | Refusal:
    """Return what is to be done; or why there is nothing to be done."""
    if event.retired_for is None and view.retired_for is None:
        return Refusal("the servers of this bank are not retired")
    if event.seen is not None and event.seen != (view.history, view.epoch):
        return Refusal(f"the view has changed since: it is that of epoch {view.epoch} now")
    if event.retired_for is not None and view.retired_for is not None:
        return Refusal(f"the servers of this bank are retired already: it is in {view.retired_for}")
    why = step.links.why_not_yet(ADDED["retired_for"].since, step.links.servers)
    if event.retired_for is not None and why:
        return Refusal(why)
    kind = CauseKind.REINSTATED if event.retired_for is None else CauseKind.RETIRED
    cause = Cause(kind=kind, by=step.server, operator=event.operator)
    return Retiring(
        token=event.token, retired_for=event.retired_for, before=view, since_ms=step.now_ms, cause=cause
    )
