"""The whole bank on one machine: every process of the configuration as a child, and the menu.

Rule 1: 4, the end of the input, Ctrl-C and SIGTERM stop the whole bank, and leave the view as it was.
Rule 2: a second signal does not wait for anybody.
Rule 3: what the bank does is told in a line each (`narration`), with a menu and without; its logs are files.
Rule 4: with relays, what goes on between the processes can be cut: each listens elsewhere, and `up` where
        it is announced.
Rule 5: SIGHUP says that the terminal is gone, and with it whoever uses the menu: the bank stops. Without a
        menu it ends nothing: it is passed on, and every process opens its log file again. But the bank of a
        demonstration is no service: it stops.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from bankrmi.cli.console import TOKEN_VARIABLE, OfferedConsole
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.interruption import Interrupted, what_was_under_way
from bankrmi.cli.invocation import Invocation, say
from bankrmi.cli.logs import FollowedLog, read_line
from bankrmi.cli.menu import Menu
from bankrmi.cli.narration import Narrator
from bankrmi.cli.occupied import who_has_the_ports
from bankrmi.cli.overview import print_status
from bankrmi.cli.screen import Screen
from bankrmi.cli.supervisor import Child, Supervisor
from bankrmi.cli.up_control import UpControl, make_relays
from bankrmi.config import METRICS_OF_NAMESERVER, METRICS_OF_WITNESS, Configuration
from bankrmi.errors import ConfigurationError
from bankrmi.relays import BankRelays
from bankrmi.signals import HEEDED
from bankrmi.storage.database import make_directory
from bankrmi.storage.place import make_private

__all__ = ["Company", "children_of", "run"]

FOLLOW_S = 0.2

START_S = 15.0
"""A bank that is not ready by then waits for something; its status says for what."""


class _Signals:
    """The first signal stops in order, the next ones at once; but SIGHUP where it ends nothing."""

    def __init__(self, supervisor: Supervisor, *, outlives_terminal: bool) -> None:
        self._supervisor = supervisor
        self.stopping = False
        self._first: Interrupted | None = None
        for number in HEEDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # As `nohup` wants it.
                signal.signal(number, self._on_signal)
        if outlives_terminal:
            signal.signal(signal.SIGHUP, self._pass_on)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._supervisor.pass_on(signal.Signals(number))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            self._supervisor.kill()
            return
        self.stopping = True
        self._first = Interrupted(number)
        raise self._first

    def heed(self) -> None:
        """Raise the first signal again: an error on its way hides it, and so may Python itself."""
        if self._first is not None:
            raise self._first


class _Narration:
    """A thread that follows the logs of the children, and tells what is worth it."""

    def __init__(self, service: str, logs: Path, report: Callable[[str], None]) -> None:
        self._narrator = Narrator(service)
        self._folder = logs
        self._logs: dict[str, FollowedLog] = {}
        self._report = report
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="narration", daemon=True)

    def died(self, child: Child) -> None:
        """Note when a child ended."""
        self._narrator.died(child.name, time.time())

    def is_up(self) -> None:
        """What happens from now on is told: the bank has started."""
        self._narrator.up_since_s = time.time()

    def __enter__(self) -> _Narration:
        self._thread.start()
        return self

    def follow(self, names: Iterable[str]) -> None:
        """Follow the logs of these children, from their ends on."""
        self._logs = {name: FollowedLog(self._folder / f"{name}.log") for name in names}

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for log in self._logs.values():
            log.close()

    def _follow(self) -> None:
        while not self._over.wait(FOLLOW_S):
            new = [(name, line) for name, log in self._logs.items() for line in log.new_lines()]
            if new:  # Another may lead before the end of a process is noticed, which is told first.
                self._over.wait(FOLLOW_S)
            for name, line in new:
                told = read_line(line)
                sentence = self._narrator.take(name, told) if told is not None else None
                if sentence is not None:
                    self._report(sentence)


Company = Callable[[Callable[[str], None]], AbstractContextManager[None]]
"""Who is there while the bank runs, and is gone before it stops; it is given what tells a person a line."""


def run(
    invocation: Invocation,
    configuration: Configuration,
    *,
    menu: bool,
    restart: bool,
    company: Company | None = None,
    console: OfferedConsole | None = None,
    relayed: bool = False,
) -> int:
    """Start the bank, stay until it shall stop, and stop it.

    In `company` it is no service: it ends with the terminal, with a menu and without.
    """
    screen = Screen() if menu and configuration.serves is None else None
    report = screen.interject if screen else say
    logs = _log_folder(configuration)
    relays = make_relays(configuration) if relayed else None
    children = children_of(invocation, configuration, logs=logs, console=console, relays=relays)
    narration = _Narration(configuration.service, logs, report)
    narration.follow(child.name for group in children for child in group)
    supervisor = Supervisor(
        children,
        restart=restart,
        report=report,
        on_start=lambda child, pid: control.started(child.name, pid),
        on_end=narration.died,
    )
    control = UpControl(
        configuration,
        relays,
        hold_down=supervisor.hold_down if restart else None,
        let_go=supervisor.let_go,
        warn=report,
    )
    try:
        with control, supervisor:
            signals = _Signals(supervisor, outlives_terminal=not menu and company is None)
            try:
                with narration:
                    if (code := _start(supervisor, configuration)) is not None:
                        return code
                    signals.heed()
                    narration.is_up()
                    if console is not None:
                        say(f"See it, and break it, in a browser on this machine: {console.page}")
                    with company(report) if company is not None else nullcontext():
                        return _stay(supervisor, invocation, configuration, screen)
            finally:
                signals.stopping = True
                say(f"Stopping the {_what(configuration)}…")
    except KeyboardInterrupt as interruption:
        for line in what_was_under_way(interruption):
            say(line)
        return ExitCode.DONE
    finally:
        say(f"The {_what(configuration)} has stopped.")


def _start(supervisor: Supervisor, configuration: Configuration) -> ExitCode | None:
    """Return None once the bank runs, and its status is printed; else an exit code, and it was said why."""
    all_ready = supervisor.wait_until_settled(START_S)
    if failures := supervisor.never_started():
        # Half a bank is not what was asked for; the reasons are on the screen.
        supervisor.stop()
        say(f"The {_what(configuration)} did not start.")
        for sentence in who_has_the_ports(configuration):
            say(sentence)
        return ExitCode.USAGE if ExitCode.USAGE in failures else ExitCode.ERROR
    if not all_ready:
        say("Not every process is ready yet; 'bankrmi status' and the logs say what it waits for.")
    with suppress(OSError):  # Nobody may read that, and the bank goes on.
        print_status(configuration)
    return None


def _stay(
    supervisor: Supervisor, invocation: Invocation, configuration: Configuration, screen: Screen | None
) -> ExitCode:
    """Open the menu, or wait until nothing is left to wait for; return the exit code."""
    if screen is None:
        what, logs = _what(configuration), configuration.data_dir / "log"
        say(f"The {what} is running, its logs are in {logs}; Ctrl-C stops it.")
        if configuration.serves is not None:
            say(_how_to_connect(configuration))
        supervisor.wait_until_over()
        return ExitCode.ERROR  # Every process has ended, and none is started again.
    try:
        with invocation.connect(on_waiting=screen.show_waiting) as bank:
            Menu(bank, screen).run()
    except KeyboardInterrupt as interruption:
        for line in what_was_under_way(interruption):
            say(line)
    return ExitCode.DONE


def _what(configuration: Configuration) -> str:
    return "bank" if configuration.serves is None else "service"


def _how_to_connect(configuration: Configuration) -> str:
    """Return how a program calls what is served."""
    path, services = configuration.path, configuration.services
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    lines = ["To call it:" if len(services) == 1 else "To call them:"]
    imports, connects = ["import bankrmi"], []
    targets = list(services.values())
    for service, target in services.items():
        module, _, name = target.partition(":")
        which = f', service="{service}"' if targets.count(target) > 1 else ""
        variable = name.lower() if len(services) == 1 else service.replace("-", "_")
        imports.append(f"from {module} import {name}")
        connects.append(f'{variable} = bankrmi.connect({name}, "{near}"{which})')
    imported = "; ".join(dict.fromkeys(imports))
    return "\n".join([*lines, *(f"  >>> {line}" for line in (imported, *connects))])


def _log_folder(configuration: Configuration) -> Path:
    folder = configuration.data_dir / "log"
    try:
        make_directory(folder)
        make_private(folder, folder.glob("*.log*"))
    except OSError as error:
        raise ConfigurationError(f"the data directory {folder} cannot be made: {error.strerror}") from None
    return folder


def children_of(
    invocation: Invocation,
    configuration: Configuration,
    *,
    logs: Path,
    console: OfferedConsole | None = None,
    relays: BankRelays | None = None,
) -> list[list[Child]]:
    """Return what to run: the name server with the witness, then all servers at once, then a console."""
    options = ["--config", str(configuration.path)]
    options += ["--insecure"] if invocation.insecure else []
    options += ["--log-json"] if invocation.log_json else []

    def child(title: str, name: str, command: list[str], stop_signal: signal.Signals) -> Child:
        supervised = ["--parent-pid", "{parent_pid}", "--ready-fd", "{ready_fd}"]
        supervised += ["--log-file", str(logs / f"{name}.log")]
        if name in configuration.metrics:  # Of the command line, perhaps: children read the file alone.
            command = [*command, "--metrics", configuration.metrics[name]]
        relayed_as = METRICS_OF_WITNESS if name == METRICS_OF_NAMESERVER else name
        if relays is not None and relayed_as in relays.names:
            command = [*command, "--behind-relay", relays.listens_at(relayed_as)]
        return Child(
            name=name,
            title=title,
            command=(sys.executable, "-m", "bankrmi", *options, *command, *supervised),
            # A server that gets SIGTERM changes the view to leave in good order; SIGINT ends it as it is.
            stop_signal=stop_signal,
            log=logs / f"{name}.log",
        )

    title = "name server and witness" if configuration.witness_address is not None else "name server"
    nameserver = child(title, "nameserver", ["nameserver"], signal.SIGTERM)
    servers = [
        child(f"server {name}", name, ["server", name], signal.SIGINT) for name in configuration.servers
    ]
    if console is None:
        return [[nameserver], servers]
    page = child("the console", "console", ["console", "--listen", console.address], signal.SIGTERM)
    return [[nameserver], servers, [replace(page, variables={TOKEN_VARIABLE: console.token}, looks_on=True)]]
