"""`bankrmi server`: a name runs that server; `add`, `move` and `remove` are commands; bad input is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bankrmi.cli import run

FILE = "nameserver: 127.0.0.1:19090\nservers:\n  s1: 127.0.0.1:19101\n"


def ended(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, text: str = FILE) -> tuple[int, str]:
    """Return the exit code of `bankrmi server ...`, and all that it printed."""
    config = folder / "config.yaml"
    config.write_text(text)
    code = run(["--config", str(config), "server", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("s9",), "has no server s9: there are s1"),
        (("--first", "s9"), "has no server s9: there are s1"),
        (("s1", "--nonsense"), "No such option '--nonsense' (see bankrmi server --help)"),
        (("add",), "Missing argument 'NAME'"),
        (("add", "s3"), "Missing argument 'ADDRESS'"),
        (("add", "s3", "nowhere"), "'nowhere' is not an address: write host:port"),
        (("add", "move", "127.0.0.1:19103"), "a server cannot be called move"),
        (("add", "-x", "127.0.0.1:19103"), "No such option"),
        (("move", "s1", "127.0.0.1:19090"), "127.0.0.1:19090 is the address of the name server"),
        (("move", "s1", "localhost:19090"), "localhost:19090 is the address of the name server"),
        (("add", "s3", "10.0.0.13:9101"), "10.0.0.13:9101 can be reached by others"),
        (("remove",), "Missing argument 'NAME'"),
    ],
)
def test_what_is_wrong_is_told_before_anybody_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    code, printed = ended(tmp_path, capsys, *words)
    assert code == 2
    assert told in printed


@pytest.mark.parametrize("words", [("add", "s3", "127.0.0.1:19103"), ("remove", "s1", "--yes")])
def test_where_nobody_leads_nothing_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, printed = ended(tmp_path, capsys, *words)
    assert code == 5
    assert "nobody knows of a primary" in printed


@pytest.mark.parametrize("name", ["add", "move", "remove"])
def test_no_file_calls_a_server_by_the_name_of_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, printed = ended(tmp_path, capsys, "s1", text=FILE + f"  {name}: 127.0.0.1:19102\n")
    assert code == 2
    assert f"a server cannot be called {name}: `bankrmi server {name}` is a command" in printed


def test_the_help_tells_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = ended(tmp_path, capsys, "--help")
    assert code == 0
    for word in ("NAME", "add", "move", "remove"):
        assert word in printed
    _, printed = ended(tmp_path, capsys, "s1", "--help")
    assert printed.startswith("Usage: bankrmi server [OPTIONS] NAME")
