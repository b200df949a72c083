"""The record of what is rolled back: `rolled-back-<epoch>.jsonl` beside the database, a line an operation.

Nothing in it was acknowledged; it is for whoever has to explain where an operation went.

Rule: it is on the disk before the first operation is undone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bankrmi.replication.record import CANCELLED, Entry, Record, entries_of
from bankrmi.storage.database import DiskFailed, private_opener, sync_directory
from bankrmi.storage.state_machine import StateMachine

__all__ = ["keep_record"]


def keep_record(removed: Sequence[Record], folder: Path, machine: StateMachine) -> None:
    """Add these records, oldest first, to the file of the epoch of the first one.  Raises DiskFailed."""
    path = folder / f"rolled-back-{removed[0].epoch}.jsonl"
    try:
        with open(path, "a", encoding="utf-8", opener=private_opener) as file:
            for entry in entries_of(removed):
                file.write(json.dumps(_in_words(entry, machine), default=repr) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise DiskFailed(f"the disk refused the record of what is rolled back: {error}") from error


def _in_words(entry: Entry, machine: StateMachine) -> dict[str, Any]:
    what = {} if entry.status == CANCELLED else machine.describe(entry.operation)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.time_us // 1_000_000))
    return {
        "action_id": entry.action_id,
        "epoch": entry.epoch,
        "request_id": f"{entry.session}:{entry.sequence}",
        "place": entry.place,
        **what,
        "status": entry.status,
        "result": machine.shown(entry.result),
        "time": when,
        "digest": entry.digest.hex(),
    }
