"""What a person asks when they do not know: `bankrmi help`, `-V`, manual pages, and the shell's Tab key."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

import bankrmi
from bankrmi.cli import run
from tests import warm
from tests.pages import ROOT
from tests.warm_commands import warm_commands

# -- help --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[], ["status"], ["server"], ["server", "add"], ["cert", "renew"]], ids=str)
def test_help_says_what_the_option_says(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", *names]) == 0
    said = capsys.readouterr().out
    assert run([*names, "--help"]) == 0
    assert said == capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["stauts"], "No such command 'stauts'. Did you mean 'status'? (see bankrmi --help)\n"),
        (["cert", "renw"], "No such command 'renw'. Did you mean 'renew'? (see bankrmi cert --help)\n"),
        (
            ["status", "now"],
            "bankrmi status has no commands of its own, and 'now' is none (see bankrmi status --help)\n",
        ),
    ],
    ids=str,
)
def test_help_on_what_there_is_not(names: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", *names]) == 2
    assert capsys.readouterr().err == said


def test_the_version_has_a_short_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-V"]) == 0
    assert capsys.readouterr().out == f"bankrmi, version {bankrmi.__version__}\n"


# -- manual pages ------------------------------------------------------------------------------------


def test_the_manual_pages_are_those_of_the_help_texts(tmp_path: Path) -> None:
    made = warm.run_command([sys.executable, "docs/manual_pages.py", str(tmp_path)], cwd=ROOT, timeout=60)
    made.check_returncode()
    pages = {file.name: file.read_text() for file in tmp_path.iterdir()}
    kept = {file.name: file.read_text() for file in (ROOT / "docs" / "man").iterdir()}
    assert "bankrmi-server-add.1" in pages
    assert "--first" in pages["bankrmi-server.1"].replace("\\", "")
    assert kept == pages, "the help texts have changed: `make man`"


@pytest.mark.long
def test_a_wheel_brings_them_where_man_looks_for_them(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    [wheel] = tmp_path.glob("*.whl")
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    pages = {name.name for name in names if name.parts[-3:-1] == ("man", "man1")}
    assert pages == {file.name for file in (ROOT / "docs" / "man").iterdir()}
    assert {name.parts[1:3] for name in names if name.name == "bankrmi.1"} == {("data", "share")}


@pytest.mark.skipif(not shutil.which("man"), reason="no `man` on this machine: apt install man-db")
def test_man_reads_them_without_a_complaint() -> None:
    pages = [ROOT / "docs" / "man" / f"bankrmi{name}.1" for name in ("", "-help", "-status", "-server")]
    ended = subprocess.run(
        ["man", "--warnings", "-l", *map(str, pages)],
        env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stderr == ""
    assert "bankrmi help [OPTIONS] [COMMAND]..." in ended.stdout
    assert "_BANKRMI_COMPLETE=fish_source bankrmi | source" in ended.stdout


# -- completion --------------------------------------------------------------------------------------


def lines_of_the_help() -> dict[str, str]:
    """Return by shell how its completion is switched on, as `bankrmi --help` says."""
    from bankrmi.cli.main import commands

    lines = [line.strip() for line in (commands.epilog or "").splitlines()]
    return {
        shell: next(line for line in lines if f"_BANKRMI_COMPLETE={shell}_source" in line)
        for shell in ("bash", "zsh", "fish")
    }


class Typed:
    """A shell with a person at it."""

    def __init__(self, surroundings: dict[str, str], command: list[str], prompt_setting: str) -> None:
        if not shutil.which(command[0]):
            pytest.skip(f"no {command[0]} on this machine: apt install {command[0]}")
        self.terminal = pexpect.spawn(
            command[0],
            command[1:],
            env={**surroundings, "TERM": "xterm"},
            encoding="utf-8",
            timeout=60,
            dimensions=(40, 160),
        )
        self.enter(prompt_setting)  # As it is echoed, it is not the prompt yet.

    def enter(self, line: str) -> None:
        self.terminal.sendline(line)
        self.terminal.expect_exact("ready> ")

    def complete(self, line: str, wanted: str) -> None:
        """Type a line and Tab, until what is wanted stands there."""
        self.terminal.send(f"{line}\t")
        self.terminal.expect_exact(wanted)
        self.terminal.close(force=True)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where `bankrmi` is a command."""
    with warm_commands(tmp_path_factory.mktemp("shell") / ".bin") as path:
        yield {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize(
    ("line", "wanted"), [("bankrmi switch", "over"), ("bankrmi help witness res", "tore")]
)
def test_bash_completes(surroundings: dict[str, str], line: str, wanted: str) -> None:
    shell = Typed(surroundings, ["bash", "--norc", "--noprofile"], "PS1='rea''dy> '")
    shell.enter(lines_of_the_help()["bash"])
    shell.complete(line, wanted)


def test_zsh_completes(surroundings: dict[str, str]) -> None:
    shell = Typed(surroundings, ["zsh", "-f"], "PS1='rea''dy> '")
    shell.enter("autoload -Uz compinit && compinit -u -D")
    shell.enter(lines_of_the_help()["zsh"])
    shell.complete("bankrmi switch", "over")


def test_fish_completes(surroundings: dict[str, str]) -> None:
    if not shutil.which("fish"):
        pytest.skip("no fish on this machine: apt install fish")
    asked = f"{lines_of_the_help()['fish']}; complete -C {shlex.quote('bankrmi sw')}"
    ended = subprocess.run(
        ["fish", "--no-config", "-c", asked],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "switchover\tHand over to a standby.\n"
