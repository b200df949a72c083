"""What docs/how-to/test-your-class.md shows is what happens; by the rules of tests/test_pages.py."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pages import ROOT, Different, blocks_of, commands_of, compare
from tests.reader import Shell
from tests.warm_commands import warm_commands

PAGE = "docs/how-to/test-your-class.md"
TUTORIAL = "docs/your-own-class.md"
SHOWN_SEEDS = "range(3)"


@pytest.mark.timeout(300)  # It takes ten seconds, on a machine that does nothing else.
@pytest.mark.parametrize(
    "seeds", ["range(1)", pytest.param(SHOWN_SEEDS, marks=pytest.mark.long)], ids=["one seed", "as shown"]
)
def test_who_follows_the_page_has_a_class_that_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: str
) -> None:
    """In every run with one seed where the page has three, which prints the same."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # This version, wherever another one is installed.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    first = next(block for block in blocks_of((ROOT / TUTORIAL).read_text()) if block.language == "python")
    assert first.text.startswith("# inventory.py")
    (tmp_path / "inventory.py").write_text(first.text)
    opened = ExitStack()
    shell = Shell(tmp_path, before=[opened.enter_context(warm_commands(tmp_path / ".bin"))])
    opened.callback(shell.close)
    with opened:
        for block in blocks_of((ROOT / PAGE).read_text()):
            if block.language == "python":
                file = tmp_path / block.text.split()[1]
                file.write_text(block.text.replace(f"seeds={SHOWN_SEEDS}", f"seeds={seeds}"))
            elif block.language == "console":
                for command, output in commands_of(block):
                    printed = [_without_figures(line) for line in shell.run(command)]
                    try:
                        compare([_without_figures(line) for line in output], printed)
                    except Different as difference:
                        pytest.fail(f"{PAGE} line {block.line}: {command} prints {printed}: {difference}")


def _without_figures(line: str) -> str:
    """How often a method was called is another number with every change of the rules."""
    return re.sub(r"^(  \w+): .*", r"\1: …", line)
