"""How a long-running process runs: on uvloop where there is one, else on asyncio's own event loop.

Nothing may rest on which it is: uvloop only costs less (a sixth of a server's time for single operations). It
counts whole milliseconds, and its handles are of other classes.
"""

from __future__ import annotations

try:
    from uvloop import new_event_loop, run
except ImportError:  # Not on this platform, or not for this Python.
    from asyncio import new_event_loop, run  # type: ignore[assignment]

__all__ = ["new_event_loop", "run"]
