"""The documents agree with the code: rooms, files, layers, names of functions, failpoints, rules."""

from __future__ import annotations

import configparser
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.server.failpoints import PLACES, PROPOSALS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bankrmi"
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
DESIGN = (ROOT / "docs/design.md").read_text()
DECISIONS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))

ROOMS = sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py"))
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py")
RULES = [
    *(f"A{number}" for number in range(1, 6)),
    *(f"V{number}" for number in range(1, 15)),
    *(f"R{number}" for number in range(1, 6)),
    *(f"O{number}" for number in range(1, 6)),
    *(f"S{number}" for number in range(1, 9)),
    *(f"J{number}" for number in range(1, 4)),
    *(f"F{number}" for number in range(1, 4)),
    *(f"W{number}" for number in range(1, 5)),
]
RULE_NAME = re.compile(r"\b[AVROSJFW]\d{1,2}\b")


def table_below(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading of the architecture."""
    text = ARCHITECTURE.partition(f"\n{heading}\n")[2].partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in text.splitlines()[2:]]


def test_the_layers_shown_are_those_that_are_checked() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    checked = settings["importlinter:contract:rooms"]["layers"].replace("(", "").replace(")", "").split("\n")
    shown = ARCHITECTURE.partition("```layers\n")[2].partition("```")[0].splitlines()
    assert shown == [layer for layer in checked if layer]


def test_every_room_is_in_the_table() -> None:
    assert sorted(row[0].strip("`") for row in table_below("## Rooms") if row[0] != "–") == ROOMS


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_file_is_named_in_its_room(file: Path) -> None:
    """In the architecture's table, or in the docstring of the room."""
    room = file.relative_to(PACKAGE).parts[0] if file.parent != PACKAGE else "–"
    [row] = [row for row in table_below("## Rooms") if row[0].strip("`") == room]
    face = (file.parent / "__init__.py").read_text().partition("from __future__")[0]
    named = f"`{file.stem}`" in row[2] or re.search(rf"^ +{file.stem} ", face, re.MULTILINE)
    assert named, f"say in docs/architecture.md what {file.stem}.py in {room} is for"


def test_every_file_that_is_named_is_there() -> None:
    for text in (ARCHITECTURE, *(decision.read_text() for decision in DECISIONS)):
        for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", text):
            assert (PACKAGE / name).exists() or (ROOT / name).exists(), name
    for _, _, names in table_below("## Rooms"):
        for name in re.findall(r"`([a-z_]+)`", names):
            assert [file for file in FILES if file.stem == name] or name == "step", name


def test_every_rule_has_its_place() -> None:
    listed = [rule for row in table_below("## Where the rules live") for rule in row[0].split(", ")]
    assert listed == RULES


def test_the_design_defines_each_rule_once() -> None:
    assert re.findall(r"^- \*\*([A-Z]\d{1,2})\*\* ", DESIGN, re.MULTILINE) == RULES


def words_with(pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    """Return comments, docstrings and other strings of the package with this in them, each with its file."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if pattern.search(file.read_text()):
            yield from ((file, words) for words in _words_of(file) if pattern.search(words))


def _words_of(file: Path) -> list[str]:
    with tokenize.open(file) as source:
        tokens = tokenize.generate_tokens(source.readline)
        return [token.string for token in tokens if token.type in (tokenize.COMMENT, tokenize.STRING)]


def test_every_rule_that_is_named_is_in_the_design() -> None:
    """Whoever reads `V1` in the code, in a decision or on another page finds it there."""
    texts = list(words_with(RULE_NAME))
    texts += [
        (page, page.read_text()) for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    ]
    named = {(file.name, rule) for file, text in texts for rule in RULE_NAME.findall(text)}
    assert {rule for _, rule in named} >= set(RULES), "the search finds what is there"
    assert sorted(place for place in named if place[1] not in RULES) == []


def anchors_of(page: Path) -> set[str]:
    """Return what a link can name in a page: its headings, as GitHub and MyST spell them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    """Those between the pages of docs/ are looked at by `make docs`, too; those of other files only here."""
    pages = [
        *ROOT.glob("*.md"),
        *sorted((ROOT / ".github").rglob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    for page in pages:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
            found = page.parent / target if target else page
            assert found.exists(), f"{target} in {page.name}"
            assert not anchor or anchor in anchors_of(found), f"{target}#{anchor} in {page.name}"


def test_every_section_of_the_design_that_is_named_is_there() -> None:
    sections = set(re.findall(r"^## (\d+)\. ", DESIGN, re.MULTILINE))
    section = re.compile(r"design(?:\.md|,) section (\d+)")
    named = {number for _, words in words_with(section) for number in section.findall(words)}
    assert named
    assert named <= sections


def test_every_function_that_is_named_is_where_it_is_said_to_be() -> None:
    """`file.py` is followed by what is in it; `Class.method` needs no file."""
    for row in [*table_below("## Where the rules live"), *table_below("## The way of one withdrawal")]:
        source = ""
        for name in re.findall(r"`([\w/.]+)`", " ".join(row)):
            if name.endswith(".py"):
                source += (PACKAGE / name).read_text()
            elif re.fullmatch(r"_?[a-z]\w*_\w+|_[a-z]\w+", name):
                assert re.search(rf"def {name}\b", source), f"{name} in {row}"
            elif re.fullmatch(r"[A-Z]\w+\.\w+", name):
                kind, _, method = name.partition(".")
                holders = [file.read_text() for file in FILES if f"class {kind}" in file.read_text()]
                assert any(re.search(rf"def {method}\b", holder) for holder in holders), name


def test_every_failpoint_is_named() -> None:
    way = ARCHITECTURE.partition("## The way of one withdrawal")[2].partition("## Where the rules live")[0]
    named = set(re.findall(r"`((?:before|after|checkpoint|proposal)-[a-z]+(?::[A-Za-z-]+)?)`", way))
    kinds = {place for place in named if place.endswith(":KIND")}
    spelled = {place.replace("KIND", kind) for place in kinds for kind in PROPOSALS} | (named - kinds)
    assert spelled == PLACES


def test_decisions_are_numbered_listed_and_of_one_form() -> None:
    numbers = [int(file.name[:4]) for file in DECISIONS]
    assert len(set(numbers)) == len(numbers), "two decisions have one number"
    index = (ROOT / "docs/adr/README.md").read_text()
    for file in DECISIONS:
        text = file.read_text()
        title = re.fullmatch(rf"# {int(file.name[:4])}\. (.+)", text.splitlines()[0])
        assert title is not None
        assert f"[{title[1]}]({file.name})" in index
        headings = [line for line in text.splitlines() if line.startswith("## ")]
        assert headings == ["## Context", "## Decision", "## Consequences"], file.name
        assert len(text.splitlines()) <= 45, f"{file.name} is longer than half a page"


def test_the_changelog_has_safety_first() -> None:
    for version in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        assert version.partition("\n### ")[2].startswith("Safety\n")


def test_the_readme_is_read_in_one_sitting() -> None:
    """What is longer has a page in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
