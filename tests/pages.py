"""README.md and the pages of docs/ block by block, and whether what is printed is what they show.

The rules are in test_pages.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONTENTS = "docs/index.md"
ADDRESSES = ("127.0.0.1:9090", "127.0.0.1:9101", "127.0.0.1:9102")
"""Of the bank of a page."""
SERVICE_ADDRESSES = ("127.0.0.1:9190", "127.0.0.1:9191", "127.0.0.1:9192")
"""Of a class that is served beside it."""
ANYTHING = "…"


# -- reading pages -----------------------------------------------------------------------------------


def page_text(name: str) -> str:
    """Return the text of a page, by its name from the root of the repository."""
    return (ROOT / name).read_text()


def in_order_of_contents() -> list[str]:
    """Return the names of the pages of docs/, as whoever reads all of them comes to them."""
    parts = re.findall(r"```\{toctree\}\n(?::[^\n]*\n)*\n(.*?)```", page_text(CONTENTS), re.DOTALL)
    return [CONTENTS, *(f"docs/{name}.md" for part in parts for name in part.split())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    language: str
    line: int
    text: str


def blocks_of(text: str) -> Iterator[Block]:
    fence = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for found in fence.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(language=found[1], line=line, text=found[2])


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """Return each command of a block with the lines that it prints."""
    shown: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            shown.append((line.removeprefix("$ "), []))
        else:
            shown[-1][1].append(line)
    return shown


# -- comparing ---------------------------------------------------------------------------------------

_IDS = re.compile(r"(?<=pid )\d+|(?<=\[)\d{2,}(?=\])|(?<=kill -9 )\d+|\bt?[0-9a-f]{16,40}\b")
_DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")
_STATUS = re.compile(
    r"^(s\d+ (?:primary|standby|joining|starting)) (\d+) (\S+) (.*) (?:\d+|-) \d+ (?:s|min)$"
)
_AFTER_DEATH = re.compile(r", \d+ ms after(?= s\d+ died)")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LED_FOR = re.compile(r"(?<=has led for )\d+ (?:s|minutes)")
_SIMULATED = re.compile(r"\d+ acknowledged operations \(.*")
_SET = re.compile(r"\{('[^'{}]*'(?:, '[^'{}]*')*)\}")


class Different(AssertionError):
    """What is printed is not what the page shows."""


def comparable(line: str) -> tuple[str, list[str]]:
    """Return a line without what may be another one every time, and what was left out that has a meaning."""
    line = " ".join(line.split())
    line = _SIMULATED.sub("N acknowledged operations", line)
    line = _SET.sub(lambda found: "{" + ", ".join(sorted(found[1].split(", "))) + "}", line)
    row = _STATUS.match(line)
    if row:
        return f"{row[1]} ID {row[3]} {row[4]}", [row[2]]
    line = _LED_FOR.sub("A WHILE", _MOMENT.sub("THEN", line))
    line = _AFTER_DEATH.sub(", SOME ms after", line)
    line = _DATE.sub("SOME DAY", line)
    return _IDS.sub("ID", line), _IDS.findall(line)


def compare(expected: Sequence[str], actual: Sequence[str]) -> list[tuple[str, str]]:
    """Return which ids of the page stand for which real ones; raise Different."""
    wanted = [comparable(line) for line in expected]
    given = [comparable(line) for line in actual]
    pairs: list[tuple[str, str]] = []
    place, loose = 0, False
    while wanted:
        if wanted[0][0] == ANYTHING:
            wanted, loose = wanted[1:], True
            continue
        end = next((i for i, line in enumerate(wanted) if line[0] == ANYTHING), len(wanted))
        part, wanted = wanted[:end], wanted[end:]
        place = _find(part, given, place, loose=loose)
        for (_, ours), (_, theirs) in zip(part, given[place:], strict=False):
            pairs += zip(ours, theirs, strict=True)
        place, loose = place + len(part), False
    if not loose and place != len(given):
        raise Different(f"and then there is: {actual[place]!r}")
    return pairs


def _find(part: list[Any], given: list[Any], place: int, *, loose: bool) -> int:
    texts = [line[0] for line in part]
    last = len(given) - len(part) if loose else place
    for start in range(place, last + 1):
        if [line[0] for line in given[start : start + len(part)]] == texts:
            return start
    there = "\n".join(line[0] for line in given[place:])
    raise Different(f"this is not there: {texts}; there is:\n{there}")
