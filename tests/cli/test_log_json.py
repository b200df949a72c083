"""With --log-json every line of a process is one JSON object, from the first one on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import warm

GOOD = "nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2}\n"


def told(folder: Path, text: str, *arguments: str, code: int) -> list[dict[str, Any]]:
    """Return what a process said before it ended with this code."""
    (folder / "config.yaml").write_text(text)
    ended = warm.run(["--log-json", "--config", str(folder / "config.yaml"), *arguments], timeout=60)
    assert (ended.returncode, ended.stdout) == (code, "")
    return [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        (GOOD + "lease_ms: x\n", ["nameserver"], "config.yaml line 3: lease_ms must be a whole number"),
        (GOOD, ["server", "s9"], "has no server s9: there are s1"),
        (GOOD, ["server"], "Missing argument 'NAME'"),
        (GOOD, ["server", "s1", "--sideways"], "No such option '--sideways'"),
    ],
)
def test_what_is_wrong_before_there_is_a_log_is_a_line_of_one(
    tmp_path: Path, text: str, arguments: list[str], says: str
) -> None:
    [line] = told(tmp_path, text, *arguments, code=2)
    assert line["level"] == "error"
    assert line["server"] == arguments[0]
    assert says in line["event"]


def test_a_warning_at_the_start_is_a_line_too(tmp_path: Path) -> None:
    exposed = GOOD.replace("127.0.0.1:1", "192.0.2.1:9090")
    warning, why = told(tmp_path, exposed, "--insecure", "nameserver", code=1)
    assert (warning["level"], warning["server"]) == ("warning", "nameserver")
    assert warning["event"].startswith("192.0.2.1:9090 can be reached by others")
    assert "is not an address of this machine" in why["event"]


def test_a_log_that_cannot_be_opened_is_told_where_the_process_was_started(tmp_path: Path) -> None:
    [line] = told(tmp_path, GOOD, "nameserver", "--log-file", str(tmp_path / "none" / "log"), code=1)
    assert line["event"].endswith("/none/log cannot be opened: No such file or directory")
