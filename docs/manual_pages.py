"""Write the manual pages (docs/man/*.1), one a command, of what `--help` says: `make man`.

    python docs/manual_pages.py FOLDER

They are kept in the repository, so that a wheel has them without running what it is made of; a test sees to
it that they are those of the help texts.

Rule 1: nothing is said here that `--help` does not say: click writes its help, in roff.
Rule 2: no date and no version stands in a page, so it changes when its text does.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bankrmi.cli.main import commands
from bankrmi.cli.processes import RUNS

_PROGRAM = "bankrmi"
_UNLIMITED = 10_000


class _Roff(click.HelpFormatter):
    """Writes as roff what click would write for a terminal."""

    def __init__(self) -> None:
        super().__init__(width=_UNLIMITED)
        self.called: dict[str, str] = {}
        """Headings that go by another name."""

    def lines(self, *lines: str) -> None:
        for line in lines:
            self.write(f"{line}\n")

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        del prefix
        self.lines(".SH SYNOPSIS", f"\\fB{_plain(prog)}\\fR {_plain(args)}".rstrip())

    def write_heading(self, heading: str) -> None:
        self.lines(f".SH {_plain(self.called.get(heading, heading.upper()))}")

    def write_paragraph(self) -> None:
        pass

    @contextmanager
    def indentation(self) -> Iterator[None]:
        yield

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.write_heading(name)
        yield

    def write_text(self, text: str) -> None:
        for paragraph in re.split(r"\n\s*\n", text):
            lines = paragraph.splitlines()
            if lines[0].strip() == "\b":  # To be left as it is.
                self.lines(".PP", ".nf", *map(_line, lines[1:]), ".fi")
            else:
                self.lines(".PP", _line(" ".join(line.strip() for line in lines)))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        del col_max, col_spacing
        for name, meaning in rows:
            self.lines(".TP", f"\\fB{_plain(name)}\\fR", _line(" ".join(meaning.split())))


def _plain(text: str) -> str:
    """Return text that roff takes as it is: a hyphen is one, and can be searched for."""
    return text.replace("\\", "\\e").replace("-", "\\-")


def _line(text: str) -> str:
    escaped = _plain(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def page_of(context: click.Context) -> str:
    """Return the manual page of a command."""
    command, roff = context.command, _Roff()
    name = context.command_path.replace(" ", "-")
    summary = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    roff.lines(
        f'.TH "{name.upper()}" "1" "" "{_PROGRAM}" "{_PROGRAM}"',
        ".SH NAME",
        f"{_plain(name)} \\- {_plain(' '.join(summary.split()).rstrip('.'))}",
    )
    command.format_usage(context, roff)
    roff.write_heading("Description")
    command.format_help_text(context, roff)
    command.format_arguments(context, roff)
    command.format_options(context, roff)
    if isinstance(command, click.Group) and RUNS in command.commands:
        runs = command.commands[RUNS]
        roff.called["Options"] = f"OPTIONS OF {context.command_path} NAME"
        runs.format_options(click.Context(runs, info_name=context.info_name, parent=context.parent), roff)
    if command.epilog:
        roff.write_heading("Notes")
        command.format_epilog(context, roff)
    others = _others(context)
    if others:
        roff.lines(".SH SEE ALSO", ",\n".join(f"\\fB{_plain(other)}\\fR(1)" for other in others))
    return roff.getvalue()


def _others(context: click.Context) -> list[str]:
    """Return the pages of the group that a command is of, and of the commands that a group has."""
    above = [context.parent.command_path.replace(" ", "-")] if context.parent is not None else []
    name = context.command_path.replace(" ", "-")
    return above + [f"{name}-{below}" for below, _ in _below(context.command)]


def _below(command: click.Command) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return []
    return [(name, below) for name, below in sorted(command.commands.items()) if not below.hidden]


def pages(context: click.Context) -> Iterator[tuple[str, str]]:
    """Give the name of each file, and what is in it: of a command, and of all below it."""
    yield f"{context.command_path.replace(' ', '-')}.1", page_of(context)
    for name, below in _below(context.command):
        yield from pages(click.Context(below, info_name=name, parent=context, max_content_width=_UNLIMITED))


def main(folder: Path) -> None:
    """Write all pages into a folder, and nothing else there."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.1"):
        old.unlink()
    for name, text in pages(click.Context(commands, info_name=_PROGRAM, max_content_width=_UNLIMITED)):
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
