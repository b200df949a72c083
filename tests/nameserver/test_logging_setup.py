"""One line for each event, whatever is in it, and no log ever stops a process."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator

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
