"""What a child process tells whoever started it, on a descriptor that it was given: a JSON object in a line.

Rule: exactly one line, or none: that it is ready, or that it ended because of something that may pass by
itself.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from bankrmi.errors import BankError

__all__ = ["AWAITS", "say_awaiting", "say_ready"]

AWAITS = "awaits"
"""Detail of an error: for what to wait, and start again."""


def say_ready(ready_fd: int | None, *, server: str, address: str, role: str | None = None) -> None:
    """Tell that this process does its work."""
    told: dict[str, object] = {"pid": os.getpid(), "server": server, "address": address}
    _say(ready_fd, told if role is None else {**told, "role": role})


def say_awaiting(ready_fd: int | None, error: BankError) -> None:
    """Tell, before this process ends with the error, if it need not be the last try."""
    if AWAITS in error.details:
        _say(ready_fd, {AWAITS: error.details[AWAITS]})


def _say(ready_fd: int | None, told: dict[str, object]) -> None:
    if ready_fd is not None:
        with suppress(OSError):  # Whoever started us has ended, or looks at nothing.
            os.write(ready_fd, json.dumps(told).encode() + b"\n")
            os.close(ready_fd)
