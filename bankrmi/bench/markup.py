"""HTML out of plain values; what is text stays text.

Rule: every text and every attribute is escaped here, and nowhere else. `Markup` is what has been made by
      `element`, or is written in our own code (style, script, drawings), and never what a run brings.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["Content", "Markup", "cells", "element", "joined", "scrolled"]

_VOID = frozenset({"br", "meta", "col"})


class Markup(str):
    """HTML that is ready."""

    __slots__ = ()


Content = str | Iterable[str | Iterable[str]]


def joined(content: Content) -> Markup:
    """Return one piece of HTML from texts and pieces of HTML."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(content))
    return Markup("".join(map(joined, content)))


def element(name: str, /, *content: Content, **attributes: str | int | bool) -> Markup:
    """Return an element; `data_x` is data-x, `class_` class; True has no value, False is left out."""
    opening = name + "".join(
        f" {_spelled(key)}" if value is True else f' {_spelled(key)}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not False and value != ""
    )
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{joined(map(joined, content))}</{name}>")


def _spelled(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def cells(name: str, *texts: str, scope: str = "") -> Markup:
    """Return a row of a table, each of its cells a `name`."""
    return element("tr", (element(name, text, scope=scope) for text in texts))


def scrolled(table: Markup) -> Markup:
    """Return a table that may be wider than the page."""
    return element("div", table, class_="scrolled", tabindex="0", role="region", aria_label="table")
