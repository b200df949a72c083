"""The one history that was acknowledged: the journal at the end of a recording.

Rule: it is checked in full before anything is held against it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.outcomes import follow
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.record import DONE, Position, Record
from bankrmi.robustness.power_loss.states import State
from bankrmi.server.data_directory import DATABASE
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.journal_check import check_all

__all__ = ["Reference", "read_reference"]

_KEPT_EVERY = 200


class Reference:
    """Records in order, and what the accounts hold after any of them."""

    def __init__(self, history: str, records: Sequence[Record], opening: Mapping[int, int]) -> None:
        self.history = history
        self.records = list(records)
        self.digests: dict[int, bytes] = {}
        """Of the record that holds an operation, by action id."""
        self._kept: list[dict[int, int]] = [dict(opening)]
        balances = dict(opening)
        for number, record in enumerate(records, 1):
            self.digests.update(dict.fromkeys(range(record.first_id, record.action_id + 1), record.digest))
            _follow(balances, record)
            if number % _KEPT_EVERY == 0:
                self._kept.append(dict(balances))

    def holds(self, action_id: int, digest: bytes | None) -> bool:
        """Whether there is such an operation (in a record with this digest, if one is given)."""
        held = self.digests.get(action_id)
        return held is not None and digest in (None, held)

    def balances_after(self, rows: list[tuple[Any, ...]]) -> dict[int, int] | None:
        """Return what the accounts hold after these records; None if they are not a beginning of ours."""
        if self.records[: len(rows)] != rows:
            return None
        kept = len(rows) // _KEPT_EVERY
        balances = dict(self._kept[kept])
        for record in self.records[kept * _KEPT_EVERY : len(rows)]:
            _follow(balances, record)
        return balances


def _follow(balances: dict[int, int], record: Record) -> None:
    for entry in record.entries():
        if entry.status == DONE:
            follow(balances, entry)


def read_reference(end: State, server: str, ledger: Mapping[int, int], told: Mapping[str, int]) -> Reference:
    """Read a server's disk as it was at the end; check it by itself, and against what clients were told."""
    with tempfile.TemporaryDirectory() as scratch:
        for path, content in end.files.items():
            if path.startswith(f"data/{server}/{DATABASE}"):
                (Path(scratch) / Path(path).name).write_bytes(content)
        database = open_database(Path(scratch) / DATABASE)
        journal = SqliteJournal(database, Accounts({}), new_incarnation=lambda: "none")
        try:
            records, adopted, opening = journal.records(0, 1 << 62), journal.adopted, journal.position(0)
            assert adopted is not None
            assert opening is not None
            check_all(
                Position(*opening),
                records,
                dict(journal.export()),
                journal.opened_with,
                adopted,
                written_to=journal.tip.action_id,
            )
        finally:
            journal.close()
    newest = {f"{record.session}:{record.sequence}": record.action_id for record in records}
    for request_id, action_id in told.items():
        if newest.get(request_id) != action_id:
            raise BrokenInvariant(
                f"{request_id} was answered with action id {action_id}, and the journal has it at "
                f"{newest.get(request_id)}"
            )
    return Reference(adopted.history, records, ledger)
