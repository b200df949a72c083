"""What counts as a plain value, and what a message may contain at most; for the readers of all serializers.

Plain are None, bool, int, float, str, bytes, list, tuple, set and dict of those. A dict with "__class__" in
it stands for an object and is refused, with one exception: a `Pyro5.core.URI` becomes its text.

Rule: a message costs no more than its bounds allow, and they are looked at before anything is built.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "CALL",
    "INTEGER_DIGITS_AT_MOST",
    "ITEMS_AT_MOST",
    "LIST_ITEMS",
    "NESTING_AT_MOST",
    "SMALL_BYTES",
    "Bounds",
    "ValueRefused",
    "checked_integer",
    "read_class",
    "too_deep",
    "too_many",
]

ITEMS_AT_MOST = 52_000
"""Values in one message of a caller, all lists and dicts together: a batch of 8 192 operations has 49 200."""

LIST_ITEMS = 3
"""As how many values a list or a dict counts: it takes as long to be built, and longer to be collected."""

NESTING_AT_MOST = 64
"""Lists and dicts within each other."""

INTEGER_DIGITS_AT_MOST = 40
"""Of an integer's text. What is over 64 bits is refused in any case (see `checked_integer`)."""

_LARGEST_INTEGER = 2**64 - 1

SMALL_BYTES = 512
"""Up to this many bytes cost little, whatever they are, and nothing is looked at before they are read."""


class ValueRefused(Exception):
    """The payload is broken, holds too much, or holds something that is not a plain value."""


class Bounds(NamedTuple):
    """What a message may hold: how many values, all lists and dicts together; and how much those count.

    A dict costs more than a list, and its keys more than values; and who sends few of them is not asked to
    have room for many.
    """

    items: int
    a_list: int = LIST_ITEMS
    a_dict: int = LIST_ITEMS
    a_pair: int = 2


CALL = Bounds(ITEMS_AT_MOST, a_dict=25, a_pair=12)
"""Of a caller: each of the 1 024 parts of a batched call has an empty dict for arguments by name."""


def checked_integer(value: int) -> int:
    """Return the integer, if 64 bits and a sign hold it.

    Nothing here needs longer ones; and of longer ones any number can be made that fall upon each other in a
    dict or a set, which then takes a time that grows with their square.
    """
    if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
        return value
    raise ValueRefused("an integer of more than 64 bits")


def too_many(items: int) -> ValueRefused:
    """Return the refusal of a message that holds more values than that."""
    return ValueRefused(f"too many values in one message: at most {items} are read")


def too_deep() -> ValueRefused:
    """Return the refusal of lists within lists within lists."""
    return ValueRefused(f"the message cannot be read: its lists are nested deeper than {NESTING_AT_MOST}")


def read_class(value: dict[object, object]) -> object:
    """Return the dict, or what it stands for; raise ValueRefused if that is an object."""
    if "__class__" not in value:
        return value
    if value["__class__"] == "Pyro5.core.URI":
        return _uri_text(value.get("state"))
    raise ValueRefused("objects of classes are not accepted, only plain values")


def _uri_text(state: object) -> str:
    """Return the URI as text, without Pyro's own parser: it is a regular expression."""
    match state:
        case (str(protocol), str(name), None, str(host), int(port)):
            return f"{protocol}:{name}@{host}:{port}"
        case (str(protocol), str(name), str(path), None, None):
            return f"{protocol}:{name}@./u:{path}"
        case _:
            raise ValueRefused("this is not a URI")
