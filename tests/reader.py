"""Somebody who does all that pages show, and looks whether the same comes of it (test_pages.py)."""

from __future__ import annotations

import doctest
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import Pyro5.api

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.client.service_client import ServiceClient
from tests.pages import ADDRESSES, ROOT, SERVICE_ADDRESSES, Block, Different, commands_of, compare

DEADLINE_S = 120.0
POLL_S = 0.05
BETWEEN_COMMANDS_S = 0.2
"""A command that is run until it prints what is wanted takes time from what it waits for."""
SHELL = ("bash", "--norc")


def surroundings(*before: Path) -> dict[str, str]:
    """Return the environment in which `bankrmi` is a command, as after `source .venv/bin/activate`.

    Commands that are in the folders `before` are those instead.
    """
    path = ":".join(map(str, (*before, Path(sys.executable).parent, os.environ["PATH"])))
    return os.environ | {"PATH": path, "NO_COLOR": "1"}


class Shell:
    """One shell, for all commands."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str] = SHELL,
        *,
        inherited: tuple[int, ...] = (),
        before: Sequence[Path] = (),
    ) -> None:
        """`command` starts the shell, and may begin with what starts it elsewhere.

        Commands that are in the folders `before` are those instead of what is installed.
        """
        self._shell = subprocess.Popen(
            command,
            cwd=folder,
            env=surroundings(*before),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=inherited,
        )

    def run(self, command: str) -> list[str]:
        """Return the lines that the command prints, chatter included."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        end = "--- the end ---"
        self._shell.stdin.write(f"{command}\n__code=$?; echo '{end}'; (exit $__code)\n".encode())
        printed, deadline = b"", time.monotonic() + DEADLINE_S
        while not printed.decode(errors="replace").endswith(f"{end}\n"):
            ready, _, _ = select.select([self._shell.stdout], [], [], deadline - time.monotonic())
            assert ready, f"{command!r} does not end; it printed {printed.decode()}"
            printed += os.read(self._shell.stdout.fileno(), 65536)
        return printed.decode().removesuffix(f"{end}\n").splitlines()

    def close(self) -> None:
        self._shell.kill()
        self._shell.communicate()


class Terminal:
    """A terminal in which something runs on: `make up`, or `bankrmi … up`."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self._log = folder / f"{'-'.join(command)}.log"
        self._read = 0
        with self._log.open("wb") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def interrupt(self) -> int:
        """Ctrl-C; return the exit code."""
        self._up.send_signal(signal.SIGINT)
        return self._up.wait(DEADLINE_S)

    def say(self, text: str) -> int:
        """Enter a line; return the exit code with which it ends."""
        self._up.communicate(text.encode(), timeout=DEADLINE_S)
        return self._up.returncode

    def new_text(self) -> str:
        """Return what nobody has looked at yet."""
        return self._log.read_text()[self._read :]

    def took(self, text: str) -> None:
        """This has been looked at."""
        self._read += len(text)

    def close(self) -> None:
        self._up.kill()
        self._up.communicate()


class Reader(doctest.OutputChecker):
    """Somebody who does all that pages show, one after the other, and looks whether the same comes of it."""

    def __init__(
        self,
        folder: Path,
        addresses: Sequence[str],
        more: str = "",
        *,
        before: Sequence[Path] = (),
    ) -> None:
        """`addresses` stand for those of the pages; `more` is added to what configures a service.

        Commands that are in the folders `before` are those instead of what is installed. What runs in
        terminals starts cold: else a server that was killed is back within milliseconds, and what is told of
        it may come before what the other one did meanwhile.
        """
        self._folder = folder
        self._ours = list(zip((*ADDRESSES, *SERVICE_ADDRESSES), addresses, strict=True))
        self._more = more
        self._known: dict[str, str] = {}
        self._names: dict[str, Any] = {}
        self._open = ExitStack()
        self._shell = Shell(folder, before=before)
        self._open.callback(self._shell.close)
        self._terminal: Terminal | None = None  # The one that was started last.
        self._bank: Terminal | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for value in self._names.values():
            if isinstance(value, Pyro5.api.Proxy):
                value._pyroRelease()
            elif isinstance(value, ServiceClient):
                value.close()
        self._open.close()

    def follow(self, block: Block) -> None:
        match block.language:
            case "console" if not block.text.startswith("$ "):
                self._wait_for_terminal(block.text.splitlines())
            case "console":
                for command, output in commands_of(block):
                    self._do(command, output)
            case "python" if block.text.startswith("# "):
                (self._folder / block.text.split()[1]).write_text(block.text)
            case "python":
                self._interpret(block)
            case "yaml":
                name = block.text.split()[1]
                more = self._more if "\nserves:" in block.text else ""
                (self._folder / name).write_text(self._translated(block.text) + more)

    def _translated(self, text: str) -> str:
        for theirs, ours in self._ours:
            text = text.replace(theirs, ours)
            text = text.replace(f"-p {theirs.rpartition(':')[2]} ", f"-p {ours.rpartition(':')[2]} ")
        for known, real in self._known.items():
            text = re.sub(rf"\b{known}\b", real, text)
        return text

    def _as_on_the_page(self, lines: Sequence[str]) -> list[str]:
        text = "\n".join(lines)
        for theirs, ours in self._ours:
            text = text.replace(ours, theirs)
        return text.splitlines()

    def _compare(self, expected: Sequence[str], actual: Sequence[str]) -> None:
        for shown, real in compare(expected, self._as_on_the_page(actual)):
            if self._known.setdefault(shown, real) != real:
                raise Different(f"{shown} stands for {self._known[shown]} before, and for {real} here")

    def _do(self, command: str, output: list[str]) -> None:
        if command == "make up":
            self._make_up(output)
            return
        if command.startswith("bankrmi ") and command.endswith(" up"):
            self._start_terminal(shlex.split(command))
            self._wait_for_terminal(output)
            return
        deadline = time.monotonic() + DEADLINE_S
        while True:
            printed = self._shell.run(self._translated(command))
            try:
                self._compare(output, printed)
            except Different as difference:
                if command != "bankrmi status" or time.monotonic() > deadline:
                    raise Different(f"{command} prints {printed}: {difference}") from None
                time.sleep(BETWEEN_COMMANDS_S)
            else:
                return

    def _make_up(self, output: list[str]) -> None:
        """`make up` installs, which others test, and runs `bankrmi up`."""
        makefile = (ROOT / "Makefile").read_text()
        assert "$(RUN) -m bankrmi up" in makefile
        for line in output[:2]:
            assert f'echo "{line}"' in makefile.replace("$(VENV)", ".venv")
        self._start_terminal(["bankrmi", "up"])
        self._bank = self._terminal
        self._wait_for_terminal(output[2:])

    def _start_terminal(self, command: Sequence[str]) -> None:
        self._terminal = Terminal(self._folder, command)
        self._open.callback(self._terminal.close)

    def _wait_for_terminal(self, lines: Sequence[str]) -> None:
        """The servers start side by side: what they report, they report in any order."""
        assert self._terminal is not None
        deadline = time.monotonic() + DEADLINE_S
        while True:
            new = self._terminal.new_text()
            try:
                self._compare(lines, _in_order_of_names(new.splitlines()))
            except Different as difference:
                if time.monotonic() > deadline:
                    raise Different(f"the terminal shows {new}: {difference}") from None
                time.sleep(POLL_S)
            else:
                self._terminal.took(new)
                return

    def _interpret(self, block: Block) -> None:
        examples = doctest.DocTestParser().get_examples(block.text)
        for example in examples:
            example.source = self._translated(example.source)
        case = doctest.DocTest(examples, self._names, "the page", "the page", block.line, block.text)
        reports: list[str] = []
        runner = doctest.DocTestRunner(checker=self, verbose=False)
        runner.run(case, out=reports.append, clear_globs=False)
        self._names = case.globs
        if not examples or reports:
            raise Different("".join(reports) or "a block of Python without an example")

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        try:
            self._compare(want.splitlines(), got.splitlines())
        except Different:
            return False
        return True

    def stop_the_bank(self) -> None:
        assert self._bank is not None
        assert self._bank.say("4\n") == ExitCode.DONE

    def stop_the_service(self) -> None:
        assert self._terminal is not None
        assert self._terminal.interrupt() == ExitCode.DONE


def _in_order_of_names(lines: Sequence[str]) -> list[str]:
    reports = [index for index, line in enumerate(lines) if re.match(r"server s\d is ready", line)]
    ordered = list(lines)
    for index, line in zip(reports, sorted(lines[index] for index in reports), strict=True):
        ordered[index] = line
    return ordered
