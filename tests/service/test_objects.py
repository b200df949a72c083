"""An object whose attributes are the state: what is kept of them, and that nothing else is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.service import ObjectService, Service, described, query, update
from bankrmi.service import object_state as state_room
from bankrmi.service.calls import Raised
from bankrmi.service.machine import ServiceMachine
from tests.service.copies import Copy

Make = Callable[..., Copy]


@dataclass
class Entry:
    text: str
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: Entry


class Colour(IntEnum):
    RED = 1


class Notes(ObjectService):
    """Notes, in attributes of all kinds."""

    limit = 1000

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.words: list[str] = []
        self.count = 0
        self.best: Entry | None = None
        self.nested: dict[str, Any] = {"a": {"b": [1]}}

    @update
    def write(self, name: str, text: str) -> int:
        self.entries[name] = Entry(text)
        self.count += 1
        return len(self.entries)

    @update
    def tag(self, name: str, tag: str) -> list[str]:
        self.entries[name].tags.append(tag)
        return self.entries[name].tags

    @update
    def do(self, what: str) -> Any:
        """Run anything at all, on `self`."""
        names = {"self": self, "Entry": Entry, "Pair": Pair, "Counter": Counter, "Colour": Colour}
        exec(what, {**names, "datetime": datetime, "UTC": UTC, "object": object, "json": json})
        return None

    @query
    def see(self, what: str) -> Any:
        return eval(what, {"self": self, "json": json})

    @query
    def spoil(self, what: str) -> None:
        exec(what, {"self": self})


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as copies:

        def make(name: str, kind: type[Service] = Notes, **how: Any) -> Copy:
            copy = Copy(tmp_path / name / "bank.db", kind, **how)
            copies.callback(lambda: copy.journal.close(writes=False))
            return copy

        yield make


@pytest.fixture
def copy(make: Make) -> Copy:
    return make("a")


def shown(copy: Copy) -> Any:
    """Return all attributes, as whoever asks sees them."""
    return copy.ask("see", "repr((self.entries, self.words, self.count, self.best, self.nested))")


def test_what_a_method_does_to_attributes_is_kept(copy: Copy) -> None:
    assert copy.call("write", "a", "first") == 1
    assert copy.call("tag", "a", "new") == ["new"]
    assert copy.call("tag", "a", "old") == ["new", "old"]
    copy.call(
        "do", "self.nested['a']['b'].append(2); self.words += ['x', 'y']; self.best = self.entries['a']"
    )
    before = shown(copy)
    assert "['new', 'old']" in before
    assert "{'a': {'b': [1, 2]}}, " not in before
    copy.crash()
    assert shown(copy) == before


@pytest.mark.parametrize(
    "what",
    [
        "self.entries['a'].text = 'x'",
        "self.entries['a'].tags.append('x')",
        "self.entries.get('a').tags.append('x')",
        "[entry.tags.append('x') for entry in self.entries.values()]",
        "[entry.tags.append('x') for _, entry in self.entries.items()]",
        "self.entries.setdefault('a', None).tags.append('x')",
        "self.entries.setdefault('z', Entry('z')).tags.append('x')",
        "self.entries.pop('b')",
        "self.entries.popitem()",
        "del self.entries['a']",
        "del self.entries['a']; self.entries['a'] = Entry('again')",
        "self.entries.clear()",
        "self.entries.update(b=Entry('B'), c=Entry('C'))",
        "self.entries.update({'b': Entry('B'), 'c': Entry('C')})",
        "self.entries.update([('b', Entry('B'))])",
        "self.entries.update({'z': Entry('Z'), 'y': Entry('Y'), 'c': Entry('C')})",
        "self.entries |= {'c': Entry('C'), 'a': Entry('A')}",
        "self.entries = {'y': Entry('y'), 'x': Entry('x')}",
        "self.entries = dict(reversed(list(self.entries.items())))",
        "self.entries = {**self.entries, 'c': Entry('C')}",
        "self.entries = self.entries | {'c': Entry('C')}",
        "self.entries = {'c': Entry('C')} | self.entries",
        "self.entries = self.entries.copy(); self.entries['a'].tags.append('x')",
        "self.nested, self.entries = self.entries, self.nested",
        "self.nested['a'] = self.entries; self.entries['a'].tags.append('x')",
        "self.nested['a']['b'].append(2)",
        "self.nested['a']['c'] = [3]",
        "self.nested[7] = 1; self.nested[b'7'] = 2; self.nested[('a', 1)] = (1, [2])",
        "self.words.append('x')",
        "self.words = self.words + ['y']",
        "self.words = {'is': 'a dict'}",
        "self.entries = ['is', 'a', 'list']",
        "self.entries = None",
        "self.best = Pair(1, Entry('deep', ['a']))",
        "self.best = Entry('b'); self.best.tags.append('c')",
        "self.more = {'new': [1]}; self.more['new'].append(2)",
        "d = {}; self.more = d; d['later'] = 1",
        "del self.words",
        "del self.entries; self.entries = {'a': Entry('a')}",
        "self.count += 1",
        "self.limits = [self.limit, True, None, 1.5, -2**63, 2**64 - 1, b'x', 'ä', float('inf')]",
        "json.dumps({k: v.text for k, v in self.entries.items()}); self.entries['a'].text = 'y'",
        "match self.nested:\n  case {'a': {'b': b}}: b.append(9)",
        "(lambda **kept: kept['a'].tags.append('z'))(**self.entries)",
    ],
)
def test_it_is_kept_on_every_copy_whole_and_in_its_order(make: Make, what: str) -> None:
    first, second = make("a"), make("b")
    records = [
        first.decide("write", "a", "one"),
        first.decide("write", "b", "two"),
        first.decide("tag", "b", "t"),
    ]
    second.follow(*records)
    second.restart()
    opening = first.ask("see", "repr({name: getattr(self, name) for name in sorted(self._state.names())})")
    rows = first.state()
    record = first.decide("do", what)
    second.follow(record)
    names = "repr({name: getattr(self, name) for name in sorted(self._state.names())})"
    seen = first.ask("see", names)
    assert seen != opening
    assert second.ask("see", names) == seen
    assert first.state() == second.state()
    third = first.ask("see", names)
    first.crash()
    assert first.ask("see", names) == third == seen, "what is in memory is what the rows say"
    again = [
        first.decide("write", "again", "x"),
        first.decide("do", "self.entries = {'n': 1}; self.nested = {}"),
    ]
    second.follow(*again)
    assert first.state() == second.state()
    first.journal.roll_back(3)
    first.journal.commit()
    assert first.state() == rows
    assert first.ask("see", names) == opening


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("self.words = {1, 2}", r"self\.words cannot be kept: it is, or holds, a set, whose order differs"),
        (
            "self.entries['a'] = object()",
            r"self\.entries\['a'\] cannot be kept: it is, or holds, a value of the type object",
        ),
        ("self.entries['a'].tags.append(Counter())", r"self\.entries\['[ac]'\] cannot be kept: .* Counter"),
        ("self.nested['x'] = [datetime(2020, 1, 1)]", r"self\.nested\['x'\] cannot be kept: .* datetime"),
        ("self.count = Colour.RED", r"self\.count cannot be kept: .* Colour"),
        ("self.count = 2**64", r"self\.count cannot be kept: .* an integer of more than 64 bits"),
        ("self.words.append(self.words)", r"self\.words cannot be kept"),
        ("self.entries[1.5] = 1", r"self\.entries\[1\.5\] cannot be kept: its key is a float"),
        ("self.entries[True] = 1", r"self\.entries\[True\] cannot be kept: its key is a bool"),
        ("self.entries[None] = 1", r"self\.entries\[None\] cannot be kept: its key is a NoneType"),
        ("self.words.append('\\ud800')", r"self\.words cannot be kept: .* half a character"),
        ("self.count = lambda: 1", r"self\.count cannot be kept: .* function"),
        (
            "self.words.append('x' * (1 << 20))",
            r"self\.words takes \d+ bytes, at most 1048576 are kept as one value",
        ),
        ("self.limit = 3", r"self\.limit is of the class, and the same for good"),
        ("self.write = 3", r"self\.write is of the class"),
        ("self.db = 3", r"self\.db is of the class"),
        ("self.db.execute('SELECT 1')", r"Notes has no attribute 'db'"),
        (
            "self.nothing",
            r"Notes has no attribute 'nothing': what there is from the beginning, __init__ sets",
        ),
        ("del self.nothing", "Notes has no attribute 'nothing'"),
        ("raise KeyError('x')", "x"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_leaves_everything_as_it_was(
    copy: Copy, what: str, why: str
) -> None:
    copy.call("write", "a", "one")
    copy.call("write", "b", "two")
    rows, seen = copy.state(), shown(copy)
    half = (
        "self.count += 1; self.entries['a'].tags.append('x'); "
        "self.nested['a']['b'].append(1); self.words += "
        "['w'];"
        "x = self.entries.pop('a'); self.entries['c'] = x; self.entries['a'] = x;"
        "self.best = x; self.fresh = {};"
    )
    for before in ("", half):
        with pytest.raises(Raised, match=why):
            copy.call("do", before + what)
        assert copy.state() == rows
        assert shown(copy) == seen
    assert copy.call("write", "d", "three") == 3
    copy.restart()
    assert copy.ask("see", "list(self.entries)") == ["a", "b", "d"]


@pytest.mark.parametrize(
    "what",
    [
        "self.count += 1",
        "self.words.append('x')",
        "self.entries['a'].tags.append('x')",
        "del self.entries['a']",
        "self.entries['z'] = 1",
        "self.entries = {}",
        "del self.words",
        "self.words = {1}",
        "self.entries['a'] = self.entries.pop('a')",
    ],
)
def test_a_query_changes_nothing(copy: Copy, what: str) -> None:
    copy.call("write", "a", "one")
    copy.call("write", "b", "one")
    seen = shown(copy)
    with pytest.raises(
        Raised, match=r"a query changes nothing, and this changed self\.\w+.*: mark it with @bankrmi"
    ):
        copy.ask("spoil", what)
    assert shown(copy) == seen
    copy.ask("spoil", "[entry.tags for entry in self.entries.values()]; self.words; self.nested['a']['b']")
    assert copy.call("tag", "a", "x") == ["x"]


def test_nothing_is_shared_between_two_places(copy: Copy) -> None:
    copy.call("do", "self.words = self.nested['x'] = self.nested['y'] = ['w']")
    copy.call("do", "self.words.append('v'); self.nested['x'].append('u')")
    assert copy.ask("see", "(self.words, self.nested['x'], self.nested['y'])") == [
        ["w", "v"],
        ["w", "u"],
        ["w"],
    ]
    before = shown(copy)
    copy.restart()
    assert shown(copy) == before


def test_only_what_has_changed_is_written(copy: Copy) -> None:
    copy.call("do", "self.entries = {f'k{n}': Entry('x') for n in range(1000)}")
    copy.call("tag", "k500", "t")
    changes = copy.journal.database.execute(
        "SELECT changes FROM service_undo ORDER BY action_id DESC LIMIT 1"
    ).get
    assert len(changes) < 300
    copy.call("do", "sum(len(entry.tags) for entry in self.entries.values())")
    newest = copy.journal.tip.action_id
    assert (
        copy.journal.database.execute("SELECT count(*) FROM service_undo WHERE action_id = ?", (newest,)).get
        == 0
    )


def test_all_attributes_together_have_a_limit(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_room, "TOTAL_BYTES_AT_MOST", 3 << 20)
    for key in "abc":
        copy.call("do", f"self.nested['{key}'] = 'x' * 1_000_000")
    before = copy.state()
    with pytest.raises(Raised, match="take more than 3 MiB: what is so large belongs in tables") as raised:
        copy.call("do", "self.nested['d'] = 'x' * 1_000_000")
    assert raised.value.name == "OverflowError"
    assert copy.state() == before
    copy.restart()
    copy.call("do", "del self.nested['a']; self.nested['d'] = 'x' * 1_000_000")
    copy.call("do", "self.nested = {}; self.words = ['x' * 1_000_000]")
    copy.call("do", "self.nested = {'e': 'x' * 1_000_000, 'f': 'x' * 1_000_000}")
    with pytest.raises(Raised, match="take more than 3 MiB"):
        copy.call("do", "self.more = 'x' * 1_000_000")


def test_all_dicts_together_have_a_limit_of_keys(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_room, "KEYS_AT_MOST", 10)
    copy.call("do", "self.entries = {f'k{n}': 1 for n in range(6)}")
    for what in (
        "self.nested.update({n: 1 for n in range(4)})",
        "self.nested = {n: 1 for n in range(5)}",
        "self.more = {n: 1 for n in range(4)}",
        "self.entries.update({n: 1 for n in range(4)}); del self.entries['k0']; self.entries['k0'] = 1",
    ):
        with pytest.raises(Raised, match="the attributes have more than 10 keys"):
            copy.call("do", what)
    copy.call("do", "del self.entries['k0']; self.nested.update({n: 1 for n in range(4)})")
    copy.restart()
    with pytest.raises(Raised, match="the attributes have more than 10 keys"):
        copy.call("do", "self.entries['k0'] = 1")
    copy.call("do", "self.nested = {}; self.entries = {n: 1 for n in range(10)}")
    copy.call("do", "self.entries.clear(); self.nested.update({n: 1 for n in range(10)})")
    copy.call("do", "del self.nested; self.words = {n: 1 for n in range(10)}")


def test_copies_that_differ_stop(make: Make) -> None:
    first, second = make("a"), make("b")
    second.journal.database.execute("UPDATE object_state SET value = x'05' WHERE attribute = 'count'")
    second.machine.forget()
    with pytest.raises(
        BrokenInvariant, match=r"comes out differently here \(it changed table object_state\)"
    ):
        second.follow(first.decide("write", "a", "x"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # In Hypothesis' callback.
def test_a_call_that_takes_too_long_leaves_nothing(make: Make) -> None:
    copy = make("a", limit_ms=50)
    copy.call("write", "a", "one")
    before = shown(copy)
    with pytest.raises(Raised, match="took more than 50 ms"):
        copy.call(
            "do",
            "n = 0\nwhile True:\n  n += 1\n  self.entries[f'k{n}'] = Entry('x')\n  self.words.append('w')",
        )
    assert shown(copy) == before
    copy.restart()
    assert shown(copy) == before


# -- classes ---------------------------------------------------------------------------------------------


class Notes2(Notes):
    """Notes have an owner."""

    version = 2
    previous = Notes

    def __init__(self) -> None:
        super().__init__()
        self.owner = "nobody"

    def migrate_1_to_2(self) -> None:
        self.owner = "somebody"
        for entry in self.entries.values():
            entry.tags.append("old")
        if "bad" in self.entries:
            raise KeyError("bad")


def test_attributes_are_migrated_and_taken_back(make: Make) -> None:
    first, second = make("a"), make("b")
    second.follow(first.decide("write", "a", "one"), first.decide("write", "bad", "two"))
    for copy in (first, second):
        copy.change(Notes2)
    before = first.state()
    second.follow(first.migrate(2))
    assert first.state() == second.state() == before
    assert first.ask("see", "'owner' in dir(self)") is False
    second.follow(first.decide("do", "del self.entries['bad']"))
    second.follow(first.migrate(2))
    assert first.ask("see", "(self.owner, self.entries['a'].tags)") == ["somebody", ["old"]]
    assert first.state() == second.state()
    first.journal.roll_back(4)
    first.journal.commit()
    assert first.ask("see", "('owner' in dir(self), self.entries['a'].tags)") == [False, []]


class Both(ObjectService):
    def __init__(self) -> None:
        self.x = 1

    def create(self) -> None:
        self.x = 2

    @query
    def get(self) -> int:
        return self.x


class WithArguments(ObjectService):
    def __init__(self, x: int) -> None:
        self.x = x

    @query
    def get(self) -> int:
        return self.x


class FromTables(ObjectService):
    version = 2

    class previous(Service):  # noqa: N801 - an attribute
        @query
        def get(self) -> int:
            return 1

    @query
    def get(self) -> int:
        return 1


class Unkept(ObjectService):
    def __init__(self) -> None:
        self.words = {"a", "b"}

    @query
    def get(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Both, "has an __init__, and `create`"),
        (WithArguments, r"WithArguments\.__init__ is called by the servers, once: with self only"),
        (FromTables, "keep their state in different ways"),
        (Unkept, r"Unkept\.create failed: NotPlain: self\.words cannot be kept"),
    ],
)
def test_a_class_that_cannot_be_served_is_refused(kind: type[Service], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        ServiceMachine(described(kind)).try_class()


def test_an_object_may_begin_in_create_or_with_nothing() -> None:
    class Created(ObjectService):
        def create(self) -> None:
            self.x = [1]

        @query
        def get(self) -> list[int]:
            return self.x

    class Empty(ObjectService):
        @query
        def get(self) -> int:
            return 1

    for kind in (Created, Empty, Notes, Notes2):
        ServiceMachine(described(kind)).try_class()
