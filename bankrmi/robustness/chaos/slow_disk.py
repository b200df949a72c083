"""A disk that takes its time: every fsync of a process is held up for a while, by strace.

Rule: where strace is missing, or may not be used, nothing happens, and that is said.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["slow_disk"]

_CALLS = "fsync,fdatasync"
_LETS_GO_WITHIN_S = 5.0


@contextmanager
def slow_disk(pid: int, late_ms: int) -> Iterator[bool]:
    """Hold up each fsync of that process for so long, as long as the context lasts; False if it cannot be."""
    strace = shutil.which("strace")
    if strace is None:
        yield False
        return
    inject = f"inject={_CALLS}:delay_enter={late_ms * 1000}"
    command = [strace, "-f", "-qq", "-p", str(pid), "-e", f"trace={_CALLS}", "-e", inject, "-o", "/dev/null"]
    holding = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield True
    finally:
        holding.terminate()
        try:
            holding.wait(_LETS_GO_WITHIN_S)
        except subprocess.TimeoutExpired:  # The process that it holds stands still, and it waits for that.
            holding.kill()
            holding.wait()
