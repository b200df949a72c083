"""A disk that takes its time: every fsync of a process is held up for a while, by strace.

Rule: where strace is missing, or may not trace that process, nothing happens, and that is said: it counts as
      held up only once its kernel says that strace has it.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["slow_disk"]

_CALLS = "fsync,fdatasync"
_LETS_GO_WITHIN_S = 5.0
_HOLDS_WITHIN_S = 2.0
_LOOK_S = 0.005


@contextmanager
def slow_disk(pid: int, late_ms: int) -> Iterator[bool]:
    """Hold up each fsync of that process by `late_ms` while the context lasts; False if it cannot be done."""
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
        yield _holds(holding, pid)
    finally:
        holding.terminate()
        try:
            holding.wait(_LETS_GO_WITHIN_S)
        except subprocess.TimeoutExpired:  # The process that it holds stands still, and it waits for that.
            holding.kill()
            holding.wait()


def _holds(holding: subprocess.Popen[bytes], pid: int) -> bool:
    """Wait until strace has that process, or has given up."""
    deadline = time.monotonic() + _HOLDS_WITHIN_S
    while holding.poll() is None and time.monotonic() < deadline:
        if _tracer_of(pid) == holding.pid:
            return True
        time.sleep(_LOOK_S)
    return False


def _tracer_of(pid: int) -> int:
    """Return the process that traces this one, 0 if none does, or if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("TracerPid:")), 0)
