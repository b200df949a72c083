"""How a long-running process lives, whatever it serves: alone, with its log, to its exit code.

Rule: what it ends of is one line of its log: 2 for what it was told and cannot be, 1 for everything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from bankrmi import signals
from bankrmi.errors import BankError, ConfigurationError
from bankrmi.event_loop import run as run_loop
from bankrmi.logging_setup import configure
from bankrmi.parent_death import end_with_parent
from bankrmi.readiness import say_awaiting

__all__ = ["Serving", "run_to_the_end"]

_DONE, _ERROR, _USAGE = 0, 1, 2


class Serving(Protocol):
    """What is served, put together and not started yet."""

    def serve(self, ready_fd: int | None) -> Coroutine[Any, Any, None]:
        """Serve until told to stop; raise what went wrong."""


def run_to_the_end(
    make: Callable[[], Serving],
    name: str,
    *,
    room: str,
    log_json: bool,
    parent_pid: int | None,
    ready_fd: int | None,
    failures: tuple[type[Exception], ...] = (),
) -> int:
    """Make what is to be served, and serve it until told to stop; return the exit code.

    `name` is that of the process, `room` that of the one who says how it ended. `failures` are errors that
    are none of ours, and sentences all the same.
    """
    os.umask(0o077)  # What is written here is for its owner only.
    end_with_parent(parent_pid)
    configure(log_json, name)
    log = structlog.get_logger(room)
    try:
        process = make()
        signals.hold()
        run_loop(process.serve(ready_fd))
    except ConfigurationError as error:
        log.error(error.message)
        return _USAGE
    except BankError as error:
        log.error(error.message)
        say_awaiting(ready_fd, error)
        return _ERROR
    except failures as error:
        log.error(str(error))
        return _ERROR
    return _DONE
