"""The commands `bankrmi` and `python`, for shells of tests: what they run is forked from a warm interpreter.

    with warm_commands(folder) as path:                 folder: of its own, empty
        Popen("bash", env=... | {"PATH": f"{path}:..."})

A page of docs/ shows dozens of commands one after the other, and asks for the bank's status until it is as
shown: each would import all of bankrmi anew. Here `bankrmi` and `python` in that folder are small programs
that send their arguments, folder, environment, three standard files and network to us, have us start the real
one (`tests.warm`), and end as it ends.

Rule: what is not started warm (`up`, another folder's code) is started as ever, with the same files.
Assumption: nobody sends the small program a signal: its shell has no terminal.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import warm

__all__ = ["warm_commands"]

_LONGEST_ORDER = 1 << 18
_PROGRAM = """\
#!{python} -IS
import json, os, socket, sys
ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ours.connect({address!r})
order = dict(arguments={first} + sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
socket.send_fds(ours, [json.dumps(order).encode()], [0, 1, 2, os.open("/proc/self/ns/net", os.O_RDONLY)])
code = int(ours.recv(16))
sys.exit(code if code >= 0 else 128 - code)
"""


@contextmanager
def warm_commands(folder: Path) -> Iterator[Path]:
    """Lend the folder with the command in it; at the end what still runs of it is killed."""
    folder.mkdir()
    with (
        tempfile.TemporaryDirectory() as place,  # A name of its own would be that of one network.
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
    ):
        address = str(Path(place) / "desk")
        listening.bind(address)
        for name, first in (("bankrmi", ["-m", "bankrmi"]), ("python", [])):
            program = folder / name
            program.write_text(_PROGRAM.format(python=sys.executable, address=address, first=first))
            program.chmod(0o700)
        listening.listen()
        desk = _Desk(listening)
        desk.start()
        try:
            yield folder
        finally:
            desk.close()


class _Desk(threading.Thread):
    """Runs one command after the other: a shell has one at a time."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(name="warm commands")
        self._listening = listening
        self._running: warm.Process | None = None

    def run(self) -> None:
        while True:
            try:
                asking, _ = self._listening.accept()
            except OSError:
                return
            with asking:
                self._running = _started(asking)
                code = self._running.wait()
                with suppress(BrokenPipeError):  # Its shell was killed.
                    asking.send(str(code).encode())

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        if self._running is not None:
            self._running.kill()
        self.join()


def _started(asking: socket.socket) -> warm.Process:
    message, files, _, _ = socket.recv_fds(asking, _LONGEST_ORDER, 4)
    order = json.loads(message)
    network = files[3]
    is_ours = os.fstat(network).st_ino == Path("/proc/self/ns/net").stat().st_ino
    elsewhere = [] if is_ours else ["nsenter", f"--net=/proc/self/fd/{network}", "--"]
    try:
        return warm.Popen(
            [*elsewhere, sys.executable, *order["arguments"]],
            stdin=files[0],
            stdout=files[1],
            stderr=files[2],
            pass_fds=() if is_ours else (network,),
            cwd=order["folder"],
            env=order["environment"],
            uses_ours=True,
        )
    finally:
        for file in files:
            os.close(file)
