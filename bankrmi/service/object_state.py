"""The attributes of an object as rows: read once, written where they have changed.

    object_state: attribute, key, position, value
        self.count = 3                 ("count", nothing, 0, 3)
        self.items = {"a": …, "b": …}  ("items", nothing, 0, nothing), ("items", "a", 1, …), ("items", "b", 2,
        …)

Rule 1: between calls, what is in memory is what the rows say; a call that fails leaves nothing in memory
        either.
Rule 2: what is written is a function of the rows and of what the object holds then: all copies write the
        same, order of keys included, whenever each of them was started.
Rule 3: nothing is shared between two attributes, or two keys, nor with what was given: what was written is
        read back.
Rule 4: what is too large, or cannot be kept, is refused in a sentence, by its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bankrmi.service.kept_dict import ABSENT, WatchedDict
from bankrmi.service.kept_values import IMMUTABLE, KeptDict, KeptValues, is_row_key
from bankrmi.service.plain_values import NotPlain
from bankrmi.service.tables import ServiceTables

__all__ = ["OBJECT_TABLE", "TOTAL_BYTES_AT_MOST", "VALUE_BYTES_AT_MOST", "ObjectState"]

OBJECT_TABLE = "object_state"
VALUE_BYTES_AT_MOST = 1 << 20
"""Of one attribute, or of one key of a dict that is one."""
TOTAL_BYTES_AT_MOST, KEYS_AT_MOST = 16 << 20, 100_000
"""Of all attributes, and of all dicts that are one: they are in memory, are read whole at a start, and put in
order when a call that has removed keys fails."""

_TABLE = (
    f"CREATE TABLE {OBJECT_TABLE} (attribute TEXT NOT NULL, key BLOB NOT NULL, position INTEGER NOT NULL,"
    " value BLOB NOT NULL, PRIMARY KEY (attribute, key)) STRICT, WITHOUT ROWID"
)
_ROWS = f"SELECT attribute, key, position, value FROM {OBJECT_TABLE} ORDER BY attribute, position"  # noqa: S608 - ours
_PUT = f"INSERT OR REPLACE INTO {OBJECT_TABLE} VALUES (?, ?, ?, ?)"  # noqa: S608 - ours
_CHANGE = f"UPDATE {OBJECT_TABLE} SET value = ? WHERE attribute = ? AND key = ?"  # noqa: S608 - ours
_REMOVE = f"DELETE FROM {OBJECT_TABLE} WHERE attribute = ? AND key = ?"  # noqa: S608 - ours
_REMOVE_ALL = f"DELETE FROM {OBJECT_TABLE} WHERE attribute = ?"  # noqa: S608 - ours
_BYTES = f"SELECT total(length(key) + length(value)) FROM {OBJECT_TABLE} WHERE attribute = ?"  # noqa: S608 - ours
_NO_KEY = b""
_IS_DICT = b""
_KEY_SHOWN_AT_MOST = 60


class ObjectState:
    """The attributes of the object of one copy."""

    def __init__(self, tables: ServiceTables, values: KeptValues) -> None:
        self._tables = tables
        self._values = values
        self._attributes: dict[str, Any] = {}
        self._before: dict[str, Any] = {}  # Of attributes that were touched: packed, a dict, or ABSENT.
        self._is_read = False
        self._bytes = self._keys = 0

    # -- reading ---------------------------------------------------------------------------------

    def forget(self) -> None:
        """The rows have changed by themselves: they are read again before the next call."""
        self._is_read = False

    def make_table(self) -> None:
        """Begin with no attribute at all."""
        self._tables.execute(_TABLE)
        self._attributes, self._before, self._is_read = {}, {}, True
        self._bytes = self._keys = 0

    def read(self) -> None:
        """Have in memory what the rows say.  Raises ValueError if the class knows it no more."""
        if self._is_read:
            return
        attributes: dict[str, Any] = {}
        self._bytes = self._keys = 0
        for attribute, key, position, content in self._tables.all_rows(_ROWS):
            self._bytes += len(key) + len(content)
            if key == _NO_KEY:
                is_dict = content == _IS_DICT
                attributes[attribute] = self._watched() if is_dict else self._values.unpacked(content)
            else:
                kept, its_key = attributes[attribute], self._values.unpacked(key)
                kept.put_silently(its_key, self._values.unpacked(content))
                kept.positions[its_key] = position
                self._keys += 1
        self._attributes, self._before, self._is_read = attributes, {}, True

    def _watched(self) -> WatchedDict:
        return WatchedDict(self._values.packed)

    # -- what methods do -------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """Return an attribute; raises KeyError."""
        value = self._attributes[name]
        if type(value) not in IMMUTABLE and not isinstance(value, WatchedDict) and name not in self._before:
            self._before[name] = self._values.packed(value)
        return value

    def set(self, name: str, value: Any) -> None:
        """Set an attribute."""
        self._note(name)
        self._attributes[name] = value

    def delete(self, name: str) -> None:
        """Delete an attribute; raises KeyError."""
        self._note(name)
        del self._attributes[name]

    def names(self) -> list[str]:
        """Return the names of all attributes."""
        return sorted(self._attributes)

    def _note(self, name: str) -> None:
        if name in self._before:
            return
        value = self._attributes.get(name, ABSENT)
        is_kept_so = value is ABSENT or isinstance(value, WatchedDict)
        self._before[name] = value if is_kept_so else self._values.packed(value)

    # -- the end of a call -----------------------------------------------------------------------

    def changed(self) -> str:
        """Return what a call has changed, as its author calls it; nothing if that is nothing.  Raises
        NotPlain."""
        for name, before in self._before.items():
            value = self._content(name)
            if value is not before and not (isinstance(value, bytes) and value == before):
                return f"self.{name}"
        for name, kept in self._own_dicts():
            for key, was in kept.before.items():
                if (
                    key in kept.removed
                    or (self._packed(name, kept.value_of(key), key) if key in kept else ABSENT) != was
                ):
                    return _place(name, key)
        return ""

    def _content(self, name: str) -> Any:
        value = self._attributes.get(name, ABSENT)
        is_kept_so = value is ABSENT or isinstance(value, WatchedDict)
        return value if is_kept_so else self._packed(name, value)

    def _own_dicts(self) -> Iterator[tuple[str, WatchedDict]]:
        """Yield the attributes that are dicts, are kept key by key, and were so before."""
        for name, value in self._attributes.items():
            if isinstance(value, WatchedDict) and self._before.get(name, value) is value and value.before:
                yield name, value

    def write(self) -> None:
        """Write what a call has changed.  Raises NotPlain, or OverflowError: then the rows have to be taken
        back."""
        self._is_read = False  # Until all of it is there.
        self._write()
        self._settle()
        self._is_read = True

    def _write(self) -> None:
        for name, kept in list(self._own_dicts()):
            self._write_keys(name, kept)
        for name in list(self._before):
            self._write_attribute(name)
        if self._keys > KEYS_AT_MOST:
            raise OverflowError(
                f"the attributes have more than {KEYS_AT_MOST} keys: what is so large belongs in tables "
                "(bankrmi.Service)"
            )
        if self._bytes > TOTAL_BYTES_AT_MOST:
            raise OverflowError(
                f"the attributes take more than {TOTAL_BYTES_AT_MOST >> 20} MiB: what "
                "is so large belongs in tables "
                "(bankrmi.Service)"
            )

    def end_query(self) -> None:
        """Raise PermissionError if a query has changed something; and have in memory what was there before
        it."""
        if not self._before and not any(True for _ in self._own_dicts()):
            return
        try:
            changed = self.changed()
        except (NotPlain, OverflowError) as error:
            changed = str(error).split(" ", 1)[0]
        if changed:
            self.take_back()
            raise PermissionError(
                f"a query changes nothing, and this changed {changed}: mark it with @bankrmi.update"
            )
        self._settle()

    def _settle(self) -> None:
        self._before = {}
        for value in self._attributes.values():
            if isinstance(value, WatchedDict):
                value.settle()

    def _write_keys(self, name: str, kept: WatchedDict) -> None:
        """Write the keys of one dict that were touched; new ones stand behind those that there were."""
        after = 1 + max(kept.positions.get(self._last_old_key(kept), 0), 0)
        new = [
            key for key in kept.before if key in kept and (key in kept.removed or kept.before[key] is ABSENT)
        ]
        if len(new) > 1:  # In the order in which they stand.
            wanted, found = set(new), []
            for key in reversed(kept):
                if key in wanted:
                    found.append(key)
                    if len(found) == len(wanted):
                        break
            new = found[::-1]
        for key, was in kept.before.items():
            row_key = self._row_key(name, key)
            if key not in kept:
                if was is not ABSENT:
                    self._remove(name, row_key, was, kept, key)
            elif key not in kept.removed and was is not ABSENT:
                content = self._packed(name, kept.value_of(key), key)
                if content != was:
                    self._tables.execute(_CHANGE, (content, name, row_key))
                    self._bytes += len(content) - _size(was)
                    kept.put_silently(key, self._values.unpacked(content))
        for key in new:
            row_key, was = self._row_key(name, key), kept.before[key]
            content = self._packed(name, kept.value_of(key), key)
            self._tables.execute(_PUT, (name, row_key, after, content))
            self._bytes += len(content) - _size(was)
            if was is ABSENT:
                self._bytes += len(row_key)
                self._keys += 1
            kept.put_silently(key, self._values.unpacked(content))
            kept.positions.pop(key, None)
            kept.positions[key] = after
            after += 1

    def _last_old_key(self, kept: WatchedDict) -> Any:
        """Return the last of the keys that were there before and stayed; ABSENT if none did."""
        for key in reversed(kept):
            if kept.before.get(key) is not ABSENT and key not in kept.removed:
                return key
        return ABSENT

    def _remove(self, name: str, row_key: bytes, was: Any, kept: WatchedDict, key: Any) -> None:
        self._tables.execute(_REMOVE, (name, row_key))
        self._bytes -= len(row_key) + _size(was)
        self._keys -= 1
        kept.positions.pop(key, None)

    def _write_attribute(self, name: str) -> None:
        """Write an attribute that was touched as a whole."""
        before, value = self._before[name], self._attributes.get(name, ABSENT)
        if value is before:
            return
        if isinstance(before, WatchedDict):
            self._bytes -= int(self._tables.execute(_BYTES, (name,)).value)
            self._keys -= len(before.positions)
            self._tables.execute(_REMOVE_ALL, (name,))
            before = ABSENT
        if value is ABSENT:
            self._tables.execute(_REMOVE_ALL, (name,))
            self._bytes -= _size(before)
        elif type(value) is dict or isinstance(value, KeptDict):
            self._write_dict(name, value, before)
        else:
            content = self._packed(name, value)
            if content != before:
                self._tables.execute(_PUT, (name, _NO_KEY, 0, content))
                self._bytes += len(content) - _size(before)
                self._attributes[name] = self._values.unpacked(content)

    def _write_dict(self, name: str, value: dict[Any, Any], before: Any) -> None:
        self._bytes -= _size(before)
        kept = self._watched()
        self._keys += len(value)
        rows = [(name, _NO_KEY, 0, _IS_DICT)]
        for position, (key, one) in enumerate(dict.items(value), 1):
            row_key, content = self._row_key(name, key), self._packed(name, one, key)
            rows.append((name, row_key, position, content))
            self._bytes += len(row_key) + len(content)
            kept.put_silently(key, self._values.unpacked(content))
            kept.positions[key] = position
        self._tables.executemany(_PUT, rows)
        self._attributes[name] = kept

    def _packed(self, name: str, value: object, key: object = ABSENT) -> bytes:
        try:
            content = self._values.packed(value)
        except NotPlain as error:
            raise NotPlain(f"{_place(name, key)} cannot be kept: it is, or holds, {error}") from None
        if len(content) > VALUE_BYTES_AT_MOST:
            raise OverflowError(
                f"{_place(name, key)} takes {len(content)} bytes, at most {VALUE_BYTES_AT_MOST} are kept "
                "as one value: "
                "a dict that is an attribute is kept key by key"
            )
        return content

    def _row_key(self, name: str, key: object) -> bytes:
        if not is_row_key(key):
            raise NotPlain(
                f"{_place(name, key)} cannot be kept: its key is a {type(key).__name__}, and "
                "text, bytes, int and "
                "tuples of those can be one"
            )
        return self._values.packed(key)

    def take_back(self) -> None:
        """A call has failed: have in memory what was there before it."""
        if not self._is_read:
            return  # It failed while it was written: what is there is read again.
        for name, before in self._before.items():
            if before is ABSENT:
                self._attributes.pop(name, None)
            else:
                self._attributes[name] = (
                    before if isinstance(before, WatchedDict) else self._values.unpacked(before)
                )
        for value in self._attributes.values():
            if isinstance(value, WatchedDict) and value.before:
                self._take_keys_back(value)
        self._before = {}

    def _take_keys_back(self, kept: WatchedDict) -> None:
        for key, was in kept.before.items():
            if was is ABSENT:
                kept.take_silently(key)
            else:
                assert isinstance(was, bytes)
                kept.put_silently(key, self._values.unpacked(was))
        if kept.removed:
            found = [(key, kept.value_of(key)) for key in kept.positions]
            dict.clear(kept)
            for key, value in found:
                kept.put_silently(key, value)
        kept.settle()


def _size(content: Any) -> int:
    return len(content) if isinstance(content, bytes) else 0


def _place(name: str, key: object = ABSENT) -> str:
    if key is ABSENT:
        return f"self.{name}"
    shown = repr(key)
    return f"self.{name}[{shown if len(shown) <= _KEY_SHOWN_AT_MOST else shown[:_KEY_SHOWN_AT_MOST] + '...'}]"
