"""What a process says while it runs: one line for each event, on standard error.

    2026-01-31T12:00:00.123Z info  s1[4711] leads epoch=7 in_sync=s1,s2
    {"time": "2026-...", "level": "info", "server": "s1", "pid": 4711, "event": "leads", "epoch": 7, ...}

Rule 1: a line stays a line, whatever is in it.
Rule 2: a log that cannot be written (a closed pipe, a full disk) never stops the process.
Rule 3: a process with a log file of its own opens it again on SIGHUP, for whoever has moved it away.
Assumption: called once, by the process's main function; rooms only call `structlog.get_logger`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

__all__ = ["configure", "log_to", "reopen_log"]

_Event = MutableMapping[str, Any]
_FIRST = ("time", "level", "server", "pid", "event")


def configure(log_json: bool, name: str) -> None:
    """Set up the log of the process called `name`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _signed(name),
            _as_json if log_json else _as_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_FromStandardLibrary()], force=True)


def log_to(file: Path) -> None:
    """Have everything that this process says go to the end of `file`; it is made if it is not there.

    The descriptors of the standard streams change, and not only ours: a traceback goes there, too.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for stream in (1, 2):
            os.dup2(descriptor, stream)
    finally:
        os.close(descriptor)


def reopen_log(file: Path | None) -> None:
    """Do what SIGHUP asks for; where the file cannot be opened, the log goes on where it went."""
    log = structlog.get_logger("bankrmi")
    if file is None:
        log.info("SIGHUP changes nothing: this process has no log file of its own")
        return
    try:
        log_to(file)
    except OSError as error:
        log.warning("the log could not be opened again", file=str(file), reason=error.strerror)
    else:
        log.info("the log was opened again", file=str(file))


def _signed(name: str) -> Callable[[Any, str, _Event], _Event]:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")

    def sign(logger: Any, method: str, event: _Event) -> _Event:
        event = stamp(logger, method, event)
        event.setdefault("server", name)
        event["pid"] = os.getpid()
        return event

    return sign


def _as_json(_: Any, __: str, event: _Event) -> str:
    first = {key: event.pop(key) for key in _FIRST if key in event}
    return json.dumps({**first, **event}, default=str, ensure_ascii=False)


def _as_text(_: Any, __: str, event: _Event) -> str:
    time, level, server, pid, text = (event.pop(key, "") for key in _FIRST)
    details = "".join(f" {key}={_shown(value)}" for key, value in event.items())
    return f"{time[:23]}Z {level:<5} {server}[{pid}] {_one_line(str(text))}{details}"


def _shown(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(str, sorted(value, key=str) if isinstance(value, set | frozenset) else value))
    text = str(value)
    return text if text and text.isprintable() and " " not in text else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)


class _Lines:
    """Writes lines to what standard error is at that moment."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class _FromStandardLibrary(logging.Handler):
    """Passes on what libraries say with the standard `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            event = f"{record.name}: {record.getMessage()}"
            structlog.get_logger().log(record.levelno, event, exc_info=record.exc_info or None)
