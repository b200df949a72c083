"""Examples on real processes: their services, from a copy of their folder; their programs; and callers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path

import bankrmi
import bankrmi.config
from tests import warm
from tests.pages import ROOT
from tests.system.cluster import DEADLINE_S, Cluster

__all__ = ["EXAMPLES", "Programs", "Threads", "kill_and_replace_the_primary", "served", "wait_for_more"]

EXAMPLES = ROOT / "examples"


@contextmanager
def served(name: str, folder: Path) -> Iterator[Cluster]:
    """Serve the class of an example, from a copy of its folder, at addresses of our own."""
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__", "data"))
    shipped = bankrmi.config.load(folder / "config.yaml")
    with Cluster(folder, service=shipped.service, serves=shipped.serves) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def kill_and_replace_the_primary(cluster: Cluster) -> None:
    """kill -9, and bring it back: for whoever kills next, there is somebody to take over."""
    victim = cluster.primary()
    cluster.kill(victim)
    cluster.start(victim)
    cluster.wait_until_in_sync()


def wait_for_more(cluster: Cluster, done: Sized, count: int) -> None:
    """Wait until so many more were done."""
    enough = len(done) + count
    cluster.until(lambda: len(done) > enough, f"{count} more are done")


class Programs:
    """The programs of one example, which end with the `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Programs:
        return self

    def start(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        log = self._folder / f"{name}-{len(self._running)}.out"
        with log.open("wb") as out:
            program = warm.Popen(
                [sys.executable, str(self._folder / name), *map(str, arguments)],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=subprocess.STDOUT,
                uses_ours=True,
            )
        self._running.append(program)
        return program

    def said(self, program: subprocess.Popen[bytes]) -> str:
        """Return what a program has printed so far."""
        number = self._running.index(program)
        [log] = self._folder.glob(f"*-{number}.out")
        return log.read_text()

    def __exit__(self, kind: object, *_: object) -> None:
        for program in self._running:
            program.kill()
            program.wait(DEADLINE_S)
            if kind is not None:
                sys.stderr.write(self.said(program))


class Threads:
    """Does something again and again in threads, until the `with` ends; any error is the test's."""

    def __init__(self, *work: Callable[[], object]) -> None:
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._repeat, args=(one,)) for one in work]

    def _repeat(self, work: Callable[[], object]) -> None:
        try:
            while not self._over.is_set():
                work()
        except BaseException as error:
            self._errors.append(error)

    def __enter__(self) -> Threads:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        if self._errors:
            raise self._errors[0]
