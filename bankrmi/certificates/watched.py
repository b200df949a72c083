"""A value that is read from files, and read anew when they change, while the old one is in use.

Rule 1: nothing is opened unless a file has changed: a look is one `stat` a file.
Rule 2: what cannot be read changes nothing. It is told at the second look that finds it so: several files
        take a moment to be copied, and until then they need not fit each other.
Rule 3: what could not be read is tried again now and then, though no file changed: a date may have come.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from bankrmi.errors import ConfigurationError

__all__ = ["WatchedFiles"]

_log = logging.getLogger(__name__)
_TRY_AGAIN_S = 60.0

_Value = TypeVar("_Value")
_Stamp = tuple[tuple[int, ...] | None, ...]


class WatchedFiles(Generic[_Value]):
    """What `read` makes of the files; `read` raises ConfigurationError, with a sentence."""

    def __init__(
        self,
        files: Sequence[Path],
        read: Callable[[], _Value],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read it for the first time; raises ConfigurationError."""
        self._files = [str(file) for file in files]
        self._read = read
        self._clock = clock
        self._stamp = self._stamp_now()
        self._broken: _Stamp | None = None
        """The files that could not be read, as they were then."""
        self._why = ""
        """The reason, until it has been told."""
        self._try_again_at = 0.0
        self.problem = ""
        """What is wrong with the files as they were when they were last looked at."""
        self.value = read()

    def look(self) -> bool:
        """Read it anew if a file has changed; return whether the value is another one now."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            self.problem = ""
            return False
        if stamp == self._broken and self._clock() < self._try_again_at:
            self._tell()
            return False
        try:
            value = self._read()
        except ConfigurationError as error:
            self._note(stamp, error.message)
            return False
        self.problem = ""
        changed = value != self.value
        self.value, self._stamp = value, stamp
        return changed

    def _note(self, stamp: _Stamp, why: str) -> None:
        self.problem = why
        self._why = "" if stamp == self._broken else why
        self._broken = stamp
        self._try_again_at = self._clock() + _TRY_AGAIN_S

    def _tell(self) -> None:
        if self._why:
            _log.warning("new certificates cannot be used, those before stay in use: %s", self._why)
            self._why = ""

    def _stamp_now(self) -> _Stamp:
        return tuple(_stamp_of(file) for file in self._files)


def _stamp_of(file: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(file)  # noqa: PTH116  (every second, in an event loop)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
