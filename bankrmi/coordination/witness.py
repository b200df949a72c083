"""The witness: the remote object that keeps the view, and lets exactly one change of it win.

Rule 1: it knows nothing of who is alive and decides nothing; it compares, and sets.
Rule 2: what it answers is on disk.
Rule 3: when the disk fails, the caller hears nothing certain, and the process is told to stop.
Rule 4: whoever may propose decides how much is written, so everything has a bound: the size of a view, how
        many services there are, and how often their views change. The bank of this configuration has a share
        of its own, which no other name can use up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.view_store import StoredView, ViewStore, ViewStoreFailed
from bankrmi.errors import Busy, InvalidRequest
from bankrmi.replication.cause import in_words
from bankrmi.replication.fields import epoch, identifier
from bankrmi.replication.view import View
from bankrmi.rmi import Call, arguments

__all__ = [
    "WITNESS_ID",
    "WITNESS_MOVES_ID",
    "Witness",
    "WitnessMoves",
    "came_to_nothing",
    "move_asked",
    "proposal_asked",
]

WITNESS_ID = "bankrmi.witness"
WITNESS_MOVES_ID = "bankrmi.witness.moves"

_MOST_SERVERS = 100
_LONGEST_VIEW = 8 << 10
MOST_SERVICES = 16
"""Whose views are kept beside those of the own bank."""
CHANGES_AT_ONCE = 2000
CHANGES_PER_SECOND = 2.0
"""A bank that changes its view more often than this for long is not well.  What proposals can add to the disk
is at most 170 MB an hour; a change of usual size takes 1 KB."""

Result = TypeVar("Result")


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


class Witness:
    """What servers and operators call: `read`, `propose`, `history`, `history_before`, all in plain
    values.

    `on_view(service, view)` is called after each change, `on_disk_failure(sentence)` when it has to stop.
    """

    def __init__(
        self,
        store: ViewStore,
        *,
        service: str = "",
        on_view: Callable[[str, View], None] = _ignore,
        on_disk_failure: Callable[[str], None] = _ignore,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`service` is the bank of this configuration."""
        self._store = store
        self._service = service
        self._own, self._others = _Allowance(now_s), _Allowance(now_s)
        self.proposals = {"won": 0, "lost": 0}
        """Those that were decided, of all services."""
        self._on_view = on_view
        self._on_disk_failure = on_disk_failure

    def read(self, service: str) -> dict[str, Any] | None:
        """Return the view of `service`, None if there is none."""
        view = self._guarded(lambda: self._store.here(_service(service)))
        return None if view is None else view.to_wire()

    def propose(self, service: str, expected: Any, view: Any) -> dict[str, Any]:
        """Set the view of `service` if `expected` is what it is; return who won and what the view is now."""
        name, follows, proposed = _service(service), _expected(expected), _view(view)
        allowance = self._own if name == self._service else self._others
        if not allowance.left:
            raise Busy("the view changes too often: ask again in a second")
        if follows is None and name != self._service:
            self._guarded(lambda: self._check_room(name))
        won, current = self._guarded(lambda: self._store.propose(name, follows, proposed))
        self.proposals["won" if won else "lost"] += 1
        if won and current is not None:
            allowance.use()
            self._on_view(name, current)
        return {"won": won, "view": None if current is None else current.to_wire()}

    def history(self, service: str, after: Any = None) -> list[dict[str, Any]]:
        """Return the views of `service` that followed `after`, oldest first, as many as fit one answer.

        `after` is [history, epoch], or nothing to begin; the next ones follow the last of these.
        """
        name, begin = _service(service), _expected(after)
        return [view.to_wire() for view in self._guarded(lambda: self._store.history(name, begin))]

    def history_before(self, service: str, before: Any = None) -> list[dict[str, Any]]:
        """Return the views of `service` before `before`, newest first, as many as fit one answer.

        `before` is [history, epoch], or nothing to begin with the newest; the older ones are before the last
        of these.
        """
        name, end = _service(service), _expected(before)
        return [view.to_wire() for view in self._guarded(lambda: self._store.history_before(name, end))]

    def _check_room(self, service: str) -> None:
        others = set(self._store.services()) - {self._service}
        if service not in others and len(others) >= MOST_SERVICES:
            raise InvalidRequest(
                f"this witness keeps the views of {MOST_SERVICES} services beside its own bank's, and takes "
                f"no other: run a witness with {service!r} as the service of its configuration"
            )

    def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except ViewStoreFailed as failure:
            self._on_disk_failure(failure.message)
            raise


def proposal_asked(call: Call) -> Mapping[str, object]:
    """Return what a proposal asks for, for a line of the log: which view is to follow which, and why."""
    asked = arguments("service", "expected", "view")(call)
    return {"service": asked.get("service"), "follows": asked.get("expected"), **_in_short(asked.get("view"))}


def move_asked(call: Call) -> Mapping[str, object]:
    """Return the same of a move: which view goes where; nowhere means that it comes here."""
    asked = arguments("service", "revision", "view", "moved_to")(call)
    return {
        "service": asked.get("service"),
        "to": asked.get("moved_to") or "this witness",
        **_in_short(asked.get("view")),
    }


def came_to_nothing(answer: object) -> bool:
    """Return whether a proposal or a move was answered with: another one won, or it is not as it was."""
    return isinstance(answer, Mapping) and False in (answer.get("won"), answer.get("done"))


def _in_short(form: object) -> Mapping[str, object]:
    try:
        view = View.from_wire(form)
    except ValueError:
        return {"view": "(unreadable)"}
    return {
        "kind": None if view.cause is None else view.cause.kind.value,
        "cause": in_words(view.cause),
        "history": view.history,
        "epoch": view.epoch,
        "primary": view.primary,
        "in_sync": sorted(view.in_sync),
        "forced": view.forced,
        "paused": view.paused is not None,
    }


class WitnessMoves:
    """What operators call to move the view to another keeper, or back: `kept` and `move`.

    `on_move(service, view, moved_to)` is called after each move.
    """

    def __init__(
        self,
        store: ViewStore,
        *,
        on_move: Callable[[str, View, str | None], None] = _ignore,
        on_disk_failure: Callable[[str], None] = _ignore,
    ) -> None:
        self._store = store
        self._on_move = on_move
        self._on_disk_failure = on_disk_failure

    def kept(self, service: str) -> dict[str, Any]:
        """Return the view of `service`, where it was moved to, if it was, and at which revision."""
        return self._form(self._guarded(lambda: self._store.kept(_service(service))))

    def move(self, service: str, revision: str, view: Any, moved_to: Any) -> dict[str, Any]:
        """Close the service here in favour of `moved_to`, or let `view` go on here (None)."""
        name, wanted = _service(service), _view(view)
        try:
            target = None if moved_to is None else identifier(moved_to)
        except ValueError:
            raise InvalidRequest("not the id of a keeper") from None
        done, kept = self._guarded(lambda: self._store.move(name, str(revision), wanted, target))
        if done:
            self._on_move(name, wanted, target)
        return {"done": done, **self._form(kept)}

    def _form(self, kept: StoredView) -> dict[str, Any]:
        view = None if kept.view is None else kept.view.to_wire()
        return {"id": self._store.id, "view": view, "moved_to": kept.moved_to, "revision": kept.revision}

    def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except ViewStoreFailed as failure:
            self._on_disk_failure(failure.message)
            raise


class _Allowance:
    """How many changes may be written now."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._left = float(CHANGES_AT_ONCE)
        self._at_s = now_s()

    @property
    def left(self) -> bool:
        """Whether there may be one more."""
        now_s = self._now_s()
        self._left = min(self._left + CHANGES_PER_SECOND * (now_s - self._at_s), CHANGES_AT_ONCE)
        self._at_s = now_s
        return self._left >= 1

    def use(self) -> None:
        """There was one."""
        self._left -= 1


def _service(name: object) -> str:
    try:
        return identifier(name)
    except ValueError:
        raise InvalidRequest("not a service name") from None


def _expected(form: object) -> Expected:
    if form is None:
        return None
    try:
        match form:
            case (history, known):
                return identifier(history), epoch(known)
        raise ValueError("it is not made of two")
    except ValueError:
        raise InvalidRequest("what a proposal expects is [history, epoch], or nothing") from None


def _view(form: object) -> View:
    try:
        view = View.from_wire(form)
    except ValueError as error:
        raise InvalidRequest(f"what is proposed {error}") from error
    if len(view.in_sync) > _MOST_SERVERS:
        raise InvalidRequest(f"not a view: more than {_MOST_SERVERS} servers")
    if (
        len(json.dumps(replace(view, cause=None, moves=()).to_wire())) > _LONGEST_VIEW
    ):  # Notes have bounds of their own.
        raise InvalidRequest(f"not a view: it is longer than {_LONGEST_VIEW} bytes")
    return view
