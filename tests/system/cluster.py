"""A bank of real processes on this machine, for one test; the test does to them what it likes.

    with Cluster(tmp_path, copies_min=2) as cluster:       # any key of config.yaml; `servers=3` for three
                                                           # **AS_SHIPPED: who is silent is soon left behind
        cluster.start_all()                                # name server, then all servers; waits until ready
        bank = cluster.client(timeout=20)                  # a BankClient, closed at the end
        cluster.kill(cluster.primary())                    # kill -9
        cluster.until(lambda: cluster.status("s2"), "s2 answers")
        copy = cluster.copy("s1")                          # the disk of a server that does not run

Rule 1: whatever happens, no process outlives the `with`; if the test failed, it shows what they logged.
Rule 2: no process may break an invariant or die of an exception, whatever the test is about.
Rule 3: to wait is to wait for a condition, with a deadline (`until`); nothing sleeps for a while and hopes.
Assumption: processes are started in the thread that runs the test; they end when that thread does.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from bankrmi.client import BankClient, connect
from bankrmi.client.asking import ask_once
from bankrmi.client.overview import overview
from bankrmi.config import Configuration, load
from bankrmi.coordination.keepers import asked_keeper
from bankrmi.errors import BankError
from bankrmi.own_credentials import own_credentials
from bankrmi.rmi import TlsCredentials
from tests import warm
from tests.system.copies import Copy, read_copy
from tests.system.ports import own_addresses
from tests.warm import Process

__all__ = ["AS_SHIPPED", "LEDGER", "NAMESERVER", "PATIENT", "Cluster"]

NAMESERVER = "nameserver"
LEDGER = {1: 100, 2: 200, 3: 450, 4: 1_000, 5: 200, 6: 0, 7: 70, 8: 80, 9: 90, 10: 1_000_000}
"""What the bank opens with, unless the test brings its own."""

AS_SHIPPED: Mapping[str, Any] = {"lease_ms": 1_000, "checkpoint_timeout_ms": 500}
"""For tests of what comes of silence, which would have to wait."""

PATIENT: Mapping[str, Any] = {"lease_ms": 4_000, "checkpoint_timeout_ms": 2_000}
"""Of a bank whose test says nothing of time: a standby that a busy machine keeps silent for half a second
would be left behind, and nobody would take over when its primary is killed in the next moment."""

DEADLINE_S = 40.0
"""How long a condition is waited for: never a measure of speed, only of hopelessness."""

_POLL_S = 0.01
_LONGEST_POLL_S = 0.4
"""Who looks takes time from what is waited for; so between two looks twice as long as a look took."""
_LOG_LINES = 60
_BROKEN = re.compile(r"Traceback|cannot be broken was|BrokenInvariant|bug in bankrmi")

Value = TypeVar("Value")


class Cluster:
    """One bank: a folder, a configuration, processes (`nameserver`, `s1`, `s2`, ...)."""

    def __init__(
        self,
        directory: Path,
        *,
        servers: int = 2,
        ledger: Mapping[int, int] = LEDGER,
        **settings: object,
    ) -> None:
        self.directory = directory
        self.config = directory / "config.yaml"
        self.ledger = dict(ledger)
        self.servers = tuple(f"s{number}" for number in range(1, servers + 1))
        self.configuration: Configuration
        self._settings = settings if PATIENT.keys() & settings.keys() else {**PATIENT, **settings}
        self._processes: dict[str, Process] = {}
        self._ready: dict[str, int] = {}
        self._open = ExitStack()

    # -- the context -----------------------------------------------------------------------------

    def __enter__(self) -> Cluster:
        self.directory.mkdir(parents=True, exist_ok=True)
        nameserver, *addresses = self._open.enter_context(own_addresses(1 + len(self.servers)))
        lines = [f"nameserver: {nameserver}", "servers:"]
        lines += [f"  {name}: {address}" for name, address in zip(self.servers, addresses, strict=True)]
        lines += [f"{key}: {_in_yaml(value)}" for key, value in self._settings.items()]
        self.config.write_text("\n".join(lines) + "\n")
        balances = "".join(f"{account},{balance}\n" for account, balance in self.ledger.items())
        (self.directory / "ledger.csv").write_text(balances)
        self.configuration = load(self.config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        self.kill(*self._processes)
        for name in list(self._ready):
            os.close(self._ready.pop(name))
        self._open.close()
        broken = [name for name in self._processes if _BROKEN.search(self.log(name))]
        if failure is not None or broken:
            self.show_logs()
        assert failure is not None or not broken, f"{', '.join(broken)} broke (see the log)"

    def show_logs(self) -> None:
        """Print the end of all logs; pytest shows it if the test failed."""
        for name in self._processes:
            tail = "\n".join(self.log(name).splitlines()[-_LOG_LINES:])
            sys.stderr.write(f"---- the end of what {name} logged ----\n{tail}\n")

    # -- processes -------------------------------------------------------------------------------

    def start_all(self, *, tree: Path | None = None) -> None:
        """Start the name server, then all servers; return when they are ready."""
        self.start(NAMESERVER, tree=tree)
        self.start(*self.servers, tree=tree)

    def start(
        self,
        *names: str,
        failpoint: str = "",
        arguments: Iterable[str] = (),
        files: int | None = None,
        wait: bool = True,
        tree: Path | None = None,
    ) -> None:
        """Start processes side by side; `wait` until each leads, or is in sync (or, a name server, serves).

        `failpoint` (see `bankrmi.server.failpoints`), `arguments` and the number of `files` that may be open
        are for all of these. `tree` is the folder with the code, if it is another version than this one.
        """
        for name in names:
            self._spawn(name, failpoint, arguments, files, tree)
        if wait:
            for name in names:
                self.wait_until_ready(name)

    def _spawn(
        self, name: str, failpoint: str, arguments: Iterable[str], files: int | None, tree: Path | None
    ) -> None:
        assert not self.is_running(name), f"{name} runs already"
        if name in self._ready:
            os.close(self._ready.pop(name))
        ours, theirs = os.pipe()
        what = [NAMESERVER] if name == NAMESERVER else ["server", name]
        hidden = ["--parent-pid", str(os.getpid()), "--ready-fd", str(theirs)]
        try:
            with self._log_file(name).open("ab") as log:
                self._processes[name] = warm.start(
                    ["--config", str(self.config), *what, *arguments, *hidden],
                    pass_fds=(theirs,),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"BANKRMI_FAILPOINT": failpoint, "PYTHONUNBUFFERED": "1"},
                    cwd=tree,
                    files=files,
                )
        finally:
            os.close(theirs)
        self._ready[name] = ours

    def wait_until_ready(self, name: str) -> None:
        """Wait for the line with which a process says that it is ready."""
        readable, _, _ = select.select([self._ready[name]], [], [], DEADLINE_S)
        assert readable, f"{name} is not ready after {DEADLINE_S:g} s"
        assert os.read(self._ready[name], 4096), f"{name} ended before it was ready"

    def process(self, name: str) -> Process:
        """Return the newest process of this name."""
        return self._processes[name]

    def is_running(self, name: str) -> bool:
        """Whether there is such a process, be it stopped."""
        return name in self._processes and self._processes[name].poll() is None

    def kill(self, *names: str) -> None:
        """`kill -9` all of these in one moment; return when they are gone.

        Two kills are two moments. In between, whoever lives may take over: then it alone knows what it
        acknowledged, and the others rightly wait for it. So all of them stand still before the first one
        dies.
        """
        running = [name for name in names if self.is_running(name)] if len(names) > 1 else []
        for name in running:
            self._processes[name].send_signal(signal.SIGSTOP)
        for name in running:
            self._wait_until_still(name)
        for name in names:
            self._processes[name].kill()
        for name in names:
            self.wait_for_end(name)

    def terminate(self, name: str) -> int:
        """Ask a process to stop in good order (SIGTERM); return its exit code."""
        self._processes[name].terminate()
        return self.wait_for_end(name)

    def wait_for_end(self, name: str) -> int:
        """Wait until a process has ended, for whatever reason; return its exit code."""
        return self._processes[name].wait(DEADLINE_S)

    def pause(self, name: str) -> None:
        """SIGSTOP; return when it stands still."""
        self._processes[name].send_signal(signal.SIGSTOP)
        self._wait_until_still(name)

    def _wait_until_still(self, name: str) -> None:
        """Until it does nothing any more, be it that it has ended (Z)."""
        stat = Path(f"/proc/{self._processes[name].pid}/stat")
        self.until(lambda: stat.read_text().rpartition(")")[2].split()[0] in "TZ", f"{name} stands still")

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._processes[name].send_signal(signal.SIGCONT)

    def log(self, name: str) -> str:
        """Return all that the processes of this name have printed so far."""
        file = self._log_file(name)
        return file.read_text(errors="replace") if file.exists() else ""

    def _log_file(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    # -- what they say ---------------------------------------------------------------------------

    def until(self, condition: Callable[[], Value], what: str, *, seconds: float = DEADLINE_S) -> Value:
        """Wait until the condition holds; return what it gave."""
        deadline = time.monotonic() + seconds
        while True:
            begun = time.monotonic()
            value = condition()
            if value:
                return value
            looked = time.monotonic()
            assert looked < deadline, f"in {seconds:g} s it did not come about that {what}"
            time.sleep(max(_POLL_S, min(2 * (looked - begun), _LONGEST_POLL_S)))

    def status(self, name: str) -> dict[str, Any] | None:
        """Return what a server says of itself; None if it does not answer."""
        try:
            return dict(self.ask(name, "status", seconds=1.0))
        except BankError:
            return None

    def view(self) -> dict[str, Any] | None:
        """Return the view that the witness, or etcd, keeps; None if there is none, or nobody to ask."""
        try:
            view = asked_keeper(self.configuration).read()
        except BankError:
            return None
        return None if view is None else view.to_wire()

    def overview(self) -> dict[str, Any]:
        """Return what `bankrmi status --json` shows."""
        return overview(self.configuration)

    def _leader(self) -> str | None:
        newest = (-1, "")
        for name in self.servers:
            if self.is_running(name):
                status = self.status(name)
                if status is not None and status["role"] == "primary":
                    newest = max(newest, (status["epoch"], name))
        return newest[1] or None

    def primary(self) -> str:
        """Wait until a server leads; return its name."""
        return self.until(self._leader, "a server leads") or ""

    def standby(self) -> str:
        """Wait until a server leads and another one is in sync; return the first such other one."""

        def others() -> list[str]:
            leader = self._leader()
            status = self.status(leader) if leader is not None else None
            in_sync = status["in_sync"] if status is not None and status["role"] == "primary" else []
            return [name for name in in_sync if name != leader]

        return self.until(others, "a standby is in sync")[0]

    def wait_until_in_sync(self, *names: str) -> None:
        """Wait until a server leads and exactly these (without names: all) are in sync."""
        wanted = sorted(names or self.servers)

        def in_sync() -> bool:
            leader = self._leader()
            status = self.status(leader) if leader is not None else None
            return status is not None and status["role"] == "primary" and status["in_sync"] == wanted

        self.until(in_sync, f"{', '.join(wanted)} are in sync")

    # -- clients and disks -----------------------------------------------------------------------

    def kill_the_standby(self, name: str) -> None:
        """Kill it, and wait until the primary goes on alone: else it may do so when `name` is back."""
        self.kill(name)
        self.until(lambda: name not in (self.view() or {"in_sync": [name]})["in_sync"], f"{name} is left out")

    def ask(self, server: str, method: str, *args: object, seconds: float = DEADLINE_S) -> Any:
        """Call the account object of this server and no other, once; no retry, nothing is added."""
        address = self.configuration.servers[server]
        return ask_once(
            address,
            f"bankrmi.account.{server}",
            method,
            args,
            seconds=seconds,
            role="client",
            credentials=self._shown("client"),
        )

    def _shown(self, role: str) -> TlsCredentials | None:
        return own_credentials(self.configuration, role)

    def switch_over(self, *, to: str | None = None) -> dict[str, Any]:
        """Have the primary hand over, as an operator does; return the view before and after."""
        primary = self.primary()
        address = self.configuration.servers[primary]
        operator = f"bankrmi.operator.{primary}"
        answer = ask_once(
            address, operator, "switchover", [to], seconds=DEADLINE_S, credentials=self._shown("operator")
        )
        return dict(answer)

    def client(self, *, timeout: float = DEADLINE_S) -> BankClient:
        """Return a client, closed at the end."""
        return self._open.enter_context(connect(self.configuration, timeout=timeout))

    def data(self, name: str) -> Path:
        """Return the data directory of a server (or, `witness`, of the witness)."""
        return self.configuration.data_dir / name

    def copy(self, name: str) -> Copy:
        """Return what is on the disk of a server that does not run, or is paused."""
        return read_copy(self.data(name), name)


def _in_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
