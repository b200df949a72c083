"""A child of `up` never outlives it, not even when `up` is killed with -9.

Rule: called first thing in the child, because everything before it is a moment in which it could be orphaned.
Assumption: Linux. Elsewhere only the orderly end of `up` ends its children.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int | None) -> None:
    """Have the kernel kill this process when the thread that started it ends; None: nobody to follow.

    SIGKILL, not SIGTERM: nobody is left who would restart what is stopped in good order, and a bank
    that loses all its processes at once must come up again from its disks anyway.
    """
    if parent_pid is None:
        return
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # It died before the kernel knew what to do then.
        os.kill(os.getpid(), signal.SIGKILL)
