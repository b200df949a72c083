"""What programs and libraries say they are."""

from __future__ import annotations

import importlib.metadata
import subprocess

__all__ = ["library_version", "said_version"]


def said_version(*command: str) -> str:
    """Return the first line that a program prints; nothing if it cannot be asked."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(told.stdout.splitlines()), "").strip()


def library_version(package: str) -> str:
    """Return the version of an installed package; nothing if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
