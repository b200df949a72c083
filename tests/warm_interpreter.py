"""The other side of `warm`: imports bankrmi, then forks a process for each order that comes.

    python -m tests.warm_interpreter FD

A process is forked twice, and the one in between ends at once: so its parent is whoever ordered it, who has
declared that it adopts orphans meanwhile.

Rule: before a fork nothing is done but to import; a fork leaves this file as a fresh interpreter enters
`bankrmi.__main__`.
"""

from __future__ import annotations

import fcntl
import gc
import io
import json
import os
import resource
import runpy
import socket
import sys
import time
from dataclasses import astuple, dataclass
from typing import Literal, TextIO

__all__ = ["Order"]

_LONGEST_ORDER = 1 << 18
_MOST_FILES = 32


@dataclass(frozen=True, slots=True)
class Order:
    """One process: its arguments, folder and whole environment, and the numbers of the files that come along.

    `most_files` is how many it may have open, None as many as we.
    """

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    numbers: list[int]
    most_files: int | None

    def packed(self) -> bytes:
        """Return it as it crosses the socket."""
        return json.dumps(astuple(self)).encode()


def main() -> None:
    """Fork what is ordered until whoever orders is gone; in a fork, run the command line."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    _import_everything()
    while True:
        message, files, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, _MOST_FILES)
        if not message:
            return
        order = Order(*json.loads(message))
        if _forked(orders):
            break
        for file in files:
            os.close(file)
    _become(order, files, orders)
    runpy.run_module("bankrmi", run_name="__main__", alter_sys=True)


def _import_everything() -> None:
    sys.modules["rich"] = None  # type: ignore[assignment]  # As `bankrmi.__main__` does.
    import structlog  # noqa: F401

    del sys.modules["rich"]
    import bankrmi.cli.main
    import bankrmi.client
    import bankrmi.nameserver.process
    import bankrmi.server.process  # noqa: F401

    gc.collect()
    gc.freeze()  # So that a collection in a fork does not copy every page that it only looks at.


def _forked(orders: socket.socket) -> bool:
    """Fork twice; return whether this is the new process."""
    theirs, ours = os.pipe()
    between = os.fork()
    if between == 0:
        between = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(theirs)
            os.close(ours)
            while os.getppid() == between:  # It ends at once.
                time.sleep(0)
            return True
        os.write(ours, str(pid).encode())
        os._exit(0)
    os.waitpid(between, 0)
    orders.send(os.read(theirs, 64))
    os.close(theirs)
    os.close(ours)
    return False


def _become(order: Order, files: list[int], orders: socket.socket) -> None:
    """Have the files, folder, environment and arguments of the order, and nothing else of ours."""
    orders.close()
    out_of_the_way = max(order.numbers) + 1  # There files wait for their numbers.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, out_of_the_way) for file in files]
    os.closerange(3, out_of_the_way)
    for file, number in zip(moved, order.numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    if order.most_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (order.most_files, order.most_files))
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv[:] = ["bankrmi", *order.arguments]
    unbuffered = bool(order.environment.get("PYTHONUNBUFFERED"))
    sys.stdin = _text(0, "rb", sys.stdin)
    sys.stdout = _text(1, "wb", sys.stdout, unbuffered)
    sys.stderr = _text(2, "wb", sys.stderr, unbuffered, by_line=True)


def _text(
    number: int, mode: Literal["rb", "wb"], like: TextIO, unbuffered: bool = False, *, by_line: bool = False
) -> TextIO:
    binary = os.fdopen(number, mode, 0 if unbuffered else -1, closefd=False)
    return io.TextIOWrapper(
        binary,
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=by_line or os.isatty(number),
        write_through=unbuffered,
    )


if __name__ == "__main__":
    main()
