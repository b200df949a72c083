from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROGRAM = """
import asyncio, os, signal, sys, threading
from types import ModuleType
from bankrmi import signals
from bankrmi.event_loop import run

def say(word):
    print(word, flush=True)

def hear():
    sys.stdin.readline()

class Last:
    # Goes when the interpreter, which has put the defaults back, throws its modules away.

    def __del__(self, read=os.read, write=os.write):
        write(1, b"over\\n")
        read(0, 1)

async def serve():
    threading.Thread(target=threading.Event().wait, daemon=True).start()  # A library's; it blocks nothing.
    stop = asyncio.Event()
    signals.deliver({
        signal.SIGTERM: stop.set,
        signal.SIGINT: lambda: say("interrupted"),
        signal.SIGHUP: lambda: say("hung up"),
    })
    await stop.wait()

signal.signal(signal.SIGHUP, signal.SIG_IGN)
signals.hold()
say("held")
hear()
sys.modules["last"] = ModuleType("last")
sys.modules["last"].one = Last()
run(serve())
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1, text=True
    ) as process:
        yield process
        process.kill()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")


def test_signals_are_heeded_in_the_loop_and_end_nothing_after_it(process: subprocess.Popen[str]) -> None:
    """Neither before it, where they wait (the ignored one, too), nor in a thread that blocks none."""
    assert _said(process) == "held\n"
    process.send_signal(signal.SIGHUP)
    _go_on(process)
    assert _said(process) == "hung up\n"
    process.send_signal(signal.SIGINT)
    assert _said(process) == "interrupted\n"
    process.send_signal(signal.SIGTERM)
    assert _said(process) == "over\n"
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(each)
    _go_on(process)
    assert process.wait(10) == 0
