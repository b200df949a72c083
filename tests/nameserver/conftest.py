"""The real process of name server and witness, on ports of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.client.doubles import free_address
from tests.warm import Process

SCRIPT = """
import resource, sys
from pathlib import Path
from bankrmi import config
if sys.argv[4]:  # A disk that is full: no file grows beyond this.
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
from bankrmi.nameserver import process, run
if sys.argv[3]:  # As if on a machine of its own: this address is another's, or comes when the file does.
    process.is_here = lambda address: address != sys.argv[3] or Path(sys.argv[1]).with_name("here").exists()
sys.exit(run(config.load(Path(sys.argv[1])), ready_fd=int(sys.argv[2])))
"""


@dataclass
class NameServerProcess:
    """One process; `ready` is what it said when it was."""

    process: Process
    log: Path
    ready: dict[str, Any] | None

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def terminate(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        code = self.process.wait(timeout=20)
        return code, self.log.read_text()


@dataclass
class Place:
    """A configuration in a folder, and the processes started with it."""

    config: Path
    nameserver: str
    witness: str
    started: list[NameServerProcess] = field(default_factory=list)

    def start(self, *, elsewhere: str = "", file_limit: str = "") -> NameServerProcess:
        """Start one: as the command line does, or as `SCRIPT` does; wait until it is ready, or ends."""
        log = self.config.with_name(f"log-{len(self.started)}")
        ours, theirs = os.pipe()
        with log.open("wb") as errors, os.fdopen(theirs):
            process: Process
            if elsewhere or file_limit:
                process = warm.Popen(
                    [sys.executable, "-c", SCRIPT, str(self.config), str(theirs), elsewhere, file_limit],
                    pass_fds=(theirs,),
                    stderr=errors,
                    uses_ours=True,
                )
            else:
                process = warm.start(
                    ["--config", str(self.config), "nameserver", "--ready-fd", str(theirs)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=(theirs,),
                )
        with os.fdopen(ours) as ready:
            assert select.select([ready], [], [], 20)[0], "it said nothing"
            line = ready.readline()
        self.started.append(NameServerProcess(process, log, json.loads(line) if line else None))
        return self.started[-1]


PlaceMaker = Callable[..., Place]


@pytest.fixture
def make_place(tmp_path: Path) -> Iterator[PlaceMaker]:
    places: list[Place] = []

    def make(*, nameserver: str | None = None, witness: str | None = None, name: str = "one") -> Place:
        folder = tmp_path / name
        folder.mkdir()
        nameserver = nameserver or free_address()
        place = Place(folder / "config.yaml", nameserver, witness or nameserver)
        place.config.write_text(
            f"nameserver: {place.nameserver}\nwitness: {place.witness}\n"
            f"servers:\n  s1: {free_address()}\n  s2: {free_address()}\n"
        )
        places.append(place)
        return place

    yield make
    for place in places:
        for one in place.started:
            if one.process.poll() is None:
                one.kill()


@pytest.fixture
def place(make_place: PlaceMaker) -> Place:
    return make_place()
