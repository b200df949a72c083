"""`up` with children that only say that they are ready: python -m tests.cli.fake_up FOLDER [OPTION...]."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

from bankrmi import client
from bankrmi.cli import run, up
from bankrmi.cli.supervisor import Child
from bankrmi.config import Configuration
from tests.cli.fake_bank import FakeBank
from tests.cli.made_up_status import STATUS

CHILD = """
import json, os, signal, sys
from bankrmi.parent_death import end_with_parent
title, fd, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
end_with_parent(parent)
print(f"this is the log of {title}\\n", end="", flush=True)
if title == os.environ.get("BANKRMI_TEST_BROKEN"):
    print("port 9101 is taken", flush=True)
    sys.exit(2)
signal.signal(signal.SIGHUP, lambda *_: print("told to open it again", flush=True))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: sys.exit(0))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
print(f"pid {os.getpid()}", flush=True)
os.write(fd, json.dumps({"pid": os.getpid(), "address": "127.0.0.1:1", "role": None}).encode() + b"\\n")
while True:
    signal.pause()
"""


def children_of(_: object, configuration: Configuration, *, logs: Path, **__: object) -> list[list[Child]]:
    def child(name: str) -> Child:
        command = (sys.executable, "-c", CHILD, name, "{ready_fd}", "{parent_pid}")
        return Child(
            name=name,
            title=name,
            command=command,
            stop_signal=signal.SIGTERM,
            log=logs / f"{name}.log",
        )

    return [[child("ns")], [child(name) for name in configuration.servers]]


def overview(_: Configuration) -> dict[str, Any]:
    """Return how the bank is; or be told to stop, and fail to show that, as on a disk that is full."""
    if os.environ.get("BANKRMI_TEST_FULL"):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            raise OSError(errno.ENOSPC, "No space left on device")
    return STATUS


def connect(_: Configuration, **__: Any) -> FakeBank:
    return FakeBank()


if __name__ == "__main__":
    folder, *options = sys.argv[1:]
    os.chdir(folder)
    vars(up)["children_of"] = children_of
    vars(client).update(connect=connect, overview=overview)
    sys.exit(run(["up", *options]))
