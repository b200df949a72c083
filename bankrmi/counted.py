"""How many of what, as people say it: "1 operation", "2 operations"."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str = "") -> str:
    """Return the number with its noun; `many` is for nouns that do not just take an s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
