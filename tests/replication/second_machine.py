"""A state machine that is not a bank, to see that the rules and the storage know nothing of accounts.

Named sets of words; the result of an operation says whether it changed anything, which is what undo needs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import apsw

from bankrmi.replication.code_versions import DoneMigration
from bankrmi.replication.record import Scalar, unpacked
from bankrmi.robustness.simulator.workload import Workload
from bankrmi.verifying.model import Model


class NamedSets:
    """`+name word` adds, `-name word` removes; what changes nothing is declined as "same"."""

    def __init__(self) -> None:
        self._sets: dict[str, set[str]] = {}
        self._changed_at: int | None = None

    version = 1

    @property
    def goes_back_to(self) -> int:
        return 0

    def version_at(self, _action_id: int) -> int:
        return self.version

    def migrations_since(self, _action_id: int) -> tuple[DoneMigration, ...]:
        return ()

    def attach(self, database: apsw.Connection) -> None:
        self.database = database
        database.execute("CREATE TABLE IF NOT EXISTS sets (name, word, PRIMARY KEY (name, word))")
        self.forget()

    def open(self) -> bytes:
        return b"no sets"

    def check(self, content: bytes) -> None:
        for operation in unpacked(content):
            parts(operation)

    own_transactions = False
    needs_protocol = 1

    def protocol_of(self, content: bytes) -> int:
        return 1

    def apply(
        self, operations: Sequence[str], action_id: int, _moment: object = None, _told: bytes | None = None
    ) -> list[Any]:
        self._changed_at = action_id
        return [self._apply(operation) for operation in operations]

    def _apply(self, operation: str) -> Any:
        sign, name, word = parts(operation)
        if (word in self.read(name).split()) == (sign == "+"):
            return "same", self.read(name)
        self._put(sign, name, word)
        return self.read(name)

    def _put(self, sign: str, name: str, word: str) -> None:
        words = self._sets.setdefault(name, set())
        (words.add if sign == "+" else words.remove)(word)

    def undo(self, operations: Sequence[str], outcomes: Sequence[Any], action_id: int) -> None:
        self._changed_at = action_id
        for operation, outcome in zip(reversed(operations), reversed(outcomes), strict=True):
            sign, name, word = parts(operation)
            assert outcome in (self.read(name), ("same", self.read(name)))
            if type(outcome) is str:
                self._put("-" if sign == "+" else "+", name, word)

    def read(self, query: Any) -> str:
        return " ".join(sorted(self._sets.get(query, ())))

    def changed_at(self, query: Any) -> int | None:
        return self._changed_at

    def flush(self) -> None:
        self.database.execute("DELETE FROM sets")
        self.database.executemany("INSERT INTO sets VALUES (?,?)", self.export())

    def forget(self) -> None:
        self._changed_at = None
        self._sets = {}
        for name, word in self.database.execute("SELECT name, word FROM sets"):
            self._sets.setdefault(name, set()).add(word)

    def describe(self, operation: str) -> dict[str, Any]:
        return {"operation": operation}

    def shown(self, result: Any) -> Any:
        return result

    def sum(self) -> int:
        return sum(map(_number, self.export()))

    def share(self, operations: Sequence[str], outcomes: Sequence[Any]) -> int:
        share = 0
        for operation, outcome in zip(operations, outcomes, strict=True):
            sign, name, word = parts(operation)
            if type(outcome) is str:
                share += _number((name, word)) if sign == "+" else -_number((name, word))
        return share

    def export(self) -> list[tuple[Any, ...]]:
        return sorted((name, word) for name, words in self._sets.items() for word in words)


def _number(member: tuple[str, str]) -> int:
    return int.from_bytes(blake2b(" ".join(member).encode(), digest_size=15).digest())


def parts(operation: str) -> tuple[str, str, str]:
    """Return sign, name and word."""
    name, word = operation[1:].split()
    return operation[0], name, word


class SetsModel:
    """The same with Python's sets."""

    def __init__(self) -> None:
        self._sets: dict[str, set[str]] = {"x": set(), "y": set()}

    @property
    def values(self) -> dict[str, str]:
        return {name: " ".join(sorted(words)) for name, words in self._sets.items()}

    def keys(self, operation: str) -> list[str]:
        return [parts(operation)[1]]

    def apply(self, operation: str) -> tuple[str, Scalar]:
        sign, name, word = parts(operation)
        before = self.values[name]
        (self._sets[name].add if sign == "+" else self._sets[name].discard)(word)
        return "same" if self.values[name] == before else "done", self.values[name]

    def in_words(self, operation: str) -> str:
        return operation

    def audit(self, values: Mapping[str, str]) -> Iterator[str]:
        return (
            f"{name} is out of order"
            for name in values
            if values[name].split() != sorted(values[name].split())
        )


class SetsWorkload(Workload):
    """Adds, removes and looks."""

    def machine(self, release: int = 0) -> NamedSets:
        return NamedSets()

    def model(self) -> Model:
        return SetsModel()

    def operation(self, chance: random.Random) -> str:
        return f"{chance.choice('+-')}{chance.choice('xy')} {chance.choice('abcdef')}"

    def query(self, chance: random.Random) -> str:
        return chance.choice("xy")
