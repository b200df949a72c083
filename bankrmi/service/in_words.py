"""Calls and values as people read them, and never too long.

Rule: what is shown of a value can be written where a value is asked for (see `written_values`), unless it was
      cut.
"""

from __future__ import annotations

import json
from typing import Any

from bankrmi.service.calls import Called

__all__ = ["call_in_words", "value_as_text", "value_in_words"]

_WORDS_AT_MOST = 200
_ARGUMENT_AT_MOST = 80


def call_in_words(call: Called) -> str:
    """Return a call as one would write it, and not too long."""
    shown = [value_in_words(value) for value in call.args]
    shown += [f"{name}={value_in_words(value)}" for name, value in call.kwargs.items()]
    words = f"{call.method}({', '.join(shown)})"
    return words if len(words) <= _WORDS_AT_MOST else f"{words[: _WORDS_AT_MOST - 4]}...)"


def value_as_text(value: Any) -> str:
    """Return plain values as JSON; as Python writes them where JSON has no such thing, as bytes."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return repr(value)


def value_in_words(value: object) -> str:
    """Return any value as Python shows it, and not too long."""
    words = repr(value)
    return words if len(words) <= _ARGUMENT_AT_MOST else f"{words[: _ARGUMENT_AT_MOST - 3]}..."
