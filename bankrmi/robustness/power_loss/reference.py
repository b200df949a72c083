"""The one history that was acknowledged: the journal at the end of a recording.

Rule: it is checked in full before anything is held against it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bankrmi.bank.accounts import Accounts, described
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.entry import Entry, Position
from bankrmi.robustness.power_loss.states import State
from bankrmi.server.data_directory import DATABASE
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.journal_check import check_all

__all__ = ["Reference", "read_reference"]

_KEPT_EVERY = 200


class Reference:
    """Entries in order, and what the accounts hold after any of them."""

    def __init__(self, history: str, entries: Sequence[Entry], opening: Mapping[int, int]) -> None:
        self.history = history
        self.entries = list(entries)
        self._kept: list[dict[int, int]] = [dict(opening)]
        balances = dict(opening)
        for entry in entries:
            _follow(balances, entry)
            if entry.action_id % _KEPT_EVERY == 0:
                self._kept.append(dict(balances))

    def holds(self, action_id: int, digest: bytes | None) -> bool:
        """Whether there is such an entry (with this digest, if one is given)."""
        if not 0 < action_id <= len(self.entries):
            return False
        return digest is None or self.entries[action_id - 1].digest == digest

    def balances_after(self, entries: list[tuple[Any, ...]]) -> dict[int, int] | None:
        """Return what the accounts hold after these entries; None if they are not a beginning of ours."""
        if self.entries[: len(entries)] != entries:
            return None
        kept = len(entries) // _KEPT_EVERY
        balances = dict(self._kept[kept])
        for entry in self.entries[kept * _KEPT_EVERY : len(entries)]:
            _follow(balances, entry)
        return balances


def _follow(balances: dict[int, int], entry: Entry) -> None:
    if entry.status == "done" and isinstance(entry.result, int):
        balances[described(entry.operation)["account"]] = entry.result


def read_reference(end: State, server: str, ledger: Mapping[int, int], told: Mapping[str, int]) -> Reference:
    """Read a server's disk as it was at the end; check it by itself, and against what clients were told."""
    with tempfile.TemporaryDirectory() as scratch:
        for path, content in end.files.items():
            if path.startswith(f"data/{server}/{DATABASE}"):
                (Path(scratch) / Path(path).name).write_bytes(content)
        database = open_database(Path(scratch) / DATABASE)
        journal = SqliteJournal(database, Accounts({}), new_incarnation=lambda: "none")
        try:
            entries, adopted, opening = journal.entries(0, 1 << 62), journal.adopted, journal.position(0)
            assert adopted is not None
            assert opening is not None
            check_all(Position(*opening), entries, dict(journal.export()), journal.opened_with, adopted)
        finally:
            journal.close()
    newest = {f"{entry.session}:{entry.sequence}": entry.action_id for entry in entries}
    for request_id, action_id in told.items():
        if newest.get(request_id) != action_id:
            raise BrokenInvariant(
                f"{request_id} was answered with action id {action_id}, and the journal has it at "
                f"{newest.get(request_id)}"
            )
    return Reference(adopted.history, entries, ledger)
