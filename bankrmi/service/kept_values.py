"""Values of an object's attributes as the database keeps them, and back as what they were.

Rule 1: kept are None, bool, int of up to 64 bits, float, str, bytes, lists, tuples, dicts, and dataclasses of
        those. What comes back is equal, and of the same types; nothing is shared with what was given.
Rule 2: a dataclass is known by its name, and found in the module of the class alone: what a database says
        makes nothing else.
Rule 3: what is not kept is refused in a sentence: sets, whose order differs from one copy to another;
        objects.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import msgpack

from bankrmi.service.plain_values import NotPlain

__all__ = ["IMMUTABLE", "KeptDict", "KeptValues", "is_row_key", "unpacked_without_class"]

IMMUTABLE = frozenset({str, bytes, int, float, bool, type(None)})
"""Of what nothing can be changed in its place."""

_TUPLE, _DATACLASS = 1, 2


class KeptDict(dict[Any, Any]):
    """A dict that is kept key by key; see `kept_dict`, which makes those that notice what is done with
    them."""


class KeptValues:
    """Packs and unpacks what the attributes of objects of one class hold."""

    def __init__(self, module: str) -> None:
        """`module`: of the class."""
        self._module = module

    def packed(self, value: object) -> bytes:
        """Return the value as the database keeps it; raises NotPlain."""
        try:
            content: bytes = msgpack.packb(value, default=self._told, strict_types=True)
        except NotPlain:
            raise
        except UnicodeEncodeError:
            raise NotPlain("a text with half a character (a surrogate)") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise NotPlain(f"what cannot be written down ({str(error)[:100]})") from None
        return content

    def unpacked(self, content: bytes) -> Any:
        """Return what was packed; raises ValueError if the class knows it no more."""
        return msgpack.unpackb(content, ext_hook=self._made, strict_map_key=False)

    def _told(self, value: object) -> Any:
        """Return what msgpack knows in the place of what it does not."""
        kind = type(value)
        if kind is int:
            raise NotPlain("an integer of more than 64 bits")
        if kind is tuple:
            return msgpack.ExtType(_TUPLE, self.packed(list(value)))  # type: ignore[call-overload]
        if isinstance(value, KeptDict):
            return dict(dict.items(value))  # As it is: nobody gets a value out of it.
        if dataclasses.is_dataclass(kind):
            if self._found(kind.__qualname__) is not kind:
                raise NotPlain(
                    f"a {kind.__name__}, which is no dataclass of the module "
                    f"{self._module}: it would not be found again"
                )
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
            return msgpack.ExtType(_DATACLASS, self.packed([kind.__qualname__, fields]))
        if kind in (set, frozenset):
            raise NotPlain(
                "a set, whose order differs from one copy to another: use a dict, or a sorted list"
            )
        raise NotPlain(f"a value of the type {kind.__name__}")

    def _made(self, code: int, content: bytes) -> Any:
        value = self.unpacked(content)
        if code == _TUPLE:
            return tuple(value)
        name, fields = value
        kind = self._found(name)
        if kind is None:
            raise ValueError(f"the state holds a {name}, and {self._module} has no dataclass of that name")
        made = object.__new__(kind)
        for field in dataclasses.fields(kind):
            if field.name in fields:
                found = fields[field.name]
            elif (default := _default_of(field)) is not None:
                found = default()
            else:
                raise ValueError(f"the state holds a {name} without {field.name}: give that field a default")
            object.__setattr__(made, field.name, found)
        return made

    def _found(self, name: str) -> type[Any] | None:
        """Return the dataclass of this name in the module of the class."""
        found: Any = sys.modules.get(self._module)
        for part in name.split("."):
            found = getattr(found, part, None)
        return found if isinstance(found, type) and dataclasses.is_dataclass(found) else None


def _default_of(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory


def unpacked_without_class(content: bytes) -> Any:
    """Return what was packed where the class is not known: a dataclass is a dict of its name and fields."""

    def made(code: int, inner: bytes) -> Any:
        value = unpacked_without_class(inner)
        if code == _TUPLE:
            return tuple(value)
        name, fields = value
        return {name: fields}

    return msgpack.unpackb(content, ext_hook=made, strict_map_key=False)


def is_row_key(key: object) -> bool:
    """Whether a dict that is kept key by key can have this key: two that are equal are written alike."""
    if type(key) in (str, bytes, int):
        return True
    return type(key) is tuple and all(map(is_row_key, key))
