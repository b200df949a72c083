"""What a process tells systemd, if that has started it: that it is ready, and that its event loop goes round.

    Type=notify, WatchdogSec=30 in the unit; the protocol is sd_notify(3)'s: datagrams to $NOTIFY_SOCKET

Rule: whoever was not started so tells nobody anything; a service manager that does not listen stops nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

__all__ = ["ServiceManager"]

_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """The one that has started this process; `tick` is called often, from its event loop."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = environment.get(_SOCKET, "")
        if self._address.startswith("@"):  # One without a file.
            self._address = f"\0{self._address[1:]}"
        self._seconds = seconds
        self._every_s = _every_s(environment) if self._address else None
        self._told_s = float("-inf")

    def say_ready(self) -> None:
        """Say that this process does its work, whatever that is by now."""
        self._say(f"READY=1\nMAINPID={os.getpid()}")

    def say_stopping(self) -> None:
        """Say that it is about to end in good order."""
        self._say("STOPPING=1")

    def tick(self) -> None:
        """Say, twice as often as it has to be said, that it is alive."""
        if self._every_s is not None and self._seconds() - self._told_s >= self._every_s:
            self._told_s = self._seconds()
            self._say("WATCHDOG=1")

    def _say(self, state: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(state.encode(), self._address)


def _every_s(environment: Mapping[str, str]) -> float | None:
    """Return how often to say so, in seconds; None if nobody waits for it, or it is another process's."""
    if environment.get(_WATCHDOG_PID, str(os.getpid())) != str(os.getpid()):
        return None
    try:
        within_us = int(environment.get(_WATCHDOG, ""))
    except ValueError:
        return None
    return within_us / 2e6 if within_us > 0 else None
