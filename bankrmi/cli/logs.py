"""The log files of children, as they grow; and what a line of them says (`logging_setup` writes them).

Rule 1: nothing is waited for, and little is read at once: a child that says too much is followed late, or not
        at all.
Rule 2: a file that was moved away is read to its end, then the one in its place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

__all__ = ["FollowedLog", "LogLine", "read_line"]

_READ_BYTES = 1 << 16
_FALLEN_BEHIND_BYTES = 1 << 20
"""Over this, it skips to the newest lines: what happened long ago is in the file."""

_LINE = re.compile(r"(?P<time>\S+)Z (?P<level>\w+) +(?P<server>\S+?)\[\d+\] (?P<rest>.*)")
_DETAIL = re.compile(r' (?P<key>[A-Za-z_]+)=(?P<value>"(?:[^"\\]|\\.)*"|\S*)')


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One event; `details` as text, in the order of the line."""

    time_s: float
    level: str
    event: str
    details: Mapping[str, str]


class FollowedLog:
    """What is added to a file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._begun = b""
        with suppress(OSError):
            self._file = path.open("rb")
            self._file.seek(0, os.SEEK_END)

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that are complete now, and were not before."""
        try:
            data = self._read()
        except OSError:
            return
        *lines, self._begun = (self._begun + data).split(b"\n")
        self._begun = self._begun[-_READ_BYTES:]
        for line in lines:
            yield line.decode(errors="replace")

    def _read(self) -> bytes:
        if self._file is None:
            self._file = self._path.open("rb")
        behind = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if behind > _FALLEN_BEHIND_BYTES:
            self._file.seek(-_READ_BYTES, os.SEEK_END)
            self._begun = b""
        data = self._file.read(_READ_BYTES)
        if not data and self._was_replaced():
            self.close()
        return data

    def _was_replaced(self) -> bool:
        assert self._file is not None
        ours, there = os.fstat(self._file.fileno()), self._path.stat()
        return (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino) or there.st_size < self._file.tell()

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_line(line: str) -> LogLine | None:
    """Return what a line of a log says; None if it is not ours, such as a traceback."""
    try:
        return _of_json(json.loads(line)) if line.startswith("{") else _of_text(line)
    except (ValueError, KeyError, TypeError):
        return None


def _of_text(line: str) -> LogLine | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    rest = found["rest"]
    details = list(_DETAIL.finditer(rest))
    event = rest[: details[0].start()] if details else rest
    return LogLine(
        time_s=_seconds(found["time"]),
        level=found["level"],
        event=event,
        details={detail["key"]: _value(detail["value"]) for detail in details},
    )


def _value(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def _of_json(form: dict[str, Any]) -> LogLine:
    first = {"time", "level", "server", "pid", "event"}
    return LogLine(
        time_s=_seconds(str(form["time"]).removesuffix("Z")),
        level=str(form["level"]),
        event=str(form["event"]),
        details={
            key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
            for key, value in form.items()
            if key not in first
        },
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()
