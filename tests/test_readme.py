"""What README.md shows is what happens: its blocks are run, from top to bottom, on a bank of their own.

    ```console    lines with `$` are commands of one shell; what follows must be printed.  Without any `$`:
                  what the terminal of `make up` must print sooner or later
    ```python     examples of the interactive interpreter, in one and the same interpreter
    ```yaml       a file; its first line is a comment with its name
    ```           shown only

Rule 1: `…` on a line of its own stands for any lines.
Rule 2: a pid or an id may be another one than in the README, but then it is the same other one everywhere.
        Times and dates may be any.  Addresses are those of this test.
Rule 3: `bankrmi status` is asked again until it says what the README says: it shows what goes on by itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.readme_page import ADDRESSES, ANYTHING, README, ROOT, Different, blocks_of, compare
from tests.readme_reader import Reader
from tests.system.ports import own_addresses


def _patient(shipped: str) -> str:
    """On a busy machine nobody may be left behind for being late: that would be another epoch."""
    for key, milliseconds in (("lease_ms", 6000), ("checkpoint_timeout_ms", 5000)):
        shipped, count = re.subn(rf"^{key}: \d+", f"{key}: {milliseconds}", shipped, flags=re.MULTILINE)
        assert count == 1
    return shipped


@pytest.mark.timeout(300)  # It takes ten seconds, on a machine that does nothing else.
def test_everything_shown_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with own_addresses(len(ADDRESSES)) as addresses, Reader(tmp_path, addresses) as reader:
        shipped = (ROOT / "config.yaml").read_text()
        for theirs, ours in zip(ADDRESSES, addresses, strict=True):
            assert theirs in shipped
            shipped = shipped.replace(theirs, ours)
        (tmp_path / "config.yaml").write_text(_patient(shipped))
        (tmp_path / "ledger.csv").write_text((ROOT / "ledger.csv").read_text())
        for block in blocks_of(README):
            try:
                reader.follow(block)
            except Different as difference:
                pytest.fail(f"README.md line {block.line}: {difference}", pytrace=False)
        reader.stop_the_bank()


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
