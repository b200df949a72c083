"""What a person or a script writes for a number, on the command line and in the menu."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from bankrmi.bank.operations import LARGEST

__all__ = ["RealRange", "is_too_large", "whole_number"]

# Longer ones cannot be numbers of ours anyway, and must not be printed in full.
_DIGITS = re.compile(r"[0-9]{1,30}")


def whole_number(text: str) -> int | str:
    """Return the number; anything else as it was written, for `check_account` to refuse."""
    return int(text) if _DIGITS.fullmatch(text) else text


def is_too_large(text: str) -> bool:
    """Return whether it is a whole number, and over the largest that there can be."""
    digits = text.lstrip("0")
    return text.isascii() and text.isdigit() and (len(digits) > 30 or int(digits or "0") > LARGEST)


class RealRange(click.FloatRange):
    """A range of numbers; `nan`, which lies in every one of click's, and `inf` are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or refuse it in one sentence."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
