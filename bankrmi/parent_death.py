"""A child of `up` never outlives it, not even when `up` is killed with -9.

Rule: called first thing in the child, because everything before it is a moment in which it could be orphaned.
Assumption: Linux. Elsewhere only the orderly end of `up` ends its children.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["adopt_orphans", "end_with_parent"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def end_with_parent(parent_pid: int | None, ending: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel end this process when the thread that started it ends; None: nobody to follow.

    SIGKILL, not SIGTERM: nobody is left who would restart what is stopped in good order, and a bank
    that loses all its processes at once must come up again from its disks anyway. Whoever has to end others
    first is told by another signal.
    """
    if parent_pid is None:
        return
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, int(ending), "PR_SET_PDEATHSIG")
    if os.getppid() != parent_pid:  # It died before the kernel knew what to do then.
        os.kill(os.getpid(), ending)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: so nobody is lost to us."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER")


def _prctl(option: int, value: int, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({name}) failed")
