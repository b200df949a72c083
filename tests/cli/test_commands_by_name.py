"""Which file has which command, and that nobody waits for the others."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import bankrmi.cli
from bankrmi.cli import commands_by_name
from bankrmi.cli.commands_by_name import CommandsByName, names_in

FOLDER = Path(next(iter(bankrmi.cli.__path__)))


def test_each_file_has_the_commands_that_it_is_said_to_have_and_none_is_left_out() -> None:
    said = commands_by_name._FILES
    has = {file.stem: import_module(f"bankrmi.cli.{file.stem}") for file in FOLDER.glob("*.py")}
    commands = {
        name: tuple(command.name for command in module.COMMANDS)
        for name, module in has.items()
        if hasattr(module, "COMMANDS") and name != "changed_servers"  # Those stand within `server`.
    }
    assert commands == said
    named = CommandsByName()
    assert len(named) == sum(map(len, said.values())), "no two files have a command of one name"
    assert [command.name for command in named.values()] == list(named)


def test_a_command_that_is_not_there_is_not_there() -> None:
    named = CommandsByName()
    assert named.get("nonsense") is None
    assert "nonsense" not in named
    with pytest.raises(KeyError):
        named["nonsense"]
    with pytest.raises(TypeError):
        del named["up"]


def test_the_names_of_some_files() -> None:
    assert names_in("serve", "overview") == {"serve", "status", "switchover", "witness"}


@pytest.mark.parametrize(
    ("command", "needs", "needs_not"),
    [
        ("balance", "operations", {"processes", "overview", "demo", "simulate", "cert"}),
        ("server", "processes", {"operations", "overview", "demo", "simulate", "verify"}),
    ],
)
def test_a_command_imports_no_other_file_of_commands(command: str, needs: str, needs_not: set[str]) -> None:
    code = (
        "import sys; from bankrmi.cli import run; "
        f"run(['{command}', '--help']); print(*(name for name in sys.modules if 'bankrmi.cli.' in name))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.rpartition(".")[2] for name in ended.stdout.splitlines()[-1].split()}
    assert needs in imported
    assert not imported & needs_not
