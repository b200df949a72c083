"""The worksheet and the page have the same ten steps, in the same words."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKSHEET = (ROOT / "docs/teaching.md").read_text()
PAGE = (ROOT / "bankrmi/console/page/steps.js").read_text()

_FIELDS = ("title", "todo", "look", "question", "answer")
_ON_PAGE = re.compile(r"\n    " + r"\s+".join(rf'{field}: "(?P<{field}>.*?)",' for field in _FIELDS))
_ON_SHEET = re.compile(
    r"^## \d+\. (?P<title>.*?)\n.*?\*\*Do\.\*\* (?P<todo>.*?)\n\n\*\*Look at\.\*\* (?P<look>.*?)\n\n"
    r"\*\*Question\.\*\* (?P<question>.*?)\n\n<details><summary>Answer</summary>\n\n"
    r"(?P<answer>.*?)\n\n</details>",
    re.MULTILINE | re.DOTALL,
)


def steps(of: re.Pattern[str], text: str) -> list[dict[str, str]]:
    """Return the words of each step, however the lines are broken."""
    return [{field: " ".join(found[field].split()) for field in _FIELDS} for found in of.finditer(text)]


def test_the_worksheet_has_the_steps_of_the_page() -> None:
    on_page = steps(_ON_PAGE, PAGE)
    assert len(on_page) == PAGE.count("title:") == 10
    assert steps(_ON_SHEET, WORKSHEET) == on_page


def test_each_step_teaches_something_and_asks_more() -> None:
    for section in WORKSHEET.split("\n## ")[1:11]:
        assert "*It teaches:*" in section
        assert section.count("<summary>Answer</summary>") >= 3


def test_every_rule_that_is_named_can_be_taken_out() -> None:
    from bankrmi.robustness.mutants import MUTANTS

    named = re.findall(r"`([a-z ]+)` \(", WORKSHEET.partition("## For whoever teaches")[2])
    assert len(named) == 4
    assert {name.replace(" ", "-") for name in named} <= set(MUTANTS)
