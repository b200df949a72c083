"""How many calls of the account, or of a service, were answered how, and how long that took.

Rule 1: kinds and outcomes are from closed sets: whatever a caller sends makes no new one.
Rule 2: a call is counted once, by its outcome; one that waited for the rules is timed as well, from when its
        message came, in line or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Literal, get_args

from bankrmi.errors import BankError
from bankrmi.histogram import Histogram

__all__ = [
    "DONE",
    "ERROR",
    "GONE",
    "KINDS",
    "OF_ACCOUNTS",
    "OF_SERVICES",
    "Countable",
    "Kind",
    "KindFigures",
    "RequestFigures",
]

Kind = Literal[
    "withdraw",
    "deposit",
    "transfer",
    "open_account",
    "close_account",
    "total",
    "statement",
    "balance",
    "submit",
    "outcome",
    "status",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

DONE, GONE, ERROR = "done", "gone", "error"


@dataclass(frozen=True, slots=True)
class Countable:
    """What an object's calls can be, and what can come of them."""

    kinds: tuple[str, ...]
    outcomes: tuple[str, ...]
    """`done`, or the code of an error; `gone`: nobody was left to read the answer; `error`: anything else."""

    @property
    def timed(self) -> tuple[str, ...]:
        """The kinds that wait for the rules."""
        return tuple(kind for kind in self.kinds if kind != "status")


def _outcomes(*declined: str) -> tuple[str, ...]:
    common = ("invalid_request", "stale", "cancelled", "forgotten", "busy", "not_primary", "behind")
    return (DONE, *declined, *common, "in_doubt", GONE, ERROR)


OF_ACCOUNTS = Countable(
    KINDS,
    _outcomes(
        "account_not_found",
        "insufficient_funds",
        "balance_too_large",
        "account_exists",
        "account_not_empty",
    ),
)
OF_SERVICES = Countable(("update", "query", "outcome", "status"), _outcomes("service_error"))
"""A method that is called by its own name counts as what it is marked as."""

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class KindFigures:
    """Those of the calls of one kind."""

    __slots__ = ("counts", "seconds")

    def __init__(self, outcomes: Iterable[str]) -> None:
        self.counts = dict.fromkeys(outcomes, 0)
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

    def __init__(self, countable: Countable = OF_ACCOUNTS) -> None:
        self.countable = countable
        self.of = {kind: KindFigures(countable.outcomes) for kind in countable.kinds}
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
        return {kind: self.of[kind].seconds for kind in self.countable.timed}
