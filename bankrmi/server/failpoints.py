"""Places at which a test can make the process kill itself, as a power cut would.

    BANKRMI_FAILPOINT=before-commit:group:3      kill -9 at the third time that place is reached

Rule: without the variable, a failpoint costs one comparison, and does nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["VARIABLE", "failpoint"]

VARIABLE = "BANKRMI_FAILPOINT"


def _armed(wanted: str) -> Callable[[str], None]:
    place, _, count = wanted.rpartition(":")
    left = int(count)

    def reach(name: str) -> None:
        nonlocal left
        if name == place:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


def _nothing(name: str) -> None:
    """Go on."""


failpoint: Callable[[str], None] = _armed(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else _nothing
"""Called with the name of the place that was reached."""
