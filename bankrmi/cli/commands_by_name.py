"""Which file has which command; a file is imported when its command is asked for, and not before.

    CommandsByName()["status"]      imports `bankrmi.cli.overview`, and nothing of the others

Each command is a process that ends soon, and each server one that has to be there soon after a crash: what
they do not need, they do not wait for. Help and manual pages, which name all commands, import all of them.

Rule: what is here of a file is what its `COMMANDS` are; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

__all__ = ["CommandsByName", "names_in"]

_FILES: dict[str, tuple[str, ...]] = {
    "init": ("init",),
    "demo": ("demo",),
    "processes": ("up", "nameserver", "server"),
    "serve": ("serve",),
    "operations": (
        "balance",
        "withdraw",
        "deposit",
        "transfer",
        "open-account",
        "close-account",
        "statement",
        "total",
        "outcome",
        "export",
    ),
    "overview": ("status", "switchover", "witness"),
    "failover": ("failover", "pause", "resume"),
    "history": ("history", "why"),
    "doctor": ("doctor",),
    "backup": ("backup", "restore"),
    "menu": ("menu",),
    "simulate": ("simulate",),
    "chaos": ("chaos",),
    "bench": ("bench",),
    "check": ("check",),
    "console": ("console",),
    "misfortune": ("misfortune",),
    "recordings": ("record", "replay"),
    "verify": ("verify", "verify-statement"),
    "cert": ("cert",),
    "help": ("help",),
}


def names_in(*files: str) -> frozenset[str]:
    """Return the names of all commands of these files."""
    return frozenset(name for file in files for name in _FILES[file])


class CommandsByName(MutableMapping[str, click.Command]):
    """The commands of a `click.Group`, by their names; a look at one imports its file."""

    def __init__(self) -> None:
        self._files = {name: file for file, names in _FILES.items() for name in names}
        self._found: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._found:
            for command in import_module(f"bankrmi.cli.{self._files[name]}").COMMANDS:
                self._found[command.name] = command
        return self._found[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("no command goes away")

    def __contains__(self, name: object) -> bool:
        return name in self._files or name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter({**self._files, **self._found})

    def __len__(self) -> int:
        return len({**self._files, **self._found})
