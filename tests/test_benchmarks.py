"""The scripts in benchmarks/ can be used; what they measure is nobody's to test."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests import warm

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("*.py")))
def test_it_can_be_asked_how_it_is_used(name: str) -> None:
    asked = warm.run_command([sys.executable, str(FOLDER / name), "--help"], timeout=60)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith(f"usage: {name} ")


def test_the_views_of_a_witness_are_counted_out() -> None:
    """The names in it were refused by a stricter witness, and nobody had noticed."""
    script = [sys.executable, str(FOLDER / "many_views.py"), "--views", "100"]
    asked = warm.run_command(script, timeout=60)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert [line.split()[0] for line in asked.stdout.splitlines()] == ["views", "10", "100"]


def test_every_script_that_is_named_is_there() -> None:
    root = FOLDER.parent
    texts = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("bankrmi/**/*.py")]
    named = {name for text in texts for name in re.findall(r"benchmarks/(\w+\.py)", text.read_text())}
    assert "holds.py" in named
    assert named <= {script.name for script in FOLDER.glob("*.py")}
