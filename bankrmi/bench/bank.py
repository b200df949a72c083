"""A bank to be measured: its own folder and ports, name server and witness, and servers, as processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bankrmi.bench.children import Children, python
from bankrmi.bench.load.order import ACCOUNTS, OPENING
from bankrmi.client.overview import overview
from bankrmi.config import Configuration, load
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.held_port import HeldPort

__all__ = [
    "FOLDER_PREFIX",
    "FOLDER_VARIABLE",
    "WITNESS",
    "MeasuredBank",
    "own_folder",
    "running_bank",
    "write_ledger",
]

WITNESS = "nameserver"
"""The process of the name server and the witness."""

FOLDER_VARIABLE = "BANKRMI_BENCH_DIR"
"""What names the disk that is to be measured, in the environment."""

FOLDER_PREFIX = "bankrmi-bench-"
"""What the names of folders begin with that are made for a run."""

_READY_SECONDS = 60.0
_UNLIMITED = {"entries_per_second": 0, "entries_per_second_per_address": 0, "connections": 4000}
"""For whoever asks how much a bank can do; how well it holds is asked of one with the usual limits."""


class MeasuredBank:
    """The processes of a bank, by name."""

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 2,
        accounts: int = ACCOUNTS,
        before: Sequence[str] = (),
        unlimited: bool = True,
        settings: Mapping[str, object] | None = None,
        modules: Path | None = None,
    ) -> None:
        """Write its files; `before` is what comes before the command of each process."""
        self._before = before
        self._ports = {name: HeldPort() for name in (WITNESS, *(f"s{one}" for one in range(1, servers + 1)))}
        addresses = {name: port.address for name, port in self._ports.items()}
        written: dict[str, object] = {"nameserver": addresses.pop(WITNESS), "servers": addresses}
        written |= {**({"limits": _UNLIMITED} if unlimited else {}), **(settings or {})}
        path = folder / "config.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in written.items()))
        write_ledger(folder / "ledger.csv", accounts)
        self.configuration: Configuration = load(path, environment={})
        self.children = Children(folder, modules=modules)

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the names of the servers."""
        return tuple(self.configuration.servers)

    def start(self, name: str) -> None:
        """Start the name server or a server."""
        command = ["nameserver"] if name == WITNESS else ["server", name]
        run = python("bankrmi", "--config", str(self.configuration.path), *command)
        self.children.start(name, [*self._before, *run])

    def start_all(self) -> None:
        """Start everybody, and wait until all are in sync."""
        for name in (WITNESS, *self.servers):
            self.start(name)
        self.wait_until_in_sync()

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """Return one of its processes."""
        return self.children.process(name)

    def kill(self, name: str) -> None:
        """`kill -9`, and return when it is gone."""
        self.process(name).kill()
        self.children.end(name)

    def restart(self, name: str) -> None:
        """Start a server that was killed, or is about to be gone."""
        self.children.end(name)
        self.start(name)

    def lose_disk(self, name: str) -> None:
        """Delete all that a server that was killed had: it comes back as a new one."""
        shutil.rmtree(self.configuration.data_dir / name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal that ends nobody."""
        self.process(name).send_signal(number)

    def status(self) -> dict[str, Any]:
        """Return what `bankrmi status --json` prints."""
        return overview(self.configuration)

    def primary(self) -> str:
        """Return who leads."""
        return str(self.status()["view"]["primary"])

    def standby(self) -> str:
        """Return one who does not."""
        primary = self.primary()
        return next(name for name in self.servers if name != primary)

    def acknowledged(self) -> int:
        """Return how many operations the bank has acknowledged so far."""
        return max(int(server.get("acknowledged") or 0) for server in self.status()["servers"])

    def epoch(self) -> int:
        """Return how often the view has changed; -1 if nobody tells."""
        view = self.status()["view"]
        return int(view["epoch"]) if view else -1

    def is_in_sync(self) -> bool:
        """Whether one server leads, all others follow, and the view has them all in sync."""
        status = self.status()
        view = status["view"]
        if not view or set(view["in_sync"]) != set(self.servers):
            return False
        roles = [server.get("role") for server in status["servers"]]
        return sorted(map(str, roles)) == ["primary", *["standby"] * (len(self.servers) - 1)]

    def wait_until_in_sync(self) -> None:
        """Wait for that; raise OperationFailed if it takes too long, or if a process has ended."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self.is_in_sync():
            for name in (WITNESS, *self.servers):
                if self.process(name).poll() is not None:
                    raise OperationFailed(f"{name} has ended: {self.children.last_words(name)}")
            if time.monotonic() > deadline:
                raise OperationFailed("the bank did not get ready; its logs are in its folder")
            time.sleep(0.02)

    def log_lines(self) -> int:
        """Return how much its processes have said so far."""
        logs = (self.children.log(name) for name in (WITNESS, *self.servers))
        return sum(len(log.read_bytes().splitlines()) for log in logs)

    def close(self) -> None:
        """Kill everything, and give the ports back."""
        self.children.stop()
        for port in self._ports.values():
            port.close()


def write_ledger(path: Path, accounts: int = ACCOUNTS) -> None:
    """Write what a bank opens with: `accounts` accounts, and enough on each."""
    with path.open("w") as ledger:
        ledger.write("account-id,balance\n")
        ledger.writelines(f"{account},{OPENING}\n" for account in range(1, accounts + 1))


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder on the disk that is to be measured (BANKRMI_BENCH_DIR), which goes with the context."""
    base = os.environ.get(FOLDER_VARIABLE) or None
    try:
        folder = tempfile.TemporaryDirectory(dir=base, prefix=FOLDER_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        place = base or tempfile.gettempdir()
        raise ConfigurationError(
            f"no folder can be made in {place} ({error.strerror}): name another place in {FOLDER_VARIABLE}"
        ) from None
    with folder as name:
        yield Path(name)


@contextmanager
def running_bank(
    *,
    servers: int = 2,
    accounts: int = ACCOUNTS,
    before: Sequence[str] = (),
    unlimited: bool = True,
    modules: Path | None = None,
    **settings: object,
) -> Iterator[MeasuredBank]:
    """A bank, everybody in sync; gone when the context ends."""
    with own_folder() as folder:
        bank = MeasuredBank(
            folder,
            servers=servers,
            accounts=accounts,
            before=before,
            unlimited=unlimited,
            settings=settings,
            modules=modules,
        )
        try:
            bank.start_all()
            yield bank
        finally:
            bank.close()
