"""What a person or a script writes for a number, on the command line and in the menu."""

from __future__ import annotations

import re

__all__ = ["whole_number"]

# Longer ones are no number of ours anyway, and must not be printed in full.
_DIGITS = re.compile(r"[0-9]{1,30}")


def whole_number(text: str) -> int | str:
    """Return the number; anything else as it was written, for `check_account` to refuse."""
    return int(text) if _DIGITS.fullmatch(text) else text
