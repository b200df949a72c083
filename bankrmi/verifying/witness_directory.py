"""Is a stopped witness's data directory sound?  SQLite's own check, each view's checksum, and their order."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import apsw

from bankrmi.coordination.succession import objection
from bankrmi.coordination.view_store import FORMAT
from bankrmi.replication.view import View
from bankrmi.storage.pages import page_faults
from bankrmi.verifying.journal_check import CopyFault
from bankrmi.verifying.stopped_directory import opened_unchanged
from bankrmi.verifying.verdict import DatabaseVerdict

__all__ = ["VIEWS", "verify_views"]

VIEWS = "view.db"


def verify_views(path: Path) -> DatabaseVerdict:
    """Judge the witness's database."""
    holds, faults = "nothing that can be read", []
    try:
        with opened_unchanged(path) as database:
            if pages := page_faults(database):
                raise CopyFault(pages)
            _check_format(database)
            holds = _check_views(database)
    except CopyFault as fault:
        faults.append(str(fault))
    except (apsw.Error, UnicodeDecodeError) as error:
        faults.append(f"{path.name} cannot be read: {error}")
    return DatabaseVerdict(path=path, holds=holds, faults=tuple(faults), has_journal=False)


def _check_format(database: apsw.Connection) -> None:
    found = database.execute("PRAGMA user_version").get
    if not 0 <= found <= FORMAT:
        raise CopyFault(f"it is of format {found}, and this version verifies formats up to {FORMAT}")


def _check_views(database: apsw.Connection) -> str:
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'views'").get:
        return "no view yet"
    newest: dict[str, View] = {}
    past: dict[str, set[str]] = {}
    received = _received(database)
    rows = "SELECT number, service, history, epoch, view, checksum FROM views ORDER BY number"
    for number, service, history, epoch, text, checksum in database.execute(rows):
        view = _view(number, text, checksum)
        if (view.history, view.epoch) != (history, epoch):
            raise CopyFault(f"view {number} says epoch {view.epoch} of {view.history}, and stands as another")
        reason = objection(newest.get(service), view, past.setdefault(service, set()))
        if number in received:  # It followed another, at another keeper, and was moved here.
            reason = None
        if reason is not None:
            raise CopyFault(f"view {number} cannot follow the one before: {reason}")
        newest[service] = view
        past[service].add(history)
    if not newest:
        return "no view yet"
    return "; ".join(
        f"{service}: epoch {view.epoch} of history {view.history}, primary {view.primary}, "
        f"in sync {', '.join(sorted(view.in_sync))}"
        for service, view in sorted(newest.items())
    )


def _received(database: apsw.Connection) -> set[int]:
    """Return the numbers of the views that came from another keeper."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'moves'").get:
        return set()
    received = set()
    for service, view, moved_to, checksum in database.execute(
        "SELECT service, view, moved_to, checksum FROM moves"
    ):
        if hashlib.blake2b(f"{service} {view} {moved_to}".encode(), digest_size=16).hexdigest() != checksum:
            raise CopyFault("a move of the view does not match its checksum")
        if not moved_to:
            received.add(view)
    return received


def _view(number: int, text: str, checksum: str) -> View:
    if hashlib.blake2b(text.encode(), digest_size=16).hexdigest() != checksum:
        raise CopyFault(f"view {number} does not match its checksum")
    try:
        return View.from_wire(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise CopyFault(f"view {number} cannot be read") from error
