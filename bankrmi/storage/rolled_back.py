"""The record of what is rolled back: `rolled-back-<epoch>.jsonl` beside the database, a line an operation.

Nothing in it was acknowledged; it is for whoever has to explain where an operation went.

Rule: it is on the disk before the first operation is undone. So of what a last line that is cut off was
about nothing was undone, and it goes before anything is added to it.
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

_LOOKED_AT = 4096
"""Bytes; longer than most lines."""


def keep_record(removed: Sequence[Record], folder: Path, machine: StateMachine) -> None:
    """Add these records, oldest first, to the file of the epoch of the first one.  Raises DiskFailed."""
    path = folder / f"rolled-back-{removed[0].epoch}.jsonl"
    try:
        with open(path, "a", encoding="utf-8", opener=private_opener) as file:
            if (whole := _whole_lines(path)) != file.tell():
                file.truncate(whole)
            for entry in entries_of(removed):
                file.write(json.dumps(_in_words(entry, machine), default=repr) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise DiskFailed(f"the disk refused the record of what is rolled back: {error}") from error


def _whole_lines(path: Path) -> int:
    """Return how many bytes whole lines have; a process that was killed, or a full disk, may have left half
    of one at the end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _LOOKED_AT)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            end = begin
    return 0


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
