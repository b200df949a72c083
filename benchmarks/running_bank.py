"""A bank for a benchmark: its own directory and ports, name server, witness and servers as processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bankrmi.client.overview import overview
from bankrmi.config import Configuration, load

__all__ = ["Bank", "running_bank"]

READY_SECONDS = 30.0


class Bank:
    """The processes of a bank."""

    def __init__(self, directory: Path, servers: int, settings: dict[str, object], files: int | None) -> None:
        self._files = files
        ports = _free_ports(servers + 1)
        lines = [f"nameserver: 127.0.0.1:{ports[0]}", "servers:"]
        lines += [f"  s{number}: 127.0.0.1:{ports[number]}" for number in range(1, servers + 1)]
        lines += [f"{key}: {value}" for key, value in settings.items()]
        path = directory / "config.yaml"
        path.write_text("\n".join(lines) + "\n")
        ledger = "".join(f"{number},1000000\n" for number in range(1, 11))
        (directory / "ledger.csv").write_text("account-id,balance\n" + ledger)
        self.configuration: Configuration = load(path)
        self._log = (directory / "log").open("ab")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start the name server or a server."""
        command = ["nameserver"] if name == "nameserver" else ["server", name]
        limit = [] if self._files is None else ["/bin/sh", "-c", f'ulimit -n {self._files}; exec "$@"', "sh"]
        self.processes[name] = subprocess.Popen(
            [*limit, sys.executable, "-m", "bankrmi", "--config", str(self.configuration.path), *command],
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; reap the process if it was the last one."""
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[name].wait()

    def status(self) -> dict[str, Any]:
        """Return what `bankrmi status --json` prints."""
        return overview(self.configuration)

    def primary(self) -> str:
        """Return who leads."""
        return str(self.status()["view"]["primary"])

    def wait_until_in_sync(self) -> None:
        """Wait until every server is in sync and one of them leads."""
        deadline = time.monotonic() + READY_SECONDS
        everybody = sorted(self.configuration.servers)
        while time.monotonic() < deadline:
            status = self.status()
            view = status["view"]
            roles = [server["role"] for server in status["servers"]]
            if view and sorted(view["in_sync"]) == everybody and roles.count("primary") == 1:
                return
            time.sleep(0.01)
        raise SystemExit("the bank did not get ready; see its log")

    def close(self) -> None:
        """Kill everything."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self._log.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running_bank(servers: int = 2, files: int | None = None, **settings: object) -> Iterator[Bank]:
    """A bank, everybody in sync; gone when the block ends. Each process may open so many `files`."""
    base = os.environ.get("BANKRMI_BENCH_DIR")  # Where the disk is that is to be measured.
    with tempfile.TemporaryDirectory(dir=base) as directory:
        bank = Bank(Path(directory), servers, settings, files)
        try:
            for name in ("nameserver", *bank.configuration.servers):
                bank.start(name)
            bank.wait_until_in_sync()
            yield bank
        finally:
            bank.close()
