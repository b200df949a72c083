"""The command as a person runs it, on a bank of ours alone, for a moment; nothing is timed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.bench.bank import own_folder
from bankrmi.bench.figures import Results, Sample
from bankrmi.bench.load.order import LoadOrder
from bankrmi.bench.plan import Plan
from bankrmi.bench.run import _compare as compare
from bankrmi.bench.run import available
from bankrmi.bench.shapes import Shape, shape_called
from bankrmi.bench.systems import system
from bankrmi.bench.systems.all import PEERS
from bankrmi.bench.systems.system import System
from bankrmi.cli import run
from bankrmi.cli.bench import _PEERS, _Progress
from bankrmi.errors import BrokenInvariant, OperationFailed
from tests import warm
from tests.bench.made_up_results import sample

COMMAND = ["bench", "--rounds", "1", "--seconds", "0.2"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Ours, with a folder for everything."""
    return {**os.environ, "BANKRMI_BENCH_DIR": str(folder), **more}


def left_in(folder: Path) -> list[str]:
    """Return the commands of all processes that are in this folder, where the command was started.

    Not of the warm interpreter that started them (`tests.warm`): it ends by itself, when the command has; and
    who ends right now has no command any more.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return [command for command in found if command and "tests.warm_interpreter" not in command]


def test_a_tiny_row_has_its_table_its_json_and_its_page(tmp_path: Path) -> None:
    """And a peer that is not there is skipped by its name, with the command that installs it.

    What the environment says of a real bank is not for the one that is measured.
    """
    work, empty = tmp_path / "work", tmp_path / "empty"
    work.mkdir()
    empty.mkdir()
    told, page = tmp_path / "told.json", tmp_path / "page.html"
    done = warm.run(
        [*COMMAND, "--rows", "2x1", "--against", "redis, etcd", "--json", str(told), "--html", str(page)],
        env=environment(work, PATH=str(empty), BANKRMI_NAMESERVER="127.0.0.1:1"),
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1, "one line a row, where nobody watches"
    assert done.stderr.startswith("2x1: bankrmi ")
    for words in (
        "row        system",
        "2x1        bankrmi",
        "primary ",
        "standby ",
        "witness ",
        "load ",
        " MB",
    ):
        assert words in done.stdout
    assert "skipped redis: redis-server not found: apt install redis-server\n" in done.stdout
    assert "skipped etcd: etcd not found: apt install etcd-server\n" in done.stdout
    document = json.loads(told.read_text())
    [sample] = document["rows"]["2x1"]["bankrmi"]
    assert sample["operations"] > 0
    assert set(sample["cpu_us"]) == {"primary", "standby", "witness", "load"}
    assert all(peak > 0 for peak in sample["peak_kb"].values())
    assert {"cores", "cpu", "kernel", "fsync_us"} <= set(document["machine"])
    assert {"python", "bankrmi"} <= set(document["versions"])
    assert page.read_text().startswith("<!doctype html>")
    assert list(work.iterdir()) == []
    assert left_in(tmp_path) == []


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_prints_what_is_known_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    told = tmp_path / "told.json"
    work = tmp_path / "work"
    work.mkdir()
    with warm.Popen(
        [sys.executable, "-m", "bankrmi", *COMMAND, "--rows", "1x1,32x1,growth", "--json", str(told)],
        env=environment(work),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("1x1: bankrmi ")
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "1x1        bankrmi" in out
    assert json.loads(told.read_text())["interrupted"]
    assert list(work.iterdir()) == []
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("peer", "install"),
    [
        ("postgresql", "apt install postgresql"),
        ("redis", "apt install redis-server"),
        ("etcd", "apt install etcd-server"),
        ("pysyncobj", "pip install 'pysyncobj'"),
    ],
)
def test_a_peer_that_is_not_installed_is_skipped_with_the_command_that_installs_it(
    peer: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nothing)
    monkeypatch.setattr(system, "find_spec", nothing)
    results = Results()
    assert [kind.name for kind in available(Plan(against=(peer,)), results)] == ["bankrmi"]
    assert results.skipped[peer].endswith(f": {install}")


def test_the_command_knows_the_systems_that_there_are() -> None:
    assert tuple(PEERS) == _PEERS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "oracle"], "there is no 'oracle': there are postgresql, redis"),
        (["--rows", "7by7"], "there is no row '7by7': there are user, 1x1"),
        (["--seconds", "nan"], "is not a finite number"),
        (["--json", "/nowhere/at/all"], "/nowhere/at/all cannot be written: there is no such folder"),
        (["--html", "/proc/version"], "/proc/version cannot be written"),
        (["--json", "one", "--html", "one"], "both to be written to one: name two files"),
        (["--rows", ","], "nothing is named"),
        (["--servers", "1"], "is not in the range"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_started(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_disk_on_which_no_folder_can_be_made_is_told_with_what_names_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BANKRMI_BENCH_DIR", "/nowhere")
    assert run(["bench", "--rows", "1x1"]) == 2
    said = capsys.readouterr().err
    assert "no folder can be made in /nowhere (No such file or directory)" in said
    assert "name another place in BANKRMI_BENCH_DIR" in said


@pytest.mark.long
def test_a_peer_that_does_not_start_is_told_and_the_others_are_measured(tmp_path: Path) -> None:
    work, programs = tmp_path / "work", tmp_path / "programs"
    work.mkdir()
    programs.mkdir()
    broken = programs / "redis-server"
    broken.write_text("#!/bin/sh\necho 'it is broken' >&2; exit 3\n")
    broken.chmod(0o755)
    done = warm.run(
        [*COMMAND, "--rows", "1x1", "--against", "redis"],
        env=environment(work, PATH=str(programs)),
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "1x1        bankrmi" in done.stdout
    assert "failed redis: primary ended with code 3: it is broken\n" in done.stdout
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "error", [OperationFailed("it broke"), OSError("it broke"), BrokenInvariant("it broke")]
)
def test_what_was_known_when_something_broke_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def breaks(_plan: Plan, results: Results, _progress: object) -> None:
        results.add("1x1", "bankrmi", sample(1, 100))
        raise error

    monkeypatch.setattr("bankrmi.bench.run.run", breaks)
    told = tmp_path / "told.json"
    assert run(["bench", "--json", str(told)]) != 0
    told_to_people = capsys.readouterr()
    assert "1x1        bankrmi           100" in told_to_people.out
    assert "it broke" in told_to_people.err
    assert json.loads(told.read_text())["interrupted"]


class _Made(System):
    """A system that is measured without being started; the second time it is asked it fails, if told to."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self._failure = failure

    @classmethod
    def missing(cls) -> str | None:
        return None

    def start(self) -> None: ...

    def processes(self) -> dict[str, int]:
        return {}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        return LoadOrder(kind="", where={}, shape=shape, seconds=seconds)

    def measure(self, shape: Shape, seconds: float, number: int) -> Sample:
        if number > 1 and self._failure is not None:
            raise self._failure
        return sample(number, 100)


@pytest.mark.parametrize("failure", [OperationFailed("it went away"), ConnectionResetError("it went away")])
def test_a_system_that_fails_in_a_row_is_left_out_of_it_and_the_others_go_on(failure: Exception) -> None:
    results, progress = Results(), _Progress()
    shape = shape_called("1x1")
    assert shape is not None
    compare(shape, [_Made("bankrmi"), _Made("peer", failure)], Plan(rounds=3), results, progress)
    assert [len(results.samples["1x1"][name]) for name in ("bankrmi", "peer")] == [3, 1]
    assert results.failed["1x1, peer"].endswith("it went away")


def test_progress_is_written_over_on_a_terminal_and_below_each_other_on_a_dumb_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    shown: Callable[[str], str] = lambda term: _shown(term, monkeypatch, capsys)  # noqa: E731
    assert shown("dumb") == "half way\na row\n"
    assert shown("xterm") == "\r\x1b[Khalf way\r\x1b[Ka row\n"


def _shown(term: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = _Progress()
    progress.show("half way")
    progress.say("a row")
    return capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_that_is_installed_can_be_measured(peer: str) -> None:
    missing = PEERS[peer].missing()
    if missing is not None:
        pytest.skip(missing)
    rows = ("user", "2x1", "1x100", "loop-1x100", "1x8000", "reads-9:1", "reads")
    with own_folder() as folder:
        measured = PEERS[peer](folder)
        shapes = [shape for row in rows if (shape := shape_called(row)) and measured.unable(shape) is None]
        try:
            measured.start()
            samples = [measured.measure(shape, 0.2, 1) for shape in shapes]
        finally:
            measured.stop()
    assert len(samples) >= 3
    assert all(sample.operations > 0 for sample in samples)
    assert all(sample.p99_us >= sample.median_us > 0 for sample in samples)
