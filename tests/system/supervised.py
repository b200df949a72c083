"""A bank that `bankrmi up` runs.

    with Cluster(tmp_path) as cluster, Up(cluster) as up:   # the cluster lends its folder
        up.wait_until_running()

Rule: what it says is collected in a file, so that nothing waits for a reader.
"""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from tests import warm
from tests.system.cluster import DEADLINE_S, Cluster
from tests.warm import Process

__all__ = ["Up", "lives"]

_READY = re.compile(r"^(.+) is ready: .*pid (\d+)", re.MULTILINE)


class Up:
    """One `bankrmi up --no-menu`; its end, and that of its children, is the end of the `with`."""

    def __init__(self, cluster: Cluster, *options: str) -> None:
        self._cluster = cluster
        self._options = options
        self._log = cluster.directory / "up.log"
        self.process: Process

    def __enter__(self) -> Up:
        arguments = ["--config", str(self._cluster.config), "up", "--no-menu", *self._options]
        with self._log.open("ab") as log:
            self.process = warm.start(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.wait_until_nobody_is_left()
        if failure is not None:
            print(self.said)  # noqa: T201  pytest shows it

    @property
    def said(self) -> str:
        """What it and its children have said so far."""
        return self._log.read_text(errors="replace")

    @property
    def pids(self) -> dict[str, int]:
        """The newest process of each that was ever ready: "server s1", "name server and witness"."""
        return {title: int(pid) for title, pid in _READY.findall(self.said)}

    def wait_until_running(self) -> None:
        running = re.compile("The (bank|service) is running")
        self._cluster.until(lambda: running.search(self.said), "up says that it is running")

    def wait_until_in_sync(self) -> None:
        """Wait until every server answers and is in sync."""

        def in_sync() -> bool:
            servers = self._cluster.overview()["servers"]
            return all(server["reachable"] and server["in_sync"] for server in servers)

        self._cluster.until(in_sync, "all are in sync")

    def stop(self, number: signal.Signals) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def wait_until_nobody_is_left(self) -> None:
        pids = [int(pid) for _, pid in _READY.findall(self.said)]
        self._cluster.until(lambda: not any(lives(pid) for pid in pids), "no process is left behind")


def lives(pid: int) -> bool:
    """Whether there is such a process, be it of somebody else; one that has ended is none, waited for or not.

    (An orphan that ends while `warm` starts a process is ours to wait for, and nobody does.)
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
