"""One look at a bank after the other: its status, and how the view came to be what it is.

Rule 1: the history of the view is asked for when the view is another one, and at no other time: it costs
        nothing to watch a bank in which nothing changes.
Rule 2: where its keeper does not tell the history (it is away, or tells operators only), what was seen of the
        view while it was watched stands for it, and it is said why.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from bankrmi import client
from bankrmi.cli.health import Status
from bankrmi.cli.history import row
from bankrmi.config import Configuration
from bankrmi.errors import BankError
from bankrmi.replication.cause import Cause

__all__ = ["Change", "Look", "Looks"]

_CHANGES = 20
_AGAIN_S = 10.0
"""After this long a history that was not told is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One view, and the line of `bankrmi history` about it."""

    history: object
    epoch: object
    row: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen: `changes` are the newest, oldest first; `untold` says why there are no older ones."""

    at_s: float
    status: Status
    changes: tuple[Change, ...]
    untold: str


class Looks:
    """All looks at one bank."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._changes: tuple[Change, ...] = ()
        self._untold = ""
        self._failed_s = 0.0

    def look(self) -> Look:
        """Ask everybody; it takes some seconds where somebody is silent."""
        at_s = time.monotonic()
        status = client.overview(self._configuration)
        view = status["view"]
        newest = self._changes[-1] if self._changes else None
        is_new = newest is None or view is None or (newest.history, newest.epoch) != _key(view)
        is_due = self._untold and at_s - self._failed_s >= _AGAIN_S
        if view is not None and (is_new or is_due):
            self._learn(status, at_s, is_new=is_new)
        return Look(at_s=at_s, status=status, changes=self._changes, untold=self._untold)

    def _learn(self, status: Status, at_s: float, *, is_new: bool) -> None:
        try:
            if not status["witness"]["reachable"]:
                raise BankError("who keeps the view cannot be reached")
            views = client.history(self._configuration, limit=_CHANGES)
        except BankError as error:
            self._untold, self._failed_s = error.message, at_s
            if is_new:
                self._changes = (*self._changes, _seen(status["view"]))[-_CHANGES:]
            return
        self._untold = ""
        self._changes = tuple(
            Change(
                history=view.history,
                epoch=view.epoch,
                row=row(view.written_us, view.epoch, view.primary, view.in_sync, view.cause),
            )
            for view in views
        )


def _key(view: Status) -> tuple[object, object]:
    return view["history"], view["epoch"]


def _seen(view: Status) -> Change:
    cause = Cause.from_wire(view.get("cause"))
    told = row(view.get("written_us"), view["epoch"], view["primary"], view["in_sync"], cause)
    return Change(history=view["history"], epoch=view["epoch"], row=told)
