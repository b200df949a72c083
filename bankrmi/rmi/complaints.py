"""The log lines that strangers can cause: the first of each kind, then a few a minute.

Rule: every line of this room that a caller can provoke goes through here. (All lines of a process have a
budget, see `logging_setup`; what strangers cause has a smaller one.)
"""

from __future__ import annotations

import structlog

from bankrmi.line_budget import LineBudget

__all__ = ["Complaints", "complaints"]

_BURST = 20
_EVERY_SECONDS = 5.0


class Complaints:
    """Logs 20 lines of a kind at once and one every 5 s after that, and says how many more there were."""

    def __init__(self) -> None:
        self._budget = LineBudget(_BURST, _EVERY_SECONDS)
        self._log = structlog.get_logger("bankrmi.rmi")

    def note(self, event: str, **values: object) -> None:
        """Log what a caller did."""
        if self._budget.allows(event):
            self._log.info(event, **values, **self._more())

    def error(self, event: str, error: Exception, **values: object) -> None:
        """Log what went wrong here, with its traceback."""
        if self._budget.allows(event):
            self._log.error(event, exc_info=error, **values, **self._more())

    def _more(self) -> dict[str, str]:
        left_out = self._budget.left_out()
        return {"left_out": left_out} if left_out else {}


complaints = Complaints()
