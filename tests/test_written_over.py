"""Progress is one line on a terminal that can write over it, and no code at all on one that cannot."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

from tests import warm
from tests.verifying.test_verifying import filled

ROOT = Path(__file__).parent.parent
SCENE = """
from bankrmi.written_over import WrittenOver
line = WrittenOver()
line.show("first\\x1b[2J")
line.show("second")
line.clear()
print("done")
"""


def seen_on(term: str | None, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "TERM"}
    environment |= {} if term is None else {"TERM": term}
    program = pexpect.spawn(
        sys.executable, list(command), env=environment, encoding="utf-8", timeout=60, cwd=str(ROOT)
    )
    program.expect(pexpect.EOF)
    program.close()
    return str(program.before)


def test_a_terminal_writes_over_the_line() -> None:
    assert seen_on("xterm", "-c", SCENE) == "\r\x1b[Kfirst\\u001b[2J\r\x1b[Ksecond\r\x1b[Kdone\r\n"


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_a_dumb_terminal_gets_a_line_now_and_then_and_no_code(term: str | None) -> None:
    assert seen_on(term, "-c", SCENE) == "first\\u001b[2J\r\ndone\r\n"


def test_verify_sends_no_code_to_a_dumb_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "s1"
    filled(folder).close()
    seen = {}
    for term in ("dumb", "xterm"):
        program = warm.terminal(["verify", str(folder)], env=os.environ | {"TERM": term}, timeout=60)
        program.expect(pexpect.EOF)
        program.close()
        seen[term] = str(program.before)
    assert "sound" in seen["dumb"]
    assert "\x1b" not in seen["dumb"]
    assert "\x1b[K" in seen["xterm"]


def test_nobody_else_writes_over_a_line() -> None:
    """Whoever wants to shows it here, so that nobody forgets the dumb terminals."""
    escape = re.compile(r"\\x1b\[|\\033\[")
    written = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "bankrmi").rglob("*.py")
        if escape.search(file.read_text(encoding="utf-8"))
    }
    assert written == {"bankrmi/cli/screen.py", "bankrmi/written_over.py"}
