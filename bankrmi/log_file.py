"""The log file of a process: opened again on SIGHUP, and set aside when it is large.

Rule 1: everything that the process says goes there, a traceback too: the descriptors of the standard streams
        follow the file.
Rule 2: a file that cannot be set aside is written on, and one that cannot be opened again too; what cannot be
        written is lost. Nothing of that ends the process.
Rule 3: files are for their owner only.
"""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

__all__ = ["LogFile"]


class LogFile(RotatingFileHandler):
    """A file that grows to `file_bytes` (0: without limit); `files_kept` of those before it stay: `.1`, …"""

    def __init__(self, path: Path, *, file_bytes: int, files_kept: int) -> None:
        """Open it; raises OSError."""
        super().__init__(path, maxBytes=file_bytes, backupCount=files_kept, encoding="utf-8")

    def write(self, line: str) -> None:
        """Add a line, and set the file aside before if that makes it too large."""
        self.handle(logging.makeLogRecord({"msg": line}))

    def open_again(self) -> None:
        """Go on in a file of this name, which whoever moved the other one away wants; raises OSError."""
        with self.lock:  # type: ignore[union-attr]  # A handler has one from its beginning.
            opened, before = self._open(), self.stream
            self.stream = opened
            if before is not None:
                before.close()

    def doRollover(self) -> None:  # noqa: N802 (the standard library's name)
        """Set the file aside; where that fails, go on with it."""
        try:
            super().doRollover()
        except OSError:
            if self.stream is None:
                self.stream = _text(os.dup(2))  # Which is the file yet, wherever that is now.

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """What cannot be written is lost."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        return _text(descriptor)


def _text(descriptor: int) -> TextIOWrapper:
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
