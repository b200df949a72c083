"""The disk did not do what it was told: the one error of this room that stops a server."""

from __future__ import annotations

__all__ = ["DiskFailed"]


class DiskFailed(Exception):
    """What was asked of the disk is open (rule F1): the process stops, and tells nobody anything newer."""
