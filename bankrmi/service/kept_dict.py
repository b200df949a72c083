"""A dict that is an attribute of an object, and notices what of it may have changed.

Rule 1: whoever gets a value out of it may change that in its place; so what it was is packed first. Of what
        cannot be changed in its place nothing is noted until another value is put there.
Rule 2: it is a dict in all that can be asked of it, its order as well.
Rule 3: `before` has what was at each key that was touched: nothing else is looked at in the end.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, ValuesView
from typing import Any

from bankrmi.service.kept_values import IMMUTABLE, KeptDict

__all__ = ["ABSENT", "WatchedDict"]


class _Absent:
    """Nothing was there."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
_NOTHING: Any = object()


class _Values(ValuesView[Any]):
    """As a dict's own, which can be gone through from its end."""

    def __reversed__(self) -> Iterator[Any]:
        kept: Any = self._mapping  # type: ignore[attr-defined]  # As `collections.abc` calls it.
        return (kept[key] for key in reversed(kept))


class _Items(ItemsView[Any, Any]):
    """Likewise."""

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        kept: Any = self._mapping  # type: ignore[attr-defined]  # As `collections.abc` calls it.
        return ((key, kept[key]) for key in reversed(kept))


class WatchedDict(KeptDict):
    """A dict that is kept key by key."""

    __slots__ = ("_packed", "before", "positions", "removed")

    def __init__(self, packed: Callable[[object], bytes]) -> None:
        super().__init__()
        self._packed = packed
        self.before: dict[Any, bytes | _Absent] = {}
        """What was at the keys that were touched since the last `settle`."""
        self.removed: set[Any] = set()
        """Keys that were, at some time since: what is there now was put at the end."""
        self.positions: dict[Any, int] = {}
        """Where each key that is kept stands, in that order."""

    def settle(self) -> None:
        """Forget what was touched."""
        self.before.clear()
        self.removed.clear()

    def put_silently(self, key: Any, value: Any) -> None:
        """Put a value, and note nothing."""
        dict.__setitem__(self, key, value)

    def take_silently(self, key: Any) -> None:
        """Remove a key, if it is there, and note nothing."""
        dict.pop(self, key, None)

    def value_of(self, key: Any) -> Any:
        """Return a value, and note nothing."""
        return dict.__getitem__(self, key)

    def _touched(self, key: Any, value: Any, *, is_replaced: bool) -> None:
        if key not in self.before and (is_replaced or type(value) not in IMMUTABLE):
            self.before[key] = self._packed(value)

    # -- getting ---------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        value = super().__getitem__(key)
        if type(value) not in IMMUTABLE:
            self._touched(key, value, is_replaced=False)
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - `get` is this

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def values(self) -> Any:
        return _Values(self)

    def items(self) -> Any:
        return _Items(self)

    def copy(self) -> dict[Any, Any]:
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return other | self.copy() if isinstance(other, dict) else NotImplemented

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return dict, (self.copy(),)

    # -- changing --------------------------------------------------------------------------------

    def __setitem__(self, key: Any, value: Any) -> None:
        if key in self:
            self._touched(key, super().__getitem__(key), is_replaced=True)
        else:
            self.before.setdefault(key, ABSENT)
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self._touched(key, super().__getitem__(key), is_replaced=True)
        self.removed.add(key)
        super().__delitem__(key)

    def pop(self, key: Any, default: Any = _NOTHING) -> Any:
        if key not in self and default is not _NOTHING:
            return default
        value = super().__getitem__(key)
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        for key in list(self):
            del self[key]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
            return default
        return self[key]

    def update(self, *others: Any, **more: Any) -> None:
        for key, value in dict(*others, **more).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self
