"""Who keeps the view: three verbs, behind which the witness stands, or one day etcd.

Rule 1: of all proposals that expect one view, at most one wins; it is on disk before anybody is told.
Rule 2: an answer says what the view is *now*; nobody learns from a lost answer whether a proposal won (V6).
Rule 3: each call is answered exactly once, later or at once, by one of its two callbacks, in the event loop.
        Silence (no connection, no answer in time, a keeper that fails) is an answer like the others: it
        says nothing, and above all not "no", unless nothing was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bankrmi.replication.view import View

__all__ = ["Coordinator", "Expected", "OnSilence"]

Expected = tuple[str, int] | None
"""(history, epoch) of the view that a proposal is to follow; None for the first."""

OnSilence = Callable[[str, bool], None]
"""Called if there was no answer, with the reason, and whether anything was sent that may still be decided."""


class Coordinator(Protocol):
    """The keeper of one service's view, as a server sees it."""

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        """Ask for the view; None means that there is none (yet, or any more)."""

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        """Propose `view` to follow `expected`; the answer is the view as it is now, and whether it won."""

    def history(
        self, after: Expected, on_answer: Callable[[list[View]], None], on_silence: OnSilence
    ) -> None:
        """Ask for the views that followed `after` (None: all), oldest first, as many as fit one answer.

        The next ones follow the last of these; after the newest there are none.
        """

    def close(self) -> None:
        """Forget all that is under way, without a word."""
