"""How many calls of the account were answered how, and how long that took.

Rule 1: kinds and outcomes are from closed sets: whatever a caller sends makes no new one.
Rule 2: a call is counted once, by its outcome; one that waited for the rules is timed as well, from when its
        message came, in line or not.
"""

from __future__ import annotations

from time import monotonic
from typing import Literal, get_args

from bankrmi.errors import BankError
from bankrmi.histogram import Histogram

__all__ = ["DONE", "GONE", "KINDS", "OUTCOMES", "TIMED", "Kind", "KindFigures", "RequestFigures"]

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
    "forgotten",
    "busy",
    "not_primary",
    "behind",
    "in_doubt",
    GONE,
    ERROR,
)
"""`done`, or the code of an error; `gone`: nobody was left to read the answer; `error`: anything else."""

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class KindFigures:
    """Those of the calls of one kind."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(OUTCOMES, 0)
        """By outcome."""
        self.seconds = Histogram(*_SECONDS)

    def done(self, began_s: float) -> float:
        """Count one that is done, and has taken the time since then; return how long that was."""
        self.counts[DONE] += 1
        seconds = monotonic() - began_s
        self.seconds.observe(seconds)
        return seconds

    def failed(self, error: BankError, began_s: float | None = None) -> None:
        """Count one that is answered with an error, at the door, or after the time since then."""
        self.counts[error.code if error.code in self.counts else ERROR] += 1
        if began_s is not None:
            self.seconds.observe(monotonic() - began_s)


class RequestFigures:
    """Those of one server."""

    def __init__(self) -> None:
        self.of: dict[str, KindFigures] = {kind: KindFigures() for kind in KINDS}
        """By kind."""

    def by_kind_and_outcome(self) -> dict[tuple[str, str], int]:
        """Return the counts."""
        return {
            (kind, outcome): count
            for kind, figures in self.of.items()
            for outcome, count in figures.counts.items()
        }

    def seconds(self) -> dict[str, Histogram]:
        """Return how long the calls took that were timed, by kind."""
        return {kind: self.of[kind].seconds for kind in TIMED}
