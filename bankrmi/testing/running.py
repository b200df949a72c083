"""A service on real processes of this machine, and what can be done to them: for tests.

    with ServiceCluster(Inventory) as service:
        inventory = service.connect()
        inventory.put("apple", 3)
        service.kill(service.primary)
        assert inventory.get("apple") == 3

Rule 1: whatever happens, no process outlives the `with`, nor the test, however that ends.
Rule 2: to wait is to wait for a condition, with a deadline: whoever waits in vain is told what for, and what
        the processes have logged.
Rule 3: addresses are held for as long as the cluster is there, and everything is in a folder of its own.
Assumption: Linux; the thread that starts the processes lives as long as they are to.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from bankrmi import config
from bankrmi.client import connect
from bankrmi.client.asking import ask_once
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.config import METRICS_OF_WITNESS, Configuration, split_address
from bankrmi.errors import BankError, ConfigurationError
from bankrmi.held_port import HeldPort
from bankrmi.relays import BankRelays
from bankrmi.service.declaring import Service
from bankrmi.service.machine import ServiceMachine
from bankrmi.signals import putting_off
from bankrmi.testing.served import import_path, served_as, services_of

__all__ = ["NAMESERVER", "ServiceCluster"]

NAMESERVER = "nameserver"
"""The process of the name server, with the witness in it."""

DEADLINE_S = 60.0
"""How long a condition is waited for: never a measure of speed, only of hopelessness."""

_POLL_S = 0.01
_LOG_LINES = 40
_LOG_BYTES = 1 << 16
_SIZES = (2, 3)
_BROKEN = re.compile(rb"Traceback|cannot be broken was|BrokenInvariant|bug in bankrmi")

ServiceT = TypeVar("ServiceT", bound=Service)
_OtherT = TypeVar("_OtherT", bound=Service)
_Value = TypeVar("_Value")


class ServiceCluster(Generic[ServiceT]):
    """A name server with the witness (`nameserver`), and servers (`s1`, `s2`, perhaps `s3`)."""

    def __init__(
        self,
        service: type[ServiceT] | Mapping[str, type[ServiceT]],
        *,
        servers: int = 2,
        directory: Path | None = None,
        deadline: float = DEADLINE_S,
        **settings: object,
    ) -> None:
        """`service` is a class; or several by their names, the first one first. `settings` are keys of
        config.yaml (`bankrmi.Account` alone opens with a `ledger`); `deadline` is how long it is waited for
        anything, in seconds.

        Everything is in `directory`, which is left as it is; without one, in one that is deleted at the end.
        Raises ConfigurationError if no other process could import the class.
        """
        if servers not in _SIZES:
            raise ConfigurationError(f"servers is 2 or 3, and not {servers}")
        self._services: dict[str, type[ServiceT]] = (
            {service.__name__.lower(): service} if isinstance(service, type) else dict(service)
        )
        self._serves = {name: served_as(kind) for name, kind in self._services.items()}
        ServiceMachine(services_of(service)).try_class()
        self.servers = tuple(f"s{number}" for number in range(1, servers + 1))
        self._given = directory
        self._deadline_s = deadline
        self._settings = settings
        self._processes: dict[str, Popen[bytes]] = {}
        self._ready: dict[str, int] = {}
        self._clients: list[Any] = []
        self._open = ExitStack()
        self._relays: _Relays

    # -- the context -----------------------------------------------------------------------------

    def __enter__(self) -> ServiceCluster[ServiceT]:
        """Start everything; return when all copies are in sync."""
        try:
            self._prepare()
            self.start(NAMESERVER)
            self.start(*self.servers)
            self.wait_until_in_sync()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if failure is not None:
                sys.stderr.write(self.logs())
            broken = [name for name in self._processes if _BROKEN.search(self._log_end(name))]
            if failure is None and broken:
                raise AssertionError(f"{', '.join(broken)} broke:\n{self.logs()}")
        finally:
            self._end()

    def _prepare(self) -> None:
        if self._given is None:
            self.directory = Path(
                self._open.enter_context(tempfile.TemporaryDirectory(prefix="bankrmi-test-"))
            )
        else:
            self.directory = self._given
            self.directory.mkdir(parents=True, exist_ok=True)
        names = (NAMESERVER, *self.servers)
        held = {name: HeldPort() for name in names}
        for one in held.values():
            self._open.callback(one.close)
        lines = [f"nameserver: {held[NAMESERVER].address}", "servers:"]
        lines += [f"  {name}: {held[name].address}" for name in self.servers]
        if len(self._serves) == 1:
            [(name, target)] = self._serves.items()
            lines += [f"serves: {target}", f"service: {name}"]
        else:
            lines += ["serves:", *(f"  {name}: {target}" for name, target in self._serves.items())]
        lines += [f"{key}: {_in_yaml(value)}" for key, value in self._settings.items()]
        self.path = self.directory / "config.yaml"
        self.path.write_text("\n".join(lines) + "\n")
        self.configuration: Configuration = config.load(self.path)
        self._relays = _Relays({_relayed(name): split_address(held[name].address) for name in names})

    def _end(self) -> None:
        for client in self._clients:
            client.close()
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        for descriptor in self._ready.values():
            os.close(descriptor)
        self._clients, self._ready = [], {}
        if hasattr(self, "_relays"):
            self._relays.close()
        self._open.close()

    # -- processes -------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start processes that do not run; return when each does its work."""
        for name in names:
            self._spawn(self._known(name))
        for name in names:
            self._wait_until_ready(name)

    def _known(self, name: str) -> str:
        if name not in (NAMESERVER, *self.servers):
            there = ", ".join((NAMESERVER, *self.servers))
            raise ValueError(f"there is no process {name!r}: there are {there}")
        return name

    def _spawn(self, name: str) -> None:
        if self.is_running(name):
            raise ValueError(f"{name} runs already")
        if name in self._ready:
            os.close(self._ready.pop(name))
        ours, theirs = os.pipe()
        what = [NAMESERVER] if name == NAMESERVER else ["server", name]
        command = [sys.executable, "-m", "bankrmi", "--config", str(self.path), *what]
        command += ["--behind-relay", self._relays.listens_at(_relayed(name))]
        command += ["--parent-pid", str(os.getpid()), "--ready-fd", str(theirs)]
        try:
            with self.log(name).open("ab") as log, putting_off():
                self._processes[name] = Popen(
                    command,
                    pass_fds=(theirs,),
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=_environment(),
                )
        finally:
            os.close(theirs)
        self._ready[name] = ours
        self._relays.started(_relayed(name), self._processes[name].pid)

    def _wait_until_ready(self, name: str) -> None:
        readable, _, _ = select.select([self._ready[name]], [], [], self._deadline_s)
        if not readable:
            raise AssertionError(f"{name} is not ready after {self._deadline_s:g} s\n{self.logs()}")
        if not os.read(self._ready[name], 4096):
            raise AssertionError(f"{name} ended before it was ready\n{self.logs()}")

    def is_running(self, name: str) -> bool:
        """Whether there is such a process, be it paused."""
        process = self._processes.get(self._known(name))
        return process is not None and process.poll() is None

    def kill(self, name: str) -> None:
        """`kill -9`; return when it is gone."""
        process = self._of(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """Have it end in good order; return when it has ended."""
        process = self._of(name)
        process.terminate()
        try:
            process.wait(self._deadline_s)
        except TimeoutExpired:
            raise AssertionError(f"{name} did not end in {self._deadline_s:g} s\n{self.logs()}") from None

    def pause(self, name: str) -> None:
        """Have it stand still, as SIGSTOP does; return when it does."""
        process = self._of(name)
        process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{process.pid}/stat")
        self.until(lambda: stat.read_text().rpartition(")")[2].split()[0] in "TZ", f"{name} stands still")

    def resume(self, name: str) -> None:
        """Have it go on."""
        self._of(name).send_signal(signal.SIGCONT)

    def _of(self, name: str) -> Popen[bytes]:
        if not self.is_running(name):
            raise ValueError(f"{name} does not run")
        return self._processes[name]

    # -- links -----------------------------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """From now on nothing passes between these two processes; those who call the service are not hit."""
        if one == other:
            raise ValueError(f"{one} has no link to itself")
        self._relays.cut(_relayed(self._known(one)), _relayed(self._known(other)))

    def heal(self) -> None:
        """Let everything pass again: what was held back arrives now."""
        self._relays.heal()

    # -- what they say ---------------------------------------------------------------------------

    def status(self, server: str) -> dict[str, Any] | None:
        """Return what a server says of itself; None if it does not answer within a second."""
        address = self.configuration.servers[server]
        try:
            return dict(ask_once(address, ACCOUNT_ID + server, "status", seconds=1.0, role="client"))
        except BankError:
            return None

    def _leads(self) -> tuple[str, list[str]] | None:
        """Return who leads the newest epoch, and who is in sync there."""
        told = ((name, self.status(name)) for name in self.servers if self.is_running(name))
        leading = [
            (one["epoch"], name, one["in_sync"]) for name, one in told if one and one["role"] == "primary"
        ]
        if not leading:
            return None
        _, name, in_sync = max(leading)
        return name, list(in_sync)

    @property
    def primary(self) -> str:
        """The server that leads; if there is none, it is waited for."""
        name, _ = self.until(self._leads, "a server leads")
        return name

    @property
    def standby(self) -> str:
        """A server that is in sync, and does not lead; if there is none, it is waited for."""
        return self.until(self._standbys, "a standby is in sync")[0]

    def _standbys(self) -> list[str]:
        found = self._leads()
        return [] if found is None else [name for name in found[1] if name != found[0]]

    def wait_until_in_sync(self, *servers: str) -> None:
        """Wait until exactly these are in sync; without names, all of them."""
        wanted = sorted(map(self._known, servers or self.servers))

        def are_in_sync() -> bool:
            found = self._leads()
            return found is not None and sorted(found[1]) == wanted

        self.until(are_in_sync, f"{', '.join(wanted)} are in sync")

    def until(self, condition: Callable[[], _Value | None], what: str) -> _Value:
        """Wait until the condition gives something true; return that. `what` is what an error says of it."""
        deadline = time.monotonic() + self._deadline_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"in {self._deadline_s:g} s it did not come about that {what}\n{self.logs()}"
                )
            time.sleep(_POLL_S)

    def log(self, name: str) -> Path:
        """Return the file with all that the processes of this name have logged."""
        return self.directory / f"{self._known(name)}.log"

    def logs(self) -> str:
        """Return the end of all logs."""
        parts = []
        for name in self._processes:
            lines = self._log_end(name).decode(errors="replace").splitlines()[-_LOG_LINES:]
            parts.append("\n".join([f"---- the end of what {name} logged ----", *lines, ""]))
        return "".join(parts)

    def _log_end(self, name: str) -> bytes:
        with self.log(name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
            return file.read()

    # -- calling ---------------------------------------------------------------------------------

    @overload
    def connect(self, *, timeout: float | None = None) -> ServiceT: ...
    @overload
    def connect(
        self, kind: type[_OtherT], *, service: str | None = None, timeout: float | None = None
    ) -> _OtherT: ...
    def connect(
        self, kind: type[Any] | None = None, *, service: str | None = None, timeout: float | None = None
    ) -> Any:
        """Return a client, which is closed at the end; a call gives up after `timeout` seconds.

        Of several services, of the one of this class; `service` is its name, if there are two.
        """
        called = kind or next(iter(self._services.values()))
        client = connect(called, self.configuration, timeout=timeout or self._deadline_s, service=service)
        self._clients.append(client)
        return client


class _Relays:
    """A relay before each process (see `bankrmi.relays`), in a thread with an event loop of its own."""

    def __init__(self, announced: dict[str, tuple[str, int]]) -> None:
        self._relays = BankRelays(announced)
        self._heals: list[Callable[[], None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._thread.start()

    def listens_at(self, name: str) -> str:
        return self._relays.listens_at(name)

    def started(self, name: str, pid: int) -> None:
        self._do(lambda: self._relays.started(name, pid))

    def cut(self, one: str, other: str) -> None:
        self._do(lambda: self._heals.append(self._relays.cut([(one, other), (other, one)])))

    def heal(self) -> None:
        def heal() -> None:
            while self._heals:
                self._heals.pop()()

        self._do(heal)

    def close(self) -> None:
        self._finish(self._relays.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Callable[[], None]) -> None:
        async def done() -> None:
            what()

        self._finish(done())

    def _finish(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()


def _relayed(name: str) -> str:
    """Return what a process is called by the relays."""
    return METRICS_OF_WITNESS if name == NAMESERVER else name


def _environment() -> dict[str, str]:
    """Return ours, without what would change the configuration behind its back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANKRMI_")}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": import_path()}


def _in_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
