"""Text of others, made fit for a log line and a terminal: it stays on its line, and is seen as it is.

Rule 1: whatever is not a visible character is written out: control characters (a terminal obeys them), those
        that turn the writing direction around, those of no width (they hide, or hide others).
Rule 2: long text is cut, and says so.
Assumption: what we say ourselves is visible and short; passing it through here changes nothing.
"""

from __future__ import annotations

import unicodedata

__all__ = ["CUT_AT", "cut", "foreign", "visible"]

CUT_AT = 500
"""Characters of one value."""

_INVISIBLE_LETTERS = frozenset(
    "\u115f\u1160\u2800\u3164\uffa0"
)  # Blank, though they count as letters or symbols.
_OF_NO_WIDTH = frozenset({"Mn", "Me"})
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def foreign(text: object, at_most: int = CUT_AT) -> str:
    """Return what somebody else said as it may be shown: on one line, visible, not too long."""
    return visible(cut(str(text), at_most))


def cut(text: str, at_most: int = CUT_AT) -> str:
    """Return the beginning of long text, and how much was left out."""
    if len(text) <= at_most:
        return text
    return f"{text[:at_most]}… ({len(text) - at_most} more)"


def visible(text: str, *, lines: bool = False) -> str:
    """Return the text with what would not be seen written out; `lines` leaves line ends as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if _is_visible(character) or (lines and character == "\n") else _written_out(character)
        for character in text
    )


def _is_visible(character: str) -> bool:
    return (
        character.isprintable()
        and character not in _INVISIBLE_LETTERS
        and unicodedata.category(character) not in _OF_NO_WIDTH
    )


def _written_out(character: str) -> str:
    """Return it as JSON and Python would write it; beyond the first plane, as the pair that JSON writes."""
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return _SHORT.get(character) or f"\\u{code:04x}"
