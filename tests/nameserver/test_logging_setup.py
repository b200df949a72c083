"""One line for each event, whatever is in it, and no log ever stops a process."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bankrmi import logging_setup


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def test_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logging_setup.configure(False, "s1")
    structlog.get_logger("bankrmi.server").info("leads now", epoch=7, in_sync={"s2", "s1"}, why="no answer")
    line = capsys.readouterr().err
    assert line.endswith(f'Z info  s1[{os.getpid()}] leads now epoch=7 in_sync=s1,s2 why="no answer"\n')


def test_a_line_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    logging_setup.configure(True, "s1")
    structlog.get_logger().warning("leads", epoch=7, odd=object)
    told = json.loads(capsys.readouterr().err)
    assert list(told)[:5] == ["time", "level", "server", "pid", "event"]
    assert (told["level"], told["server"], told["event"], told["epoch"]) == ("warning", "s1", "leads", 7)


@pytest.mark.parametrize("log_json", [False, True])
def test_a_line_stays_a_line(capsys: pytest.CaptureFixture[str], log_json: bool) -> None:
    logging_setup.configure(log_json, "s1")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("line one\nline two", text="a\nb")
    logging.getLogger("asyncio").error("three\nlines\nmore")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "Traceback" in lines[0]
    assert "asyncio: three" in lines[1]


HOSTILE = "x\nfalse line\r\x1b[2J\x9b31m\u202egnorw\u2066\u200b\ufeff\ud800 level=error \U000e0041"


@pytest.mark.parametrize("log_json", [False, True])
def test_whose_line_it_is_says_the_process_whatever_the_line_is_about(
    capsys: pytest.CaptureFixture[str], log_json: bool
) -> None:
    logging_setup.configure(log_json, "s1")
    structlog.get_logger().info("met", server="s2", pid=7)
    line = capsys.readouterr().err
    if log_json:
        assert (json.loads(line)["server"], json.loads(line)["pid"]) == ("s1", os.getpid())
        assert (json.loads(line)["other_server"], json.loads(line)["other_pid"]) == ("s2", 7)
    else:
        assert f" s1[{os.getpid()}] met other_server=s2 other_pid=7" in line


@pytest.mark.parametrize("log_json", [False, True])
@pytest.mark.parametrize("value", [HOSTILE, [HOSTILE], [[HOSTILE]], {HOSTILE}, {"key": {HOSTILE: [HOSTILE]}}])
def test_nothing_foreign_hides_or_is_obeyed(
    capsys: pytest.CaptureFixture[str], log_json: bool, value: object
) -> None:
    logging_setup.configure(log_json, "s1")
    structlog.get_logger().info(HOSTILE, foreign=value)
    logging.getLogger("asyncio").error("foreign: %s", value)
    lines = capsys.readouterr().err.split("\n")
    assert (len(lines), lines.pop()) == (3, "")
    for line in lines:
        assert line.isprintable()
        assert re.search(r"\\u001b|\\x1b", line)
        assert "\\u202e" in line
        assert not log_json or json.loads(line)["event"]


@pytest.mark.parametrize("log_json", [False, True])
def test_a_line_is_cut(capsys: pytest.CaptureFixture[str], log_json: bool) -> None:
    logging_setup.configure(log_json, "s1")
    try:
        raise ValueError("z" * 100_000)
    except ValueError:
        structlog.get_logger().exception("x" * 100_000, text="y" * 100_000, list=["z" * 1_000] * 1_000)
    structlog.get_logger().info("many", **{f"key{number}": 10**6000 for number in range(1_000)})
    first, second = capsys.readouterr().err.splitlines()
    assert len(first) < 30_000
    assert "ValueError" in first
    assert "99500 more" in first
    assert len(second) < 30_000


@pytest.mark.parametrize("log_json", [False, True])
def test_a_flood_of_lines_is_cut_short_and_counted(
    capsys: pytest.CaptureFixture[str], log_json: bool
) -> None:
    logging_setup.configure(log_json, "s1")
    for number in range(5_000):
        structlog.get_logger().warning("refused", number=number)
        logging.getLogger("asyncio").warning("socket %s raised", number)
    structlog.get_logger().info("something else")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) < 150
    assert "something else" in lines[-1]
    written = sum("number" in line for line in lines)
    left_out = sum(int(count) for line in lines for count in re.findall(r"(\d+) times 'refused'", line))
    assert written + left_out == 5_000
    assert "times 'asyncio: socket %s raised'" in lines[-1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("a,b", '"a,b"'),
        (["a", "b,c"], 'a,"b,c"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("key=value", '"key=value"'),
        ("", '""'),
        (None, "None"),
        ([], ""),
        ("Zürich", "Zürich"),
    ],
)
def test_values_can_be_told_from_each_other(
    capsys: pytest.CaptureFixture[str], value: object, shown: str
) -> None:
    logging_setup.configure(False, "s1")
    structlog.get_logger().info("event", value=value)
    assert capsys.readouterr().err.endswith(f" event value={shown}\n")


def test_what_libraries_chat_about_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logging_setup.configure(False, "s1")
    logging.getLogger("Pyro5").info("hello")
    structlog.get_logger().debug("hello")
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError("no space left on device")

    logging_setup.configure(False, "s1")
    monkeypatch.setattr(sys, "stderr", Full())
    structlog.get_logger().info("goes on")


# -- a file of its own -----------------------------------------------------------------------------------


SCRIPT = """
import logging, os, sys, warnings
from pathlib import Path
import structlog
from bankrmi.logging_setup import configure, log_to, reopen_log
folder = Path(sys.argv[1])
log_to(folder / "s1.log", file_bytes=65536, files_kept=2)
configure(sys.argv[2] == "json", "s1")
log = structlog.get_logger("bankrmi")
"""


def in_a_process(folder: Path, what: str, form: str = "text") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + what, str(folder), form], capture_output=True, text=True, timeout=60
    )


def test_a_large_file_is_set_aside_and_few_of_them_are_kept(tmp_path: Path) -> None:
    """Whatever is printed past the log goes to the file in use, and counts."""
    ended = in_a_process(
        tmp_path,
        "for number in range(900):\n"
        "    log.info('line', number=number, text='x' * 400)\n"
        "print('printed', flush=True)\n"
        "raise SystemExit('last words')\n",
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["s1.log"]  # Fifty lines of a kind, and then one a second: the budget comes first.
    assert (tmp_path / "s1.log").read_text().endswith("printed\nlast words\n")
    ended = in_a_process(
        tmp_path,
        "for number in range(240):\n"
        "    log.info(f'line {number}', **{f'text{i}': 'x' * 400 for i in range(8)})\n"
        "print('printed', flush=True)\n"
        "raise SystemExit('last words')\n",
    )
    assert ended.returncode == 1
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["s1.log", "s1.log.1", "s1.log.2"]
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        assert path.stat().st_size <= 65536 + len("printed\nlast words\n")
    lines = "".join(path.read_text() for path in reversed(files)).splitlines()
    assert lines[-2:] == ["printed", "last words"]
    numbers = [int(number) for line in lines if (number := (re.findall(r" line (\d+) ", line) or [""])[0])]
    assert numbers == list(range(numbers[0], 240))
    assert 20 < len(numbers) < 100


def test_a_file_that_was_moved_away_is_opened_again(tmp_path: Path) -> None:
    in_a_process(
        tmp_path,
        "log.info('before')\nos.rename(folder / 's1.log', folder / 'moved')\nlog.info('between')\n"
        "reopen_log()\nlog.info('after')\nos.write(2, b'beside the log\\n')\n",
    )
    assert [
        line.split("] ")[1].split(" file=")[0]
        for line in (tmp_path / "moved").read_text().splitlines(keepends=True)
    ] == [
        "before\n",
        "between\n",
    ]
    again, after, beside = (tmp_path / "s1.log").read_text().splitlines()
    assert "the log was opened again" in again
    assert (after[-5:], beside) == ("after", "beside the log")


def test_a_file_that_cannot_be_set_aside_or_opened_again_is_written_on(tmp_path: Path) -> None:
    """The place of the next one is taken by a folder; and the folder of the log is gone."""
    (tmp_path / "s1.log.1").mkdir()
    (tmp_path / "s1.log.1" / "in the way").touch()
    (tmp_path / "s1.log.2").mkdir()
    (tmp_path / "s1.log.2" / "in the way").touch()
    ended = in_a_process(
        tmp_path,
        "for number in range(200):\n    log.info(f'line {number}', text='x' * 400)\n"
        "os.rename(folder, folder.with_name('gone'))\nreopen_log()\nlog.info('after')\n",
    )
    assert ended.returncode == 0
    lines = (tmp_path.with_name("gone") / "s1.log").read_text().splitlines()
    assert sum("] line " in line for line in lines) == 200
    assert "the log could not be opened again" in lines[-2]


def test_a_full_disk_ends_nothing_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    ended = in_a_process(
        tmp_path,
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log.info('first')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
        "for number in range(20):\n    log.info(f'lost {number}', text='x' * 400)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "log.info('last')\n",
    )
    assert ended.returncode == 0
    text = (tmp_path / "s1.log").read_text()
    assert "first" in text
    assert text.endswith("last\n")


def test_what_libraries_and_python_warn_of_is_json_too(tmp_path: Path) -> None:
    ended = in_a_process(
        tmp_path, "warnings.warn('old', UserWarning)\nlogging.getLogger('x').error('y')\n", "json"
    )
    assert ended.returncode == 0
    told = [json.loads(line) for line in (tmp_path / "s1.log").read_text().splitlines()]
    assert [one["level"] for one in told] == ["warning", "error"]
    assert "UserWarning: old" in told[0]["event"]
