"""Who runs this command, by the word of this machine.

For people, who may want to ask why: nobody is proven by it.
"""

from __future__ import annotations

import getpass
import os
import socket

__all__ = ["who_runs_this"]


def who_runs_this() -> str:
    """Return the user and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # An id without a name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
