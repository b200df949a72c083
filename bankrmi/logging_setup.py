"""What a process says while it runs: one line for each event, on standard error.

    2026-01-31T12:00:00.123Z info  s1[4711] leads epoch=7 in_sync=s1,s2
    {"time": "2026-...", "level": "info", "server": "s1", "pid": 4711, "event": "leads", "epoch": 7, ...}

Rule 1: a line stays a line, whatever is in it; no terminal obeys any of it, and none of it hides.
Rule 2: a log that cannot be written (a closed pipe, a full disk) never stops the process.
Rule 3: a log grows slowly, whatever happens: of one kind of line 50 at once and then one a second, of all
        kinds 1 000 and then ten a second, libraries' included, each of a few thousand characters. (Strangers
        can cause some 20 MB a day, if they do all they can all the time: see `rmi.complaints`.)
Rule 4: a process with a log file of its own opens it again on SIGHUP, for whoever has moved it away, and sets
        it aside when it is large (`log_file`).
Assumption: called once, by the process's main function; rooms only call `structlog.get_logger`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import structlog

from bankrmi.foreign_text import cut, visible
from bankrmi.line_budget import LineBudget
from bankrmi.log_file import LogFile

__all__ = ["configure", "log_to", "reopen_log"]

_Event = MutableMapping[str, Any]
_FIRST = ("time", "level", "server", "pid", "event")
_BURST = 50
_EVERY_SECONDS = 1.0
_BURST_OF_ALL = 1_000
_EVERY_SECONDS_OF_ALL = 0.1
_EVENT_CUT_AT = 2_000
_HALF_A_TRACEBACK = 3_000
"""Characters of its beginning, and of its end. Every other field is cut where foreign text is."""
_LARGEST = 1 << 64
_PARTS_AT_MOST = 32
"""Of a list, or of the fields of one line."""
_KIND = "kind_of_line"
_PLAIN = re.compile(r"[^\s\"\\,=]+")


def configure(log_json: bool, name: str) -> None:
    """Set up the log of the process called `name`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _within_budget(),
            structlog.processors.format_exc_info,
            _signed(name),
            _as_json if log_json else _as_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_FromStandardLibrary()], force=True)
    logging.captureWarnings(True)


def log_to(file: Path, *, file_bytes: int = 0, files_kept: int = 1) -> None:
    """Have everything that this process says go to the end of `file`; raises OSError.

    It is made if it is not there; over `file_bytes` it is set aside, and `files_kept` of those are kept.
    """
    _Lines.file = LogFile(file, file_bytes=file_bytes, files_kept=files_kept)


def reopen_log() -> None:
    """Do what SIGHUP asks for; where the file cannot be opened, the log goes on where it went."""
    log, file = structlog.get_logger("bankrmi"), _Lines.file
    if file is None:
        log.info("SIGHUP changes nothing: this process has no log file of its own")
        return
    try:
        file.open_again()
    except OSError as error:
        log.warning("the log could not be opened again", file=file.baseFilename, reason=error.strerror)
    else:
        log.info("the log was opened again", file=file.baseFilename)


def _signed(name: str) -> Callable[[Any, str, _Event], _Event]:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")

    def sign(logger: Any, method: str, event: _Event) -> _Event:
        event = stamp(logger, method, event)
        for key, own in (("server", name), ("pid", os.getpid())):
            if key in event:
                event[f"other_{key}"] = event.pop(key)  # Whose line it is says nobody but the process.
            event[key] = own
        return event

    return sign


def _within_budget() -> Callable[[Any, str, _Event], _Event]:
    budget = LineBudget(_BURST, _EVERY_SECONDS)
    of_all = LineBudget(_BURST_OF_ALL, _EVERY_SECONDS_OF_ALL)

    def admit(_: Any, __: str, event: _Event) -> _Event:
        if not budget.allows(str(event.pop(_KIND, event.get("event")))) or not of_all.allows("all"):
            raise structlog.DropEvent
        left_out = ", ".join(filter(None, (budget.left_out(), of_all.left_out())))
        return {**event, "left_out": left_out} if left_out else event

    return admit


def _as_json(_: Any, __: str, event: _Event) -> str:
    bounded = {key: _bounded(value, key) for key, value in _fields(event)}
    first = {key: bounded.pop(key) for key in _FIRST if key in bounded}
    # Whatever is not visible can only be within a text, and is written out there as JSON does it.
    return visible(json.dumps({**first, **bounded}, default=str, ensure_ascii=False))


def _as_text(_: Any, __: str, event: _Event) -> str:
    time, level, server, pid, text = (event.pop(key, "") for key in _FIRST)
    details = "".join(f" {_shown(key)}={_shown(_bounded(value, key))}" for key, value in _fields(event))
    said = visible(cut(str(text), _EVENT_CUT_AT))
    return f"{time[:23]}Z {level:<5} {server}[{pid}] {said}{details}"


def _fields(event: _Event) -> list[tuple[str, object]]:
    return [(str(key), value) for key, value in event.items()][:_PARTS_AT_MOST]


def _bounded(value: object, key: str = "") -> object:
    """Return what a line has room for: of a few plain kinds, of a few elements, none of them long."""
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        more = [f"{len(value) - _PARTS_AT_MOST} more"] if len(value) > _PARTS_AT_MOST else []
        return [*map(_scalar, value[:_PARTS_AT_MOST]), *more]
    if key == "event":
        return cut(str(value), _EVENT_CUT_AT)
    if key == "exception":
        return _ends_of(str(value))
    return _scalar(value)


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_LARGEST < value < _LARGEST else cut(hex(value))
    return cut(str(value))


def _ends_of(traceback: str) -> str:
    """Return how it begins and ends: the end says what went wrong."""
    if len(traceback) <= 2 * _HALF_A_TRACEBACK:
        return traceback
    return f"{traceback[:_HALF_A_TRACEBACK]}\n…\n{traceback[-_HALF_A_TRACEBACK:]}"


def _shown(value: object) -> str:
    """Return a value as it stands in a line for people: as it is, or quoted where it could be misread."""
    if isinstance(value, list):
        return ",".join(map(_shown, value))
    text = str(value)
    if _PLAIN.fullmatch(text) and (shown := visible(text)) == text:
        return shown
    return visible(json.dumps(text, ensure_ascii=False))


class _Lines:
    """Writes lines to the log file of this process, or to what standard error is at that moment."""

    file: ClassVar[LogFile | None] = None

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            if self.file is not None:
                self.file.write(line)
                return
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class _FromStandardLibrary(logging.Handler):
    """Passes on what libraries say with the standard `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            event = f"{record.name}: {record.getMessage()}"
            kind = {_KIND: f"{record.name}: {record.msg:.80}"}  # Before what differs is filled in.
            structlog.get_logger().log(record.levelno, event, exc_info=record.exc_info or None, **kind)
