"""What the rules have counted since the process began, for whoever watches it.  Nothing is decided by it.

Rule 1: plain numbers, and as many of them after a year as after a second.
Rule 2: a change of the view is counted under the cause that it carries; those that were not seen are not.
"""

from __future__ import annotations

from bankrmi.histogram import Histogram
from bankrmi.replication.cause import CauseKind
from bankrmi.replication.view import View

__all__ = ["CAUSES", "Figures", "ViewChanges"]

_UNKNOWN = "unknown"
CAUSES = (*(kind.value for kind in CauseKind), _UNKNOWN)
"""Those of `cause`; `unknown` of a view whose maker noted none, as versions before did."""


class ViewChanges:
    """How often the view has changed, by cause."""

    def __init__(self, view: View | None = None) -> None:
        """`view` is known already: it is no change."""
        self._by_cause = dict.fromkeys(CAUSES, 0)
        self._view = view

    def counts(self) -> dict[str, int]:
        """Return how many, by cause."""
        return dict(self._by_cause)

    def learned(self, view: View) -> None:
        """There is this view now; the one that a process finds when it begins is no change."""
        if self._view is not None:
            self.changed_to(view)
        self._view = view

    def changed_to(self, view: View) -> None:
        """The view has changed to this one; there may have been none before."""
        self._by_cause[_UNKNOWN if view.cause is None else view.cause.kind.value] += 1
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
