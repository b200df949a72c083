"""A state machine that is no bank, to see that the rules and the storage know nothing of accounts.

Named sets of words; the result of an operation says whether it changed anything, which is what undo needs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apsw

from bankrmi.replication.entry import Scalar
from bankrmi.verifying.model import Model


class NamedSets:
    """`+name word` adds, `-name word` removes; what changes nothing is declined as "same"."""

    def attach(self, database: apsw.Connection) -> None:
        self.database = database
        database.execute("CREATE TABLE IF NOT EXISTS sets (name, word, PRIMARY KEY (name, word))")

    def open(self) -> bytes:
        return b"no sets"

    def apply(self, operation: bytes) -> tuple[str, Scalar]:
        sign, name, word = parts(operation)
        if (word in self.read(name).split()) == (sign == "+"):
            return "same", self.read(name)
        self._put(sign, name, word)
        return "done", self.read(name)

    def _put(self, sign: str, name: str, word: str) -> None:
        add, remove = "INSERT INTO sets VALUES (?,?)", "DELETE FROM sets WHERE name = ? AND word = ?"
        self.database.execute(add if sign == "+" else remove, (name, word))

    def undo(self, operation: bytes, status: str, result: Scalar) -> None:
        sign, name, word = parts(operation)
        assert result == self.read(name)
        if status == "done":
            self._put("-" if sign == "+" else "+", name, word)

    def read(self, query: Any) -> str:
        words = self.database.execute("SELECT word FROM sets WHERE name = ? ORDER BY word", (query,))
        return " ".join(word for (word,) in words)

    def flush(self) -> None:
        """Everything is written at once."""

    def forget(self) -> None:
        """Nothing is kept in memory."""

    def describe(self, operation: bytes) -> dict[str, Any]:
        return {"operation": operation.decode()}

    def export(self) -> Iterable[tuple[Any, ...]]:
        return self.database.execute("SELECT * FROM sets ORDER BY name, word")


def parts(operation: bytes) -> tuple[str, str, str]:
    """Return sign, name and word."""
    name, word = operation.decode()[1:].split()
    return operation.decode()[0], name, word


class SetsModel:
    """The same with Python's sets."""

    def __init__(self) -> None:
        self._sets: dict[str, set[str]] = {"x": set(), "y": set()}

    @property
    def values(self) -> dict[str, str]:
        return {name: " ".join(sorted(words)) for name, words in self._sets.items()}

    def key(self, operation: bytes) -> str:
        return parts(operation)[1]

    def apply(self, operation: bytes) -> tuple[str, Scalar]:
        sign, name, word = parts(operation)
        before = self.values[name]
        (self._sets[name].add if sign == "+" else self._sets[name].discard)(word)
        return "same" if self.values[name] == before else "done", self.values[name]

    def in_words(self, operation: bytes) -> str:
        return operation.decode()

    def audit(self, values: Mapping[str, str]) -> Iterator[str]:
        return (
            f"{name} is out of order"
            for name in values
            if values[name].split() != sorted(values[name].split())
        )


class SetsWorkload:
    """Adds, removes and looks."""

    def machine(self) -> NamedSets:
        return NamedSets()

    def model(self) -> Model:
        return SetsModel()

    def operation(self, chance: random.Random) -> bytes:
        return f"{chance.choice('+-')}{chance.choice('xy')} {chance.choice('abcdef')}".encode()

    def query(self, chance: random.Random) -> str:
        return chance.choice("xy")
