"""What the rules have counted since the process began, for whoever watches it.  Nothing is decided by it.

Rule 1: plain numbers, and as many of them after a year as after a second.
Rule 2: a change of the view is counted under one of `CAUSES`, as far as the two views tell.
"""

from __future__ import annotations

from typing import Literal, get_args

from bankrmi.histogram import Histogram
from bankrmi.replication.view import View

__all__ = ["CAUSES", "Cause", "Figures", "ViewChanges", "cause_of"]

Cause = Literal["first", "takeover", "switchover", "left_out", "let_in", "started_again", "forced", "several"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
"""`several`: views in between were not seen here."""


def cause_of(before: View | None, after: View) -> Cause:
    """Return why the view changed, as far as the two tell."""
    if before is None:
        return "first"
    if after.forced or after.history != before.history:
        return "forced"
    if after.epoch != before.epoch + 1:
        return "several"
    if after.handed_over_by is not None:
        return "switchover"
    if after.primary != before.primary:
        return "takeover"
    if after.in_sync - before.in_sync or _another_disk(before, after):
        return "let_in"
    return "left_out" if before.in_sync - after.in_sync else "started_again"


def _another_disk(before: View, after: View) -> bool:
    return any(
        after.incarnations[name] != before.incarnations[name] for name in after.in_sync & before.in_sync
    )


class ViewChanges:
    """How often the view has changed, by cause."""

    def __init__(self, view: View | None = None) -> None:
        """`view` is known already: it is no change."""
        self._by_cause: dict[Cause, int] = dict.fromkeys(CAUSES, 0)
        self._view = view

    def counts(self) -> dict[str, int]:
        """Return how many, by cause."""
        return {str(cause): count for cause, count in self._by_cause.items()}

    def learned(self, view: View) -> None:
        """There is this view now; the one that a process finds when it begins is no change."""
        if self._view is not None:
            self.changed_to(view)
        self._view = view

    def changed_to(self, view: View) -> None:
        """The view has changed to this one; there may have been none before."""
        self._by_cause[cause_of(self._view, view)] += 1
        self._view = view


class Figures:
    """The figures of one process."""

    def __init__(self) -> None:
        self.group_requests = Histogram(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
        self.group_operations = Histogram(1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
        self.views = ViewChanges()

    def formed(self, requests: int, operations: int) -> None:
        """A group was formed of so many new requests."""
        self.group_requests.observe(requests)
        self.group_operations.observe(operations)
