"""How many calls of the account were answered how, and how long that took.

Rule 1: kinds and outcomes are from closed sets: whatever a caller sends makes no new one.
Rule 2: a call is counted once, by its outcome; one that waited for the rules is timed as well, from when its
        message came (a stranger's: from its turn on).
"""

from __future__ import annotations

from typing import Literal, get_args

from bankrmi.errors import BankError
from bankrmi.histogram import Histogram

__all__ = ["DONE", "GONE", "KINDS", "OUTCOMES", "TIMED", "Kind", "RequestFigures"]

Kind = Literal["withdraw", "deposit", "balance", "submit", "outcome", "status"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TIMED: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "status")
"""Those that wait for the rules."""

DONE, GONE, ERROR = "done", "gone", "error"
OUTCOMES = (
    DONE,
    "account_not_found",
    "insufficient_funds",
    "balance_too_large",
    "invalid_request",
    "stale",
    "cancelled",
    "busy",
    "not_primary",
    "behind",
    "in_doubt",
    GONE,
    ERROR,
)
"""`done`, or the code of an error; `gone`: nobody was left to read the answer; `error`: anything else."""

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class RequestFigures:
    """Those of one server."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int]] = {kind: dict.fromkeys(OUTCOMES, 0) for kind in KINDS}
        """By kind, and then by outcome."""
        self.seconds: dict[str, Histogram] = {kind: Histogram(*_SECONDS) for kind in TIMED}
        """By kind."""

    def by_kind_and_outcome(self) -> dict[tuple[str, str], int]:
        """Return the counts."""
        return {
            (kind, outcome): count
            for kind, counts in self.counts.items()
            for outcome, count in counts.items()
        }

    def answered(self, kind: str, outcome: str, took_s: float | None = None) -> None:
        """Count an answer; `took_s` is how long it took, if it waited for the rules."""
        self.counts[kind][outcome] += 1
        if took_s is not None:
            self.seconds[kind].observe(took_s)

    def failed(self, kind: str, error: BankError, took_s: float | None = None) -> None:
        """Count an answer that is an error."""
        self.answered(kind, error.code if error.code in self.counts[kind] else ERROR, took_s)
