"""One line for each event, whatever is in it, and no log ever stops a process."""

from __future__ import annotations

import io
import json
import logging
import os
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
