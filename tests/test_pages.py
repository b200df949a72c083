"""What README.md and the pages of docs/ show is what happens: their blocks are run, on a bank of their own.

README.md is read by somebody who reads nothing else; the pages from the first to the last, in the order of
the contents (docs/index.md), by somebody who reads all of them.

    ```console    lines with `$` are commands of one shell; what follows must be printed.  Without any `$`:
                  what the terminal of `make up` must print sooner or later; `bankrmi … up` has another one
    ```python     examples of the interactive interpreter, in one and the same interpreter; or a file
    ```yaml       a file; its first line is a comment with its name
    ```           shown only

Rule 1: `…` on a line of its own stands for any lines.
Rule 2: a pid or an id may be another one than on the page, but then it is the same other one everywhere.
        Times and dates may be any.  Addresses are those of this test.
Rule 3: `bankrmi status` is asked again until it says what the page says: it shows what goes on by itself.
Rule 4: what README.md shows is started as its reader starts it; commands of the other pages start warm
        (`warm_commands`).
"""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pages import (
    ADDRESSES,
    ANYTHING,
    ROOT,
    SERVICE_ADDRESSES,
    Different,
    blocks_of,
    compare,
    in_order_of_contents,
    page_text,
)
from tests.reader import Reader
from tests.system.ports import own_addresses
from tests.warm_commands import warm_commands

PATIENT = "lease_ms: 6000\ncheckpoint_timeout_ms: 5000\n"
"""Of a configuration that a page shows."""


def _patient(shipped: str) -> str:
    """On a busy machine nobody may be left behind for being late: that would be another epoch."""
    for key, milliseconds in (("lease_ms", 6000), ("checkpoint_timeout_ms", 5000)):
        shipped, count = re.subn(rf"^{key}: \d+", f"{key}: {milliseconds}", shipped, flags=re.MULTILINE)
        assert count == 1
    return shipped


NO_BANK = ("docs/your-own-class.md", "docs/how-to/test-your-class.md")
"""Which have services of their own, and tests (`system/test_your_own_class.py`, `testing/test_page.py`)."""

READ_TOGETHER = {
    "README.md": ["README.md"],
    "docs": [name for name in in_order_of_contents() if name not in NO_BANK],
}
"""What one reader reads, with one bank."""


@pytest.mark.parametrize("names", READ_TOGETHER.values(), ids=READ_TOGETHER.keys())
@pytest.mark.timeout(300)  # It takes ten seconds, on a machine that does nothing else.
def test_everything_shown_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # This version, wherever another one is installed.
    monkeypatch.syspath_prepend(tmp_path)  # As it is for who starts `python` in that folder.
    monkeypatch.delitem(sys.modules, "counter", raising=False)
    count = len(ADDRESSES) + len(SERVICE_ADDRESSES)
    with ExitStack() as opened:
        addresses = opened.enter_context(own_addresses(count))
        before = [] if names == ["README.md"] else [opened.enter_context(warm_commands(tmp_path / ".bin"))]
        reader = opened.enter_context(Reader(tmp_path, addresses, PATIENT, before=before))
        shipped = (ROOT / "config.yaml").read_text()
        for theirs, ours in zip(ADDRESSES, addresses, strict=False):
            assert theirs in shipped
            shipped = shipped.replace(theirs, ours)
        (tmp_path / "config.yaml").write_text(_patient(shipped))
        (tmp_path / "ledger.csv").write_text((ROOT / "ledger.csv").read_text())
        for name in names:
            for block in blocks_of(page_text(name)):
                try:
                    reader.follow(block)
                except Different as difference:
                    pytest.fail(f"{name} line {block.line}: {difference}", pytrace=False)
        reader.stop_the_bank()
    monkeypatch.delitem(sys.modules, "counter", raising=False)


def test_no_page_with_a_block_to_run_is_left_out() -> None:
    read = {name for names in READ_TOGETHER.values() for name in names}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for file in pages:
        name = str(file.relative_to(ROOT))
        to_run = [block for block in blocks_of(page_text(name)) if block.language in ("console", "python")]
        assert name in read or not to_run or name in NO_BANK, name


def test_what_is_shown_only_is_tried_by_a_test_that_the_page_names() -> None:
    """A block with a `$` that nobody runs here."""
    found = 0
    for name in in_order_of_contents():
        text = page_text(name)
        for block in blocks_of(text):
            if not block.language and re.search(r"^ *\$ ", block.text, re.MULTILINE):
                found += 1
                assert re.search(r"`(tests/[a-z/]*)?test_\w+\.py`", text), f"{name} line {block.line}"
    assert found > 5


# -- the comparison itself ---------------------------------------------------------------------------


def test_another_output_is_noticed() -> None:
    with pytest.raises(Different, match="not there"):
        compare(["Current balance: 290"], ["Current balance: 280"])
    with pytest.raises(Different, match="and then there is"):
        compare(["a"], ["a", "b"])
    with pytest.raises(Different, match="not there"):
        compare(["a", ANYTHING, "c"], ["a", "b"])


def test_ids_may_differ_and_are_told() -> None:
    shown = ["s1     primary 8384 127.0.0.1:9101     2      0       0   0  yes   954  0 s", ANYTHING]
    real = ["s1     primary 77 127.0.0.1:9101     2      0       0   0  yes   12  3 s ", "more"]
    assert compare(shown, real) == [("8384", "77")]
