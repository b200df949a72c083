"""Moments as people read them: UTC, like the logs."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["moment"]


def moment(time_us: object) -> str | None:
    """Return a moment, given in microseconds since 1970, to the millisecond; None if it is none."""
    if type(time_us) is not int:
        return None
    try:
        said = datetime.fromtimestamp(time_us / 1e6, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return f"{said.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
