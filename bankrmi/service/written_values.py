"""Values and calls as a person writes them: `{"a": null}`, `b"\\x00"`, `put("apple", count=1)`.

Rule 1: literals alone, as JSON or as Python has them: nothing is looked up, and nothing is run.
Rule 2: whatever is wrong is one sentence (`InvalidRequest`), however odd the text.
Assumption: whoever brings the text has cut it to a length.
"""

from __future__ import annotations

import ast
import json
import re
from math import inf, nan
from typing import Any

from bankrmi.errors import InvalidRequest
from bankrmi.foreign_text import foreign

__all__ = ["read_arguments", "read_call", "read_value"]

_NAMES = {
    "true": True,
    "false": False,
    "null": None,
    "inf": inf,
    "nan": nan,
    "Infinity": inf,
    "NaN": nan,
}
"""What stands for a value by its name: JSON's words, and numbers that have no digits."""
_OF_A_SERVICE = re.compile(r"\s*([A-Za-z0-9_-]+\.)(?=[^\W\d]\w*\s*\()")
"""What stands before the method where its service is said; that name need not be one of Python's."""
_SHOWN_AT_MOST = 60
_BROKEN = (ValueError, SyntaxError, RecursionError, MemoryError, OverflowError)
"""What Python raises for a text that is no expression, or one that is nested too deeply."""


def read_value(text: str) -> Any:
    """Return the value that is written there; raises InvalidRequest."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # Then as Python writes it.
    try:
        return _literal(ast.parse(text.strip(), mode="eval").body)
    except _BROKEN:
        raise InvalidRequest(f"{_shown(text)} is no value: write it as JSON, or as Python does") from None


def read_arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments in `"apple", count=1`, by place and by name; raises InvalidRequest."""
    _, args, kwargs = _called(f"_({text}\n)", text)
    return args, kwargs


def read_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return which method is called in `put("apple", count=1)`, and with what; raises InvalidRequest.

    In `stock.put("apple")` that is `stock.put`.
    """
    found = _OF_A_SERVICE.match(text)
    service, call = (found[1], text[found.end() :]) if found else ("", text)
    name, args, kwargs = _called(call.strip(), text)
    return service + name, args, kwargs


def _called(expression: str, text: str) -> tuple[str, list[Any], dict[str, Any]]:
    try:
        call = ast.parse(expression, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("it is no call")
        named = {one.arg: _literal(one.value) for one in call.keywords if one.arg is not None}
        if len(named) != len(call.keywords):
            raise ValueError("** is no literal, and a name stands there once")
        return call.func.id, [_literal(one) for one in call.args], named
    except _BROKEN:
        raise InvalidRequest(
            f'{_shown(text)} is no call with values alone, such as put("apple", count=1)'
        ) from None


def _literal(node: ast.expr) -> Any:
    """Return what an expression is; raises what `_BROKEN` has."""
    return ast.literal_eval(_InPython().visit(node))


class _InPython(ast.NodeTransformer):
    """Puts values in the place of names."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace what has a value by its name; another name is no literal."""
        if node.id not in _NAMES:
            raise ValueError(f"{node.id} is no literal")
        return ast.copy_location(ast.Constant(_NAMES[node.id]), node)


def _shown(text: str) -> str:
    return repr(foreign(text, _SHOWN_AT_MOST))
