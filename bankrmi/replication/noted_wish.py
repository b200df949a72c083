"""A wish of an operator that is done when the view says so: a pause of automatic takeover, a retirement.

Rule: it is done whichever proposal brought that about (V6). Who asked is told then, or when nobody knows in
      time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from bankrmi.replication.cause import Cause
from bankrmi.replication.effects import Handed, Refusal, Reply
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["NotedWish"]


@dataclass(slots=True, kw_only=True)
class NotedWish(ABC):
    """One of them, under way at a primary."""

    token: Any
    before: View
    since_ms: float
    cause: Cause

    @abstractmethod
    def wanted(self, view: View) -> View:
        """Return the view to propose."""

    @abstractmethod
    def is_noted_in(self, view: View) -> bool:
        """Whether this view says so."""

    def left(self, view: View | None, _known: View | None, step: Step) -> Reply:
        """This server stops leading, for `view` if it is known: return what to tell the operator."""
        return self.outcome(view, step) or Refusal("another view was won meanwhile")

    def outcome(self, view: View | None, step: Step) -> Reply | None:
        """Return what to tell the operator, with this view; None while it may still come to something."""
        if view is not None and self.is_noted_in(view):
            return Handed(self.before, view)
        if step.now_ms - self.since_ms <= step.settings.switchover_timeout_ms:
            return None
        silent = "the witness did not answer in time, or is too old for it (its log says so)"
        if step.proposals.settled:
            return Refusal(silent)
        return Refusal(f"{silent}, so it may happen yet: `bankrmi status` shows it")
