"""What README.md shows is what happens: its blocks are run, from top to bottom, on a bank of their own.

    ```console    lines with `$` are commands of one shell; what follows must be printed.  Without any `$`:
                  what the terminal of `make up` must print sooner or later
    ```python     examples of the interactive interpreter, in one and the same interpreter
    ```yaml       a file; its first line is a comment with its name
    ```           shown only

Rule 1: `…` on a line of its own stands for any lines.
Rule 2: a pid or an id may be another one than in the README, but then it is the same other one everywhere.
        Times may be any.  Addresses are those of this test.
Rule 3: `bankrmi status` is asked again until it says what the README says: it shows what goes on by itself.
"""

from __future__ import annotations

import doctest
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import Pyro5.api
import pytest
from pydantic import BaseModel

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.main import commands
from bankrmi.config import Settings, load
from bankrmi.errors import ConfigurationError
from tests.system.ports import own_addresses

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ADDRESSES = ("127.0.0.1:9090", "127.0.0.1:9101", "127.0.0.1:9102")
ANYTHING = "…"
DEADLINE_S = 20.0
POLL_S = 0.05


# -- reading the page --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    language: str
    line: int
    text: str


def blocks_of(page: str) -> Iterator[Block]:
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for found in fence.finditer(page):
        line = page.count("\n", 0, found.start()) + 2
        yield Block(language=found[1], line=line, text=found[2])


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """Return each command of a block with the lines that it prints."""
    shown: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            shown.append((line.removeprefix("$ "), []))
        else:
            shown[-1][1].append(line)
    return shown


# -- comparing ---------------------------------------------------------------------------------------

_IDS = re.compile(r"(?<=pid )\d+|(?<=\[)\d{2,}(?=\])|(?<=kill -9 )\d+|\b[0-9a-f]{16,32}\b")
_STATUS = re.compile(r"^(s\d+ (?:primary|standby|joining)) (\d+) (\S+) (.*) (?:\d+|-) \d+ (?:s|min)$")
_AFTER_DEATH = re.compile(r", \d+ ms after(?= s\d+ died)")
_SIMULATED = re.compile(r"\d+ acknowledged operations \(.*")
_SET = re.compile(r"\{('[^'{}]*'(?:, '[^'{}]*')*)\}")


class Different(AssertionError):
    """What is printed is not what the README shows."""


def comparable(line: str) -> tuple[str, list[str]]:
    """Return a line without what may be another one every time, and what was left out that has a meaning."""
    line = " ".join(line.split())
    line = _SIMULATED.sub("N acknowledged operations", line)
    line = _SET.sub(lambda found: "{" + ", ".join(sorted(found[1].split(", "))) + "}", line)
    row = _STATUS.match(line)
    if row:
        return f"{row[1]} ID {row[3]} {row[4]}", [row[2]]
    line = _AFTER_DEATH.sub(", SOME ms after", line)
    return _IDS.sub("ID", line), _IDS.findall(line)


def compare(expected: Sequence[str], actual: Sequence[str]) -> list[tuple[str, str]]:
    """Return which ids of the README stand for which real ones; raise Different."""
    wanted = [comparable(line) for line in expected]
    given = [comparable(line) for line in actual]
    pairs: list[tuple[str, str]] = []
    place, loose = 0, False
    while wanted:
        if wanted[0][0] == ANYTHING:
            wanted, loose = wanted[1:], True
            continue
        end = next((i for i, line in enumerate(wanted) if line[0] == ANYTHING), len(wanted))
        part, wanted = wanted[:end], wanted[end:]
        place = _find(part, given, place, loose=loose)
        for (_, ours), (_, theirs) in zip(part, given[place:], strict=False):
            pairs += zip(ours, theirs, strict=True)
        place, loose = place + len(part), False
    if not loose and place != len(given):
        raise Different(f"and then there is: {actual[place]!r}")
    return pairs


def _find(part: list[Any], given: list[Any], place: int, *, loose: bool) -> int:
    texts = [line[0] for line in part]
    last = len(given) - len(part) if loose else place
    for start in range(place, last + 1):
        if [line[0] for line in given[start : start + len(part)]] == texts:
            return start
    raise Different(f"this is not there: {texts}")


# -- doing what the page says ------------------------------------------------------------------------


class Shell:
    """One shell, for all commands."""

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=os.environ | {"PATH": path, "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
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


class FirstTerminal:
    """The terminal in which `make up` runs."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "first-terminal.log"
        self._read = 0
        with self._log.open("wb") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "bankrmi", "up"],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

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
    """Somebody who does all that the page shows, and looks whether the same comes of it."""

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        self._folder = folder
        self._ours = list(zip(ADDRESSES, addresses, strict=True))
        self._known: dict[str, str] = {}
        self._names: dict[str, Any] = {}
        self._open = ExitStack()
        self._shell = Shell(folder)
        self._open.callback(self._shell.close)
        self._first: FirstTerminal | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for value in self._names.values():
            if isinstance(value, Pyro5.api.Proxy):
                value._pyroRelease()
        self._open.close()

    def follow(self, block: Block) -> None:
        match block.language:
            case "console" if not block.text.startswith("$ "):
                self._wait_for_first_terminal(block.text.splitlines())
            case "console":
                for command, output in commands_of(block):
                    self._do(command, output)
            case "python":
                self._interpret(block)
            case "yaml":
                name = block.text.split()[1]
                (self._folder / name).write_text(block.text)

    def _translated(self, text: str) -> str:
        for theirs, ours in self._ours:
            text = text.replace(theirs, ours)
            text = text.replace(f"-p {theirs.rpartition(':')[2]} ", f"-p {ours.rpartition(':')[2]} ")
        for known, real in self._known.items():
            text = re.sub(rf"\b{known}\b", real, text)
        return text

    def _as_in_readme(self, lines: Sequence[str]) -> list[str]:
        text = "\n".join(lines)
        for theirs, ours in self._ours:
            text = text.replace(ours, theirs)
        return text.splitlines()

    def _compare(self, expected: Sequence[str], actual: Sequence[str]) -> None:
        for shown, real in compare(expected, self._as_in_readme(actual)):
            if self._known.setdefault(shown, real) != real:
                raise Different(f"{shown} stands for {self._known[shown]} before, and for {real} here")

    def _do(self, command: str, output: list[str]) -> None:
        if command == "make up":
            self._make_up(output)
            return
        deadline = time.monotonic() + DEADLINE_S
        while True:
            printed = self._shell.run(self._translated(command))
            try:
                self._compare(output, printed)
            except Different as difference:
                if command != "bankrmi status" or time.monotonic() > deadline:
                    raise Different(f"{command} prints {printed}: {difference}") from None
            else:
                return

    def _make_up(self, output: list[str]) -> None:
        """`make up` installs, which others test, and runs `bankrmi up`."""
        makefile = (ROOT / "Makefile").read_text()
        assert "$(RUN) -m bankrmi up" in makefile
        for line in output[:2]:
            assert f'echo "{line}"' in makefile.replace("$(VENV)", ".venv")
        self._first = FirstTerminal(self._folder)
        self._open.callback(self._first.close)
        self._wait_for_first_terminal(output[2:])

    def _wait_for_first_terminal(self, lines: Sequence[str]) -> None:
        """The servers start side by side: what they report, they report in any order."""
        assert self._first is not None
        deadline = time.monotonic() + DEADLINE_S
        while True:
            new = self._first.new_text()
            try:
                self._compare(lines, _in_order_of_names(new.splitlines()))
            except Different as difference:
                if time.monotonic() > deadline:
                    raise Different(f"the first terminal shows {new}: {difference}") from None
                time.sleep(POLL_S)
            else:
                self._first.took(new)
                return

    def _interpret(self, block: Block) -> None:
        examples = doctest.DocTestParser().get_examples(block.text)
        for example in examples:
            example.source = self._translated(example.source)
        case = doctest.DocTest(examples, self._names, "README.md", "README.md", block.line, block.text)
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
        assert self._first is not None
        assert self._first.say("4\n") == ExitCode.DONE


def _in_order_of_names(lines: Sequence[str]) -> list[str]:
    reports = [index for index, line in enumerate(lines) if re.match(r"server s\d is ready", line)]
    ordered = list(lines)
    for index, line in zip(reports, sorted(lines[index] for index in reports), strict=True):
        ordered[index] = line
    return ordered


def _patient(shipped: str) -> str:
    """On a busy machine nobody may be left behind for being late: that would be another epoch."""
    for key, milliseconds in (("lease_ms", 6000), ("checkpoint_timeout_ms", 5000)):
        shipped, count = re.subn(rf"^{key}: \d+", f"{key}: {milliseconds}", shipped, flags=re.MULTILINE)
        assert count == 1
    return shipped


@pytest.mark.timeout(300)  # It takes ten seconds, on a machine that does nothing else.
def test_everything_shown_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with own_addresses(len(ADDRESSES)) as addresses, Reader(tmp_path, addresses) as reader:
        shipped = (ROOT / "config.yaml").read_text()
        for theirs, ours in zip(ADDRESSES, addresses, strict=True):
            assert theirs in shipped
            shipped = shipped.replace(theirs, ours)
        (tmp_path / "config.yaml").write_text(_patient(shipped))
        (tmp_path / "ledger.csv").write_text((ROOT / "ledger.csv").read_text())
        for block in blocks_of(README):
            try:
                reader.follow(block)
            except Different as difference:
                pytest.fail(f"README.md line {block.line}: {difference}", pytrace=False)
        reader.stop_the_bank()


# -- the comparison itself ---------------------------------------------------------------------------


def test_another_output_is_noticed() -> None:
    with pytest.raises(Different, match="not there"):
        compare(["Current balance: 290"], ["Current balance: 280"])
    with pytest.raises(Different, match="and then there is"):
        compare(["a"], ["a", "b"])
    with pytest.raises(Different, match="not there"):
        compare(["a", ANYTHING, "c"], ["a", "b"])


def test_ids_may_differ_and_are_told() -> None:
    shown = ["s1     primary 8384 127.0.0.1:9101     2      0       0   0  yes   954  0 s", ANYTHING]
    real = ["s1     primary 77 127.0.0.1:9101     2      0       0   0  yes   12  3 s ", "more"]
    assert compare(shown, real) == [("8384", "77")]


# -- the tables of the page --------------------------------------------------------------------------


def rows_below(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading."""
    text = README.partition(f"\n{heading}\n")[2]
    lines = text.partition("\n|")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))] for line in lines[2:]]


def settings_of(kind: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, f"{name}.")
        elif name == "witness":
            yield name, "the name server's"
        elif name == "servers":
            yield name, "needed, except by clients"
        else:
            default = field.get_default()
            needed = field.is_required()
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            yield f"`{above}{name}`".strip("`"), "needed" if needed else f"`{shown}`"


def test_every_key_of_the_configuration_is_in_the_table_with_its_default() -> None:
    shown = [(row[0].strip("`"), row[1]) for row in rows_below("## Configuration")]
    assert shown == list(settings_of(Settings))


def test_every_exit_code_is_in_the_table() -> None:
    assert [int(row[0]) for row in rows_below("## Exit codes")] == sorted(map(int, [*ExitCode, *HealthCode]))


def leaves(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


@pytest.mark.parametrize(("name", "command"), list(leaves(commands)))
def test_every_command_is_in_the_table_with_its_options(name: str, command: click.Command) -> None:
    [row] = [row for row in rows_below("## Commands") if re.search(rf"`{name}[ `]", row[0])]
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    for option in options:
        assert set(option.opts) & set(re.findall(r"--?[\w-]+", " ".join(row))), option.opts


def test_the_configuration_for_three_machines_works_and_is_guarded(tmp_path: Path) -> None:
    [block] = [block for block in blocks_of(README) if block.language == "yaml"]
    file = tmp_path / "three-machines.yaml"
    file.write_text(block.text)
    assert load(file, insecure=True).witness == "10.0.0.10:9090"
    with pytest.raises(ConfigurationError, match="--insecure"):
        load(file)


def test_the_shipped_configuration_holds_the_defaults() -> None:
    shipped = load(ROOT / "config.yaml")
    needed = {name: getattr(shipped, name) for name in ("nameserver", "servers")}
    assert Settings(**needed).model_dump(exclude={"ledger", "data_dir"}) == shipped.model_dump(
        exclude={"path", "insecure", "ledger", "data_dir"}
    )
    assert list(load(ROOT / "config.yaml").servers.values()) == list(ADDRESSES[1:])


def test_what_the_page_points_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
