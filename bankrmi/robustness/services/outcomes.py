"""What came of one call, as its client sees it: a value, or an exception by its class and words.

Rule: two outcomes are equal if their values are, packed; so NaN is NaN, and 1 is not True.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from bankrmi.service.calls import Raised, result_of

__all__ = ["CallOutcome", "outcome_told"]

_SHOWN_AT_MOST = 120
WORDS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """`raised` is the class of an exception and `words` what it says; else `packed` is the value."""

    packed: bytes = b""
    raised: str = ""
    words: str = ""
    module: str = ""

    @classmethod
    def returned(cls, value: object) -> CallOutcome:
        """It returned this plain value."""
        return cls(packed=msgpack.packb(value))

    @classmethod
    def of(cls, raised: Raised) -> CallOutcome:
        """It raised this."""
        return cls(raised=raised.name, words=raised.words, module=raised.module)

    @property
    def value(self) -> Any:
        """What it returned."""
        return msgpack.unpackb(self.packed, strict_map_key=False)

    @property
    def in_the_past(self) -> str:
        """What it did, as in "it returned 3"."""
        return f"raised {self._error}" if self.raised else f"returned {self}"

    @property
    def in_the_present(self) -> str:
        """What it does, as in "it returns 3"."""
        return f"raises {self._error}" if self.raised else f"returns {self}"

    @property
    def _error(self) -> str:
        return _short(f"{self.raised}: {self.words}" if self.words else self.raised)

    def __str__(self) -> str:
        return f"raised {self._error}" if self.raised else _short(repr(self.value))


def outcome_told(outcome: Any) -> CallOutcome:
    """Return what came of a call by what a journal holds of it (see `service.calls`); raises ValueError."""
    try:
        return CallOutcome.returned(result_of(outcome))
    except Raised as raised:
        return CallOutcome.of(raised)


def _short(words: str) -> str:
    return words if len(words) <= _SHOWN_AT_MOST else f"{words[: _SHOWN_AT_MOST - 3]}..."
