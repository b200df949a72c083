"""A keeper of the view that a server asks for a change only while its own certificate counts.

Whose certificate has ended, or was revoked, is cut off by the others, by each at a moment of its own; and an
etcd goes by other certificates altogether. A primary that lost its standby so, and still reached the keeper,
would go on alone, where no client reaches it any more, and nobody may take over.

Rule: it proposes nothing then. To read the view harms nobody: so it learns that another one leads.
"""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.coordination.coordinator import Coordinator, Expected, OnSilence
from bankrmi.replication.view import View

__all__ = ["OwnStanding"]


class OwnStanding:
    """A `Coordinator`; `why_not` says why the own certificate counts no more, and nothing while it does."""

    def __init__(self, keeper: Coordinator, why_not: Callable[[], str]) -> None:
        self._keeper = keeper
        self._why_not = why_not

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        """Ask for the view."""
        self._keeper.read(on_answer, on_silence)

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        """Propose `view` to follow `expected`, or tell at once why nothing was sent."""
        if why_not := self._why_not():
            on_silence(why_not, False)
            return
        self._keeper.propose(expected, view, on_answer, on_silence)

    def history(
        self, after: Expected, on_answer: Callable[[list[View]], None], on_silence: OnSilence
    ) -> None:
        """Ask for the views that followed `after`."""
        self._keeper.history(after, on_answer, on_silence)

    def close(self) -> None:
        """Forget all that is under way, without a word."""
        self._keeper.close()
