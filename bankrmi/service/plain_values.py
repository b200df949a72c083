"""Arguments and results as plain values, the only ones that the journal and the wire hold.

Rule 1: plain are None, bool, int of up to 64 bits, float, str, bytes, and lists and dicts of those. A
        dataclass becomes a dict of its fields, a tuple a list, a set a list in a fixed order.
Rule 2: what comes in is checked against the annotation, and nothing is converted but the container: `"3"` is
        no int.
Rule 3: what was checked is made again what the annotation says before a method sees it.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import msgpack
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

__all__ = ["Annotation", "NotPlain", "plain"]

_SCALARS = (bytes, float, bool, type(None))
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1
_NESTING_AT_MOST = 64


class NotPlain(ValueError):
    """A value that is not plain, or not what its annotation says; the sentence says why."""


def plain(value: object, depth: int = 0) -> Any:
    """Return the value as plain ones; raises NotPlain."""
    kind = type(value)
    if kind is int:
        if not _SMALLEST <= value <= _LARGEST:  # type: ignore[operator]
            raise NotPlain("an integer of more than 64 bits")
        return value
    if kind is str:
        return _text(value)  # type: ignore[arg-type]
    if kind in _SCALARS:
        return value
    if depth >= _NESTING_AT_MOST:
        raise NotPlain(f"lists and dicts nested deeper than {_NESTING_AT_MOST}")
    if kind in (list, tuple):
        return [plain(one, depth + 1) for one in value]  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {_key(name): plain(one, depth + 1) for name, one in value.items()}
    if kind in (set, frozenset):
        return sorted((plain(one, depth + 1) for one in value), key=msgpack.packb)  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in fields}
    raise NotPlain(f"a {kind.__name__} is not a plain value")


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotPlain("a text with half of a character in it (a surrogate)") from None
    return text


def _key(name: object) -> object:
    if type(name) is str:
        return _text(name)
    if type(name) is bytes:
        return name
    raise NotPlain(f"a key of a dict is a {type(name).__name__}: text and bytes can be one")


_ADAPTERS_KEPT = 256
_SETTINGS = ConfigDict(revalidate_instances="always")
"""A dataclass is looked into, too: it takes whatever it is given when it is made."""


def _adapter_of(annotation: Any) -> TypeAdapter[list[Any]]:
    """Return what checks against an annotation; most classes have the same few."""
    try:
        return _made_adapter(annotation)
    except TypeError:  # It cannot be hashed, or nothing can be checked against it.
        return _made_adapter.__wrapped__(annotation)


@lru_cache(_ADAPTERS_KEPT)
def _made_adapter(annotation: Any) -> TypeAdapter[list[Any]]:
    # As a list of one: pydantic takes settings for what is in a list, and not for a dataclass itself.
    return TypeAdapter(list[annotation], config=_SETTINGS)


class Annotation:
    """What an annotation allows."""

    def __init__(self, annotation: Any) -> None:
        """Raises NotPlain for an annotation that nothing can be checked against."""
        try:
            self._adapter = _adapter_of(annotation)
        except (PydanticUserError, NameError, TypeError) as error:
            raise NotPlain(f"nothing can be checked against {annotation!r}") from error

    def checked(self, value: object) -> Any:
        """Return a value that came in, as plain ones; raises NotPlain."""
        given = plain(value)
        try:
            [found] = self._adapter.validate_python([value], strict=True)
        except ValidationError:
            try:
                [found] = self._adapter.validate_python([given])
            except ValidationError as error:
                raise NotPlain(_said(error)) from None
            if msgpack.packb(plain(found)) != msgpack.packb(given):
                raise NotPlain(f"{_shown(value)} is not what the annotation says") from None
        return plain(found)

    def made(self, value: Any) -> Any:
        """Return what the annotation says of plain values that were checked; raises NotPlain."""
        try:
            [made] = self._adapter.validate_python([value])
        except ValidationError as error:
            raise NotPlain(_said(error)) from None
        return made


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{part!r}]" for part in first["loc"][1:])
    words = first["msg"]
    return f"{_shown(first['input'])}{' at ' + where if where else ''}: {words[:1].lower()}{words[1:]}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
