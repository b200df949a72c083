"""A bank on three machines and a client on a fourth: networks of their own, and what `bankrmi init` wrote.

Each machine has a folder with what `init` says belongs there, and nothing else. What happens to machines is
done to their networks: a machine that is lost is one that nothing reaches any more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.main import main
from bankrmi.robustness.chaos.namespaces import Namespaces
from tests.robustness.networks import in_a_thread

DEADLINE_S = 40.0
NAMESERVER, CLIENT = "nameserver", "client"
SERVERS = ("s1", "s2")
MACHINES = (NAMESERVER, *SERVERS, CLIENT)


class Machines:
    """Four machines; each process runs where it belongs."""

    def __init__(self, folder: Path, network: Namespaces) -> None:
        self.folder = folder
        self.network = network
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        addresses = {name: network.address(name, seen_by=name) for name in MACHINES}
        servers = ",".join(f"{name}={addresses[name]}" for name in SERVERS)
        office = folder / "office"
        assert main(["init", str(office), "--servers", servers, "--witness", addresses[NAMESERVER]]) == 0
        for name in MACHINES:
            self._equip(name, office)

    def _equip(self, machine: str, office: Path) -> None:
        """Copy what `init` says belongs on a machine."""
        place = self.folder / machine
        (place / "certificates").mkdir(mode=0o700, parents=True)
        for file in ("config.yaml", "ledger.csv"):
            shutil.copy(office / file, place)
        own = ("client-teller", "operator-operator") if machine == CLIENT else (f"server-{machine}",)
        for file in ("ca.pem", *(f"{name}.{kind}" for name in own for kind in ("pem", "key"))):
            shutil.copy(office / "certificates" / file, place / "certificates")

    def start(self, *names: str) -> None:
        for name in names:
            what = ["nameserver"] if name == NAMESERVER else ["server", name]
            with (self.folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
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
        return subprocess.run(
            self._command(CLIENT, *arguments),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            pass_fds=self.network.inherited(CLIENT),
        )

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes.pop(name).wait()

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

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    network = Namespaces(MACHINES)
    try:
        running = Machines(folder, network)
        try:
            running.start(NAMESERVER, *SERVERS)
            running.until_in_sync()
            yield running
        finally:
            running.close()
    finally:
        network.close()


def other(server: str) -> str:
    return next(name for name in SERVERS if name != server)


@in_a_thread
def test_a_machine_is_lost_and_comes_back(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        bank.withdraw()
        lost = bank.until_in_sync()
        bank.network.cut(*bank.ways(lost))
        bank.withdraw()
        assert bank.balance() == 298
        bank.until(lambda: bank.view() == (other(lost), (other(lost),)), "the other one leads alone")
        bank.network.heal(*bank.ways(lost))
        assert bank.until_in_sync() == other(lost)
        bank.withdraw()
        assert bank.balance() == 297


@pytest.mark.long
@in_a_thread
def test_a_primary_that_nobody_hears_is_replaced(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        unheard = bank.until_in_sync()
        ways = [way for way in bank.ways(unheard) if way[0] == unheard]
        bank.network.cut(*ways)
        bank.withdraw()
        assert bank.view()[0] == other(unheard)
        bank.network.heal(*ways)
        bank.until_in_sync()
        assert bank.balance() == 299


@pytest.mark.long
@in_a_thread
@pytest.mark.parametrize("whose", ["the primary", "the standby"])
def test_a_server_that_hears_nothing_takes_the_lead_from_nobody(tmp_path: Path, whose: str) -> None:
    """What it sends arrives: if it proposed a view it would win it, and never learn of it."""
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        deaf = leads if whose == "the primary" else other(leads)
        ways = [way for way in bank.ways(deaf) if way[1] == deaf]
        bank.network.cut(*ways)
        bank.until(lambda: bank.run("withdraw", "2", "1").returncode == 0, "money can be withdrawn")
        assert bank.view() == (other(deaf), (other(deaf),))
        bank.network.heal(*ways)
        bank.until_in_sync()


@pytest.mark.long
@in_a_thread
def test_the_bank_goes_on_without_the_witness_and_waits_for_it_when_it_is_needed(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        witness = bank.ways(NAMESERVER)
        bank.network.cut(*witness)
        bank.withdraw()
        bank.kill(leads)
        refused = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert refused.returncode in (5, 6), refused.stderr
        bank.network.heal(*witness)
        bank.until(lambda: bank.view()[0] == other(leads), "the other one leads")
        assert bank.balance() in (299, 298 if refused.returncode == 6 else 299)
        bank.start(leads)
        bank.until_in_sync()


@pytest.mark.long
@in_a_thread
def test_a_machine_is_replaced_under_the_same_name(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        gone = other(bank.until_in_sync())
        bank.withdraw()
        bank.kill(gone)
        shutil.rmtree(tmp_path / gone / "data")
        bank.start(gone)
        bank.until_in_sync()
        bank.kill(other(gone))
        assert bank.balance() == 299


@pytest.mark.long
@in_a_thread
def test_who_has_no_certificate_and_who_has_another_banks_gets_nowhere(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        assert main(["cert", "create-ca", "--folder", str(tmp_path / "foreign")]) == 0
        assert main(["cert", "create-client", "teller", "--folder", str(tmp_path / "foreign")]) == 0
        kept = tmp_path / CLIENT / "certificates"
        kept.rename(tmp_path / "kept")
        (tmp_path / "foreign").rename(kept)
        refused = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert refused.returncode == 5, refused.stderr
        kept.rename(tmp_path / "foreign")
        none = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert none.returncode == 2
        assert "certificates" in none.stderr
        (tmp_path / "kept").rename(kept)
        assert bank.balance() == 300
