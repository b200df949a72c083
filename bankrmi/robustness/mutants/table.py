"""All planted bugs, how many seeds each one took, and what saw it: for a person, and kept in a document.

Rule: in the document the table stands between `<!-- mutants -->` and `<!-- /mutants -->`, and only there.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bankrmi.errors import InvalidRequest
from bankrmi.robustness.mutants.hunting import MUTANTS, SEEDS, Found, hunt

__all__ = ["BEGIN", "END", "as_markdown", "hunt_all", "line", "write_between_marks"]

BEGIN = "<!-- mutants -->"
END = "<!-- /mutants -->"

_DETAILS = (
    (r"View\(.*", "a view"),
    (r"\bc\d+(\.\d+)?:\d+", "S:N"),
    (r"\bt[0-9a-f]{27}:\d+", "S:N"),
    (r"\bc\d+ at [\d.]+ s, [a-z]+ \d+:", "a client:"),
    (r" \(to c\d+ at [\d.]+ s\)", ""),
    (r"\bs\d+(#\d+)?\b", "a server"),
    (r"-?\b\d+(\.\d+)?\b", "N"),
)
"""What differs from seed to seed, and what the table says instead."""


def hunt_all(
    names: Sequence[str], *, seeds: int = SEEDS, jobs: int = 1
) -> Iterator[tuple[str, Found | None]]:
    """Hunt these bugs, `jobs` at a time; yield each name with what was found, in their order."""
    if jobs == 1:
        yield from ((name, hunt(name, seeds=seeds)) for name in names)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        hunts = [(name, pool.submit(hunt, name, seeds=seeds)) for name in names]
        for name, future in hunts:
            yield name, future.result()


def line(name: str, found: Found | None, seeds: int) -> str:
    """Return what a person reads while the hunt goes on."""
    rule = MUTANTS[name].rule
    if found is None:
        return f"{name:42} {rule:3}  NOT FOUND in {seeds} seeds"
    return f"{name:42} {rule:3} {found.seeds:5} seeds  {found.sentence}"


def as_markdown(results: Sequence[tuple[str, Found | None]], seeds: int) -> str:
    """Return the table for the documents."""
    rows = [
        "| planted bug | breaks | what goes wrong in the world | seeds needed | what the simulator saw |",
        "|---|---|---|---|---|",
    ]
    for name, found in results:
        mutant = MUTANTS[name]
        needed = f"not found in {seeds}" if found is None else str(found.seeds)
        seen = "" if found is None else _without_details(found.sentence)
        rows.append(f"| `{name}` | {mutant.rule} | {mutant.goes_wrong} | {needed} | {seen} |")
    return "\n".join(rows) + "\n"


def _without_details(sentence: str) -> str:
    for pattern, instead in _DETAILS:
        sentence = re.sub(pattern, instead, sentence)
    return sentence.replace("|", "\\|")


def write_between_marks(path: Path, table: str) -> None:
    """Put the table in the place of the one that the document holds; raises InvalidRequest if it has none."""
    text = path.read_text(encoding="utf-8")
    before, begun, rest = text.partition(f"{BEGIN}\n")
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise InvalidRequest(f"{path} has to hold the lines {BEGIN} and {END}: the table goes between them")
    path.write_text(f"{before}{begun}{table}{ended}{after}", encoding="utf-8")
