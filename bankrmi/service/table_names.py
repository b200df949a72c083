"""Names of tables as a service writes them, and as they are in the database: `item`, and `orders.item`.

Several services lie in one database, in one transaction (S8), and each has names of its own: a statement of
one that stands beside the first is written anew, with its name before those of its tables, views, indexes and
triggers. What stands where SQL has such a name is one; columns, aliases and functions stay as they are.

Rule 1: what is overlooked here is nobody's table: SQLite says so, or its authorizer (see `tables`). No
        mistake here leads a service to another's rows.
Rule 2: who reads an error is told the names as the service has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

__all__ = ["as_written", "is_of", "its", "quoted", "renamed"]

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<text>'(?:[^']|'')*')"
    r"|(?P<quoted>\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\])"
    r"|(?P<parameter>[?:@$#]\w*)"
    r"|(?P<number>\d[\w.]*)"
    r"|(?P<word>[^\W\d][\w$]*)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_SOURCES = frozenset({"FROM", "JOIN", "IN"})
"""After these stands a table, or a function, or a list of both."""
_TARGETS = frozenset({"INTO", "UPDATE", "REFERENCES"})
_MADE = frozenset({"TABLE", "VIEW", "INDEX", "TRIGGER"})
_MAKE = frozenset({"CREATE", "DROP", "ALTER"})
_NOT_UPDATED = frozenset({"SET", "OF", "ON", "CASCADE", "RESTRICT", "NO", "WHEN", "FOR", "BEGIN"})
"""After UPDATE: it is no statement of its own."""
_ENDS_SOURCES = frozenset(
    {
        *("WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "WINDOW", "SELECT", "SET", "UNION", "EXCEPT"),
        *("INTERSECT", "RETURNING", "VALUES", "BEGIN", "END"),
    }
)
_NO_ALIAS = frozenset(
    {
        *_ENDS_SOURCES,
        *("ON", "USING", "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL", "INDEXED"),
        *("NOT", "AS", "DEFAULT", "OR", "AND", "THEN", "ELSE", "WHEN", "RENAME", "ADD", "DROP", "TO", "DO"),
    }
)
_CONFLICTS = frozenset({"OR", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "IGNORE"})
_SKIPPED = frozenset({"IF", "NOT", "EXISTS"})

_REMEMBERED_AT_MOST = 2048
"""Characters: a longer statement is read each time, for its length may be a caller's doing."""


class _Token(NamedTuple):
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The word in capitals; nothing if it is none."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def written(self) -> str:
        """What it names, if it can be a name."""
        if self.kind == "quoted":
            end = self.text[-1]
            return self.text[1:-1].replace(end * 2, end)
        return self.text if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The same in small letters, which are all the same to SQL."""
        return self.written.lower()


def is_of(service: str, table: str) -> bool:
    """Whether a table, view, index or trigger of the database is one of this service's, which is not the
    first."""
    return table.lower().startswith(f"{service.lower()}.")


def quoted(name: str) -> str:
    """Return a name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def its(service: str, beside: Collection[str]) -> Callable[[str], bool]:
    """Return what says whether something in the database is one service's; "" is the first one, and `beside`
    are the others."""
    if service:
        return partial(is_of, service)
    return lambda table: not any(is_of(other, table) for other in beside)


def as_written(service: str, sentence: str) -> str:
    """Return a sentence of SQLite's with the names that the service has written."""
    return sentence.replace(f"{service}.", "") if service else sentence


def renamed(statement: str, service: str) -> str:
    """Return a statement of a service as the database is asked it."""
    read = _remembered if len(statement) <= _REMEMBERED_AT_MOST else _renamed
    return read(statement, service)


def _renamed(statement: str, service: str) -> str:
    tokens = [_Token(str(found.lastgroup), found[0]) for found in _TOKEN.finditer(statement)]
    places = [place for place, token in enumerate(tokens) if token.kind != "space"]
    found = _Reader([tokens[place] for place in places]).names()
    for place in found:
        token = tokens[places[place]]
        name = f"{service}.{token.written}".replace('"', '""')
        tokens[places[place]] = _Token("quoted", f'"{name}"')
    return "".join(token.text for token in tokens)


_remembered = lru_cache(maxsize=1024)(_renamed)


class _Frame:
    """What is within one pair of brackets."""

    __slots__ = ("in_sources", "is_source")

    def __init__(self, *, is_source: bool) -> None:
        self.is_source = is_source
        """Whether it stands where a table could."""
        self.in_sources = is_source


class _Reader:
    """Reads one statement from its beginning to its end; comments and blanks are left out."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._frames = [_Frame(is_source=False)]
        self._expects = ""  # What the next name is: "source", "target", or nothing that is looked for.
        self._found: dict[int, str] = {}
        self._aliases: set[str] = set()
        self._made = ""  # Which kind of thing is made, dropped or altered.
        self._on_is_next = False
        self._queries = self._named_queries()

    def names(self) -> list[int]:
        """Return the places of tokens that are names of what is the service's."""
        for place in range(len(self._tokens)):
            self._take(place)
        used = set(self._found.values()) - self._aliases
        qualifiers = [
            place
            for place, token in enumerate(self._tokens)
            if place not in self._found and token.name in used and self._text(place + 1) == "."
        ]
        return sorted([*self._found, *qualifiers])

    def _text(self, place: int) -> str:
        return self._tokens[place].text if 0 <= place < len(self._tokens) else ""

    def _word(self, place: int) -> str:
        return self._tokens[place].word if 0 <= place < len(self._tokens) else ""

    def _take(self, place: int) -> None:
        token = self._tokens[place]
        if token.text == "(":
            is_source = self._expects == "source" and self._word(place - 1) != "IN"
            self._frames.append(_Frame(is_source=is_source))
            self._expects = "source" if is_source else ""
        elif token.text == ")":
            if len(self._frames) > 1 and self._frames.pop().is_source:
                self._note_alias(place + 1)
            self._expects = ""
        elif token.text == ".":
            return  # As in `main.item`: what is looked for is still to come.
        elif token.text == ";":
            self._frames[-1].in_sources, self._expects = False, ""
        elif token.text == ",":
            self._expects = "source" if self._frames[-1].in_sources else ""
        elif token.word and self._is_keyword(place, token.word):
            return
        elif token.name and self._expects:
            self._take_name(place, token)
        else:
            self._expects = ""

    def _is_keyword(self, place: int, word: str) -> bool:
        """Take a word that says what comes next; return whether it is one."""
        if word == "FROM" and self._word(place - 1) == "DISTINCT" and self._word(place - 2) in ("IS", "NOT"):
            return True
        if word in _ENDS_SOURCES:
            self._frames[-1].in_sources, self._expects = False, ""
            return True
        if word in _SOURCES:
            self._expects = "source"
            self._frames[-1].in_sources = word != "IN" or self._frames[-1].in_sources
            return True
        if word in _TARGETS:
            is_statement = word != "UPDATE" or self._word(place + 1) not in _NOT_UPDATED
            self._expects = "target" if is_statement else ""
            return True
        if word in _MADE and self._word(0) in _MAKE and not self._made:
            self._made, self._expects = word, "target"
            self._on_is_next = word in ("INDEX", "TRIGGER")
            return True
        if word == "ON" and self._on_is_next:
            self._on_is_next, self._expects = False, "target"
            return True
        if word == "BY" and self._word(place - 1) == "INDEXED":
            self._expects = "target"
            return True
        if word == "TO" and self._word(place - 1) == "RENAME":
            self._expects = "target"
            return True
        is_between = word in _SKIPPED and self._made and self._expects
        return bool(is_between) or (word in _CONFLICTS and self._expects == "target")

    def _take_name(self, place: int, token: _Token) -> None:
        following = self._text(place + 1)
        if following == ".":
            return
        if self._text(place - 1) == "." and self._tokens[place - 2].name != "main":
            self._expects = ""
            return
        is_function = self._expects == "source" and following == "("
        if not is_function and token.name not in self._queries and not token.name.startswith("sqlite_"):
            self._found[place] = token.name
        self._expects = ""
        self._note_alias(place + 1)

    def _note_alias(self, place: int) -> None:
        if self._word(place) == "AS":
            place += 1
        elif self._word(place) in _NO_ALIAS:
            return
        if place < len(self._tokens) and self._tokens[place].name:
            self._aliases.add(self._tokens[place].name)

    def _named_queries(self) -> set[str]:
        """Return the names that WITH gives to queries: they are no tables."""
        if not any(token.word == "WITH" for token in self._tokens):
            return set()
        found = set()
        for place, token in enumerate(self._tokens):
            if token.word != "AS":
                continue
            after = place + 1
            if self._word(after) == "NOT":
                after += 1
            if self._word(after) == "MATERIALIZED":
                after += 1
            if self._text(after) == "(":
                found.add(self._tokens[self._before_brackets(place - 1)].name)
        return found - {""}

    def _before_brackets(self, place: int) -> int:
        """Return the place before a pair of brackets that ends here; the same, if none does."""
        if self._text(place) != ")":
            return place
        depth = 0
        while place > 0:
            depth += {")": 1, "(": -1}.get(self._text(place), 0)
            place -= 1
            if depth == 0:
                break
        return place
