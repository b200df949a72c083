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
from bankrmi.bench.figures import Results
from bankrmi.bench.plan import Plan
from bankrmi.bench.run import available
from bankrmi.bench.shapes import shape_called
from bankrmi.bench.systems import system
from bankrmi.bench.systems.all import PEERS
from bankrmi.cli import run
from bankrmi.cli.bench import _PEERS

COMMAND = [sys.executable, "-m", "bankrmi", "bench", "--rounds", "1", "--seconds", "0.2"]
MARK = "BENCH_OF_THIS_TEST"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Ours, with a folder for everything, and a mark that all processes inherit."""
    return {**os.environ, "BANKRMI_BENCH_DIR": str(folder), MARK: str(folder), **more}


def marked(folder: Path) -> list[str]:
    """Return the commands of all processes with that mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_a_tiny_row_has_its_table_its_json_and_its_page(tmp_path: Path) -> None:
    """And a peer that is not there is skipped by its name, with the command that installs it."""
    work, empty = tmp_path / "work", tmp_path / "empty"
    work.mkdir()
    empty.mkdir()
    told, page = tmp_path / "told.json", tmp_path / "page.html"
    done = subprocess.run(
        [*COMMAND, "--rows", "2x1", "--against", "redis,etcd", "--json", str(told), "--html", str(page)],
        env=environment(work, PATH=str(empty)),
        capture_output=True,
        text=True,
        check=False,
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
    assert marked(work) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_prints_what_is_known_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    told = tmp_path / "told.json"
    work = tmp_path / "work"
    work.mkdir()
    with subprocess.Popen(
        [*COMMAND, "--rows", "1x1,32x1,growth", "--json", str(told)],
        env=environment(work),
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
    assert marked(work) == []


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
        (["--json", "/nowhere/at/all"], "cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_started(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_on_a_terminal_that_is_dumb_there_is_a_line_a_row_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    shown: Callable[[str], str] = lambda term: _shown(term, monkeypatch, capsys)  # noqa: E731
    assert shown("dumb") == "a row\n"
    assert shown("xterm") == "\r\x1b[Khalf way\r\x1b[Ka row\n"


def _shown(term: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    from bankrmi.cli.bench import _Progress

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
