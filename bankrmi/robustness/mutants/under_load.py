"""Planted bugs in what a server or a client does when there is more to do than time ("Work takes time").

W1 a turn of the loop has a budget, and own work comes first; W2 slow is not dead; W3 a retry joins the
request that is under way; W4 what waits has a bound.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from bankrmi.client.open_attempts import OpenAttempt, OpenAttempts
from bankrmi.rmi.turn import Line, Turn
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.server.waiting import WaitingRoom

__all__ = ["MUTANTS"]


def _not_counted(
    self: Turn[Any],
    caller: Any,
    line: Line,
    ms: float,
    work_ms: float | None = None,
    *,
    is_message: bool = True,
) -> bool:
    return False


def _always_room(self: WaitingRoom, cost: int, now_ms: float, waited_ms: float = 0.0) -> bool:
    return True


def _nothing_like_it(self: WaitingRoom, key: Hashable | None) -> None:
    return None


def _once_and_for_all(self: OpenAttempts, attempt: OpenAttempt) -> int:
    """A connection that is not answered within the patience has had its time, whoever else is heard."""
    return attempt.begun_ms + attempt.patience_ms


def _never_asked(self: OpenAttempts, attempt: OpenAttempt) -> int:
    """Nobody is asked for a sign of life."""
    return self._deadline_ms


MUTANTS = (
    Mutant(
        name="no-budget-a-turn",
        rule="W1",
        goes_wrong="callers are served while the links of servers wait, and a healthy primary is deposed",
        patches=(Patch(Turn, "spent", _not_counted),),
        under_load=True,
        kind="liveness",
    ),
    Mutant(
        name="patience-drops-the-connection",
        rule="W2",
        goes_wrong="a client drops the connection that it waits on, and comes anew with the same request",
        patches=(
            Patch(OpenAttempts, "silent_at_ms", _once_and_for_all),
            Patch(OpenAttempts, "ping_at_ms", _never_asked),
        ),
        under_load=True,
        kind="liveness",
    ),
    Mutant(
        name="queue-a-retry-twice",
        rule="W3",
        goes_wrong="a retry waits beside the request that it repeats, and each costs what both would",
        patches=(Patch(WaitingRoom, "find", _nothing_like_it),),
    ),
    Mutant(
        name="queue-without-a-bound",
        rule="W4",
        goes_wrong="whoever is not served in time waits in memory, and how much that is others decide",
        patches=(Patch(WaitingRoom, "has_room", _always_room),),
        under_load=True,
    ),
)
