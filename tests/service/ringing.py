"""Signals to the own process, by names that a method of a service may use: see `service.guard`."""

from __future__ import annotations

import signal

__all__ = ["heard", "interrupt"]

heard: list[str] = []
"""What methods came to."""

_raise_signal = signal.raise_signal


def interrupt() -> None:
    """As if Ctrl-C were pressed now."""
    _raise_signal(signal.SIGINT)
