"""What the servers on this machine have rolled back, by the records in their data directories.

Rule: of each record only the newest few entries are told, and how many there are; a record is read again only
      when it has grown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bankrmi.foreign_text import foreign
from bankrmi.local_processes import LocalProcesses
from bankrmi.service.calls import Called
from bankrmi.service.in_words import call_in_words
from bankrmi.service.served_services import qualified

__all__ = ["RolledBack"]

ENTRIES_TOLD = 20
RECORDS_READ = 20
READ_BYTES = 1 << 20
_TOLD = ("action_id", "request_id", "kind", "account", "to", "amount", "status", "time")


class RolledBack:
    """Of one bank, as far as it was told."""

    def __init__(self, processes: LocalProcesses, home: str = "") -> None:
        """`home`: of several services the first one, whose calls have plain names in a journal."""
        self._processes = processes
        self._home = home
        self._sizes: dict[Path, int] = {}

    def news(self, servers: Iterable[str]) -> list[dict[str, Any]]:
        """Return each record of these servers that is new, or has grown."""
        return [
            told for server in servers for path in self._records(server) if (told := self._new(server, path))
        ]

    def _new(self, server: str, path: Path) -> dict[str, Any] | None:
        try:
            found = path.stat()
            if found.st_size == self._sizes.get(path):
                return None
            self._sizes[path] = found.st_size
            entries, count = _read(path, self._home)
        except (OSError, ValueError):
            return None  # It is written just now, or is somebody else's.
        return {
            "server": server,
            "epoch": _epoch_of(path),
            "entries": entries,
            "count": count,
            "noticed_ms": round(found.st_mtime * 1000),
            "record": str(path),
        }

    def _records(self, server: str) -> list[Path]:
        try:
            found = list(self._processes.directory(server).glob("rolled-back-*.jsonl"))
        except OSError:
            return []
        return sorted(found, key=_epoch_of)[-RECORDS_READ:]


def _read(path: Path, home: str) -> tuple[list[dict[str, Any]], int]:
    """Return the newest entries of a record, the oldest of them first, and how many there are in all."""
    with path.open("rb") as file:
        lines = file.read(READ_BYTES).splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    return [_shown(json.loads(line), home) for line in whole[-ENTRIES_TOLD:]], len(whole)


def _shown(entry: Mapping[str, Any], home: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError("an entry is an object")
    shown = {key: entry[key] for key in _TOLD if key in entry}
    kind, args, by_name = entry.get("kind"), entry.get("arguments"), entry.get("by_name", {})
    if isinstance(kind, str) and isinstance(args, list) and isinstance(by_name, dict):
        name = kind if "." in kind else qualified(home, kind)
        shown["call"] = foreign(call_in_words(Called(name, args, by_name)))
    return shown


def _epoch_of(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
