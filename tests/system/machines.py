"""Four machines for a test: networks of their own, and on each what `bankrmi init` says belongs there.

    with machines(tmp_path) as bank:                       # in a test `in_a_thread`; all are in sync
        bank.network.cut(*bank.ways("s1"))                 # nothing reaches s1 any more
        bank.run("withdraw", "2", "1")                     # a command on the client's machine

Rule 1: what happens to machines is done to their networks and their files; nothing is shared between them.
Rule 2: whatever happens, no process outlives the `with`.
Assumption: it is opened, and used, in one thread (see `Namespaces`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bankrmi.cli.main import main
from bankrmi.robustness.chaos.namespaces import Namespaces
from tests import warm

__all__ = ["CLIENT", "NAMESERVER", "SERVERS", "Machines", "machines", "other"]

DEADLINE_S = 40.0
NAMESERVER, CLIENT = "nameserver", "client"
SERVERS = ("s1", "s2")
MACHINES = (NAMESERVER, *SERVERS, CLIENT)
METRICS = {name: f"127.0.0.1:{port}" for port, name in enumerate(MACHINES[:-1], start=9300)}
"""To be read on the machine of the process only."""

_READ_PAGE = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
_TELLER = """
import sys
from bankrmi import connect
with connect(sys.argv[1], timeout=30) as bank:
    for line in sys.stdin:
        print(bank.withdraw(2, 1).balance, flush=True)
"""


class Teller:
    """A client that stays."""

    def __init__(self, command: list[str], inherited: tuple[int, ...]) -> None:
        self._process = warm.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            pass_fds=inherited,
            uses_ours=True,
        )

    def withdraw(self) -> int:
        """Withdraw 1 from account 2; return what is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("1\n")
        return int(self._process.stdout.readline())

    def close(self) -> None:
        with self._process as process:
            process.kill()


class Machines:
    """Four machines; each process runs where it belongs."""

    def __init__(self, folder: Path, network: Namespaces) -> None:
        self.folder = folder
        self.network = network
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tellers: list[Teller] = []
        addresses = {name: network.address(name, seen_by=name) for name in MACHINES}
        servers = ",".join(f"{name}={addresses[name]}" for name in SERVERS)
        self.office = office = folder / "office"
        """Where certificates are made; no machine of the bank."""
        assert main(["init", str(office), "--servers", servers, "--witness", addresses[NAMESERVER]]) == 0
        config = office / "config.yaml"
        config.write_text(
            re.sub("^metrics: .*$", f"metrics: {json.dumps(METRICS)}", config.read_text(), flags=re.M)
        )
        for name in MACHINES:
            self.equip(name)

    def equip(self, machine: str) -> None:
        """Copy what `init` says belongs on a machine."""
        place = self.folder / machine
        (place / "certificates").mkdir(mode=0o700, parents=True)
        for file in ("config.yaml", "ledger.csv"):
            shutil.copy(self.office / file, place)
        self.bring_certificates(machine)

    def bring_certificates(self, machine: str) -> None:
        """Copy those that belong on a machine, as they are in the office now."""
        own = ("client-teller", "operator-operator") if machine == CLIENT else (f"server-{machine}",)
        for file in ("ca.pem", *(f"{name}.{kind}" for name in own for kind in ("key", "pem"))):
            shutil.copy(self.office / "certificates" / file, self.folder / machine / "certificates")

    def start(self, *names: str) -> None:
        for name in names:
            what = ["nameserver"] if name == NAMESERVER else ["server", name]
            with (self.folder / f"{name}.log").open("ab") as log:
                self._processes[name] = warm.Popen(
                    self._command(name, *what),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=self.network.inherited(name),
                )

    def _command(self, machine: str, *arguments: str) -> list[str]:
        config = str(self.folder / machine / "config.yaml")
        return self.network.command(
            machine, [sys.executable, "-m", "bankrmi", "--config", config, *arguments]
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the client's machine."""
        return warm.run_command(self._command(CLIENT, *arguments), timeout=DEADLINE_S)

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes.pop(name).wait()

    def kill_all(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    def status(self) -> dict[str, Any]:
        told = self.run("status", "--json")
        assert told.returncode in (0, 1, 5), told.stderr
        return dict(json.loads(told.stdout))

    def view(self) -> tuple[str, tuple[str, ...]]:
        """Return who leads, and who is in sync, as far as anybody says."""
        view = self.status()["view"]
        return (view["primary"], tuple(view["in_sync"])) if view else ("", ())

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}: it did not happen\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "".join(
            f"--- {file.name}\n{os.linesep.join(file.read_text().splitlines()[-25:])}\n"
            for file in sorted(self.folder.glob("*.log"))
        )

    def until_in_sync(self) -> str:
        """Wait until both servers are; return who leads."""
        self.until(lambda: self.view()[1] == SERVERS, "both are in sync")
        return self.view()[0]

    def balance(self) -> int:
        told = self.run("balance", "2")
        assert told.returncode == 0, told.stderr + self.logs()
        return int(told.stdout.split()[-1])

    def withdraw(self) -> None:
        told = self.run("withdraw", "2", "1")
        assert told.returncode == 0, told.stderr + self.logs()

    def ways(self, machine: str) -> tuple[tuple[str, str], ...]:
        """Return all ways from and to a machine."""
        others = [name for name in MACHINES if name != machine]
        return (*((machine, other) for other in others), *((other, machine) for other in others))

    def inside(self, machine: str, *command: str) -> str:
        """Run any command on a machine; return what it printed."""
        ended = warm.run_command(self.network.command(machine, list(command)), timeout=DEADLINE_S)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def teller(self) -> Teller:
        """Start a client that stays, on the client's machine."""
        config = str(self.folder / CLIENT / "config.yaml")
        command = self.network.command(CLIENT, [sys.executable, "-c", _TELLER, config])
        teller = Teller(command, self.network.inherited(CLIENT))
        self._tellers.append(teller)
        return teller

    def wait_for_end(self, name: str) -> int:
        """Wait until a process has ended by itself; return its exit code."""
        return self._processes.pop(name).wait(DEADLINE_S)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def changes(self) -> list[dict[str, Any]]:
        """Return the changes of the view, as `history` tells them."""
        told = self.run("history", "--json")
        assert told.returncode == 0, told.stderr
        return list(json.loads(told.stdout)["changes"])

    def figures(self, name: str) -> dict[str, float]:
        """Return what Prometheus would read of a process, by name and labels: `a_name,label=value`."""
        page = self.inside(name, sys.executable, "-c", _READ_PAGE, f"http://{METRICS[name]}/metrics")
        return {
            ",".join(
                [sample.name, *(f"{label}={value}" for label, value in sorted(sample.labels.items()))]
            ): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def close(self) -> None:
        self.kill_all()
        for teller in self._tellers:
            teller.close()


@contextmanager
def machines(folder: Path, *, running: bool = True) -> Iterator[Machines]:
    """Lend a bank, `running` and in sync, or not started yet.  Raises NoNamespaces where none can be had."""
    network = Namespaces(MACHINES)
    try:
        bank = Machines(folder, network)
        try:
            if running:
                bank.start(NAMESERVER, *SERVERS)
                bank.until_in_sync()
            yield bank
        finally:
            bank.close()
    finally:
        network.close()


def other(server: str) -> str:
    return next(name for name in SERVERS if name != server)
