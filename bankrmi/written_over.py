"""One line on a terminal, written over again and again for a person who waits; nothing where nobody watches.

Rule: no escape code is sent to a terminal that calls itself dumb, or does not say what it is. There, one line
comes below the other, now and then.
"""

from __future__ import annotations

import os
import sys
import time

from bankrmi.foreign_text import visible

__all__ = ["CLEAR_LINE", "WrittenOver", "is_dumb"]

CLEAR_LINE = "\r\x1b[K"
_DUMB = frozenset({"", "dumb", "unknown"})
_ON_DUMB_TERMINALS_S = 10.0


def is_dumb() -> bool:
    """Whether the terminal, if there is one, may not be sent escape codes."""
    return os.environ.get("TERM", "") in _DUMB


class WrittenOver:
    """The line; on standard error, as all chatter."""

    def __init__(self, *, every_s: float = 0.0) -> None:
        """Show no more than one text in `every_s` seconds."""
        self._every_s = every_s
        self._shown_s = float("-inf")
        self._standing = False

    def show(self, text: str) -> None:
        """Put this in the place of what was shown before; nothing, if it is empty."""
        if not text:
            self.clear()
            return
        dumb, now_s = is_dumb(), time.monotonic()
        every_s = max(self._every_s, _ON_DUMB_TERMINALS_S if dumb else 0.0)
        if not sys.stderr.isatty() or now_s - self._shown_s < every_s:
            return
        self._shown_s = now_s
        self._standing = not dumb
        sys.stderr.write(f"{visible(text)}\n" if dumb else CLEAR_LINE + visible(text))
        sys.stderr.flush()

    def clear(self) -> None:
        """Take away what stands there."""
        if self._standing:
            self._standing = False
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
