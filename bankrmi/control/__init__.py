"""What can be done to a bank that `bankrmi up` runs, beyond signals: over a socket in its data directory.

    server      `up`'s side: does what is asked for, for as long as whoever asked stays connected
    client      the side of the console, and of `bankrmi misfortune`
    wire        what both say: a JSON object in a line

Rule 1: whatever is done is held by a connection, and is undone when that ends, however it ends: nothing stays
        broken because whoever broke it was killed.
Rule 2: only the bank's own user can ask: the socket is in a directory of his, and the kernel says who asks.
Rule 3: connections, lines and what one may hold are bounded.
"""

from __future__ import annotations

from .client import Control
from .server import Action, ControlServer

__all__ = ["Action", "Control", "ControlServer"]
