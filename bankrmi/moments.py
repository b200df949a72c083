"""Moments as people write and read them; inside they are microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor

from bankrmi.counted import counted

__all__ = ["as_logged", "end_in_words", "in_words", "moment"]


def in_words(time_us: int) -> str:
    """Return "2026-11-29 17:18:56.123456 UTC"."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    try:
        whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"
    return f"{whole}.{microseconds:06d} UTC" if microseconds else f"{whole} UTC"


def as_logged(time_us: object) -> str | None:
    """Return a moment as the logs have it, to the millisecond; None if it is none, whoever said so."""
    if type(time_us) is not int:
        return None
    try:
        said = datetime.fromtimestamp(time_us / 1e6, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return f"{said.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def end_in_words(days: float) -> str:
    """Return how soon something ends that lasts so many days yet; whole days may be rounded down."""
    if days < 0:
        return "has ended"
    return f"ends in {counted(floor(days), 'day')}" if days >= 1 else "ends within a day"


def moment(text: str) -> int:
    """Return a moment written as ISO 8601 has it, or as `in_words`; without a zone it is this machine's time.

    Raises ValueError.
    """
    written = text.strip()
    written = f"{written[:-4]}+00:00" if written.endswith(" UTC") else written
    try:
        found = datetime.fromisoformat(written)
        return int(found.astimezone(UTC).timestamp()) * 1_000_000 + found.microsecond
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is not a time: write 2026-11-29T17:18:56Z, or 2026-11-29 17:18:56 in the time of this "
            "machine"
        ) from None
