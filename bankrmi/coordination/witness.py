"""The witness: the remote object that keeps the view, and lets exactly one change of it win.

Rule 1: it knows nothing of who is alive and decides nothing; it compares, and sets.
Rule 2: what it answers is on disk.
Rule 3: when the disk fails, the caller hears nothing certain, and the process is told to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.view_store import DiskFailed, ViewStore
from bankrmi.errors import InvalidRequest
from bankrmi.replication.fields import epoch, identifier
from bankrmi.replication.view import View

__all__ = ["WITNESS_ID", "Witness"]

WITNESS_ID = "bankrmi.witness"

_MOST_SERVERS = 100

Result = TypeVar("Result")


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


class Witness:
    """What servers and operators call: `read`, `propose`, `history`, all in plain values.

    `on_view(service, view)` is called after each change, `on_disk_failure(sentence)` when it has to stop.
    """

    def __init__(
        self,
        store: ViewStore,
        *,
        on_view: Callable[[str, View], None] = _ignore,
        on_disk_failure: Callable[[str], None] = _ignore,
    ) -> None:
        self._store = store
        self._on_view = on_view
        self._on_disk_failure = on_disk_failure

    def read(self, service: str) -> dict[str, Any] | None:
        """Return the view of `service`, None if there is none."""
        view = self._guarded(lambda: self._store.current(_service(service)))
        return None if view is None else view.to_wire()

    def propose(self, service: str, expected: Any, view: Any) -> dict[str, Any]:
        """Set the view of `service` if `expected` is what it is; return who won and what the view is now."""
        name, follows, proposed = _service(service), _expected(expected), _view(view)
        won, current = self._guarded(lambda: self._store.propose(name, follows, proposed))
        if won and current is not None:
            self._on_view(name, current)
        return {"won": won, "view": None if current is None else current.to_wire()}

    def history(self, service: str) -> list[dict[str, Any]]:
        """Return every view of `service` there ever was, oldest first."""
        return [view.to_wire() for view in self._guarded(lambda: self._store.history(_service(service)))]

    def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except DiskFailed as failure:
            self._on_disk_failure(failure.message)
            raise


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
    return view
