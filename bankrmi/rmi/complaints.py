"""The log lines that strangers can cause: a few a second, for a full disk stops a bank.

Rule: every line of this room that a caller can provoke goes through here.
Assumption: the first lines of a flood tell as much as all of them.
"""

from __future__ import annotations

import time

import structlog

__all__ = ["Complaints", "complaints"]


class Complaints:
    """Logs up to `lines` lines a second, then says how many more there were."""

    def __init__(self, lines: int = 20) -> None:
        self._lines = lines
        self._second = 0
        self._said = 0
        self._log = structlog.get_logger("bankrmi.rmi")

    def note(self, event: str, **values: object) -> None:
        """Log what a caller did."""
        if self._allowed():
            self._log.info(event, **values)

    def error(self, event: str, error: Exception, **values: object) -> None:
        """Log what went wrong here, with its traceback."""
        if self._allowed():
            self._log.error(event, exc_info=error, **values)

    def _allowed(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            left_out, self._second, self._said = self._said - self._lines, second, 0
            if left_out > 0:
                self._log.warning("log lines about callers were left out", lines=left_out)
        self._said += 1
        return self._said <= self._lines


complaints = Complaints()
