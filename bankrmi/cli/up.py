"""The whole bank on one machine: every process of the configuration as a child, and the menu.

Rule 1: 4, the end of the input, Ctrl-C and SIGTERM stop the whole bank, and leave the view as it was.
Rule 2: a second signal does not wait for anybody.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.interruption import SIGNALS, Interrupted, what_was_under_way
from bankrmi.cli.invocation import Invocation, say
from bankrmi.cli.menu import Menu
from bankrmi.cli.overview import print_status
from bankrmi.cli.screen import Screen
from bankrmi.cli.supervisor import Child, Supervisor
from bankrmi.config import Configuration
from bankrmi.errors import ConfigurationError

__all__ = ["children_of", "run"]

START_S = 15.0
"""A bank that is not ready by then waits for something; its status says for what."""


class _Signals:
    """The first signal stops in order, the next ones at once."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._stopping = False
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # As `nohup` wants it.
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self._supervisor.kill()
            return
        self._stopping = True
        raise Interrupted(number)


def run(invocation: Invocation, configuration: Configuration, *, menu: bool, restart: bool) -> ExitCode:
    """Start the bank, stay until it shall stop, and stop it."""
    screen = Screen() if menu else None
    children = children_of(invocation, configuration, logs=_log_folder(configuration) if menu else None)
    supervisor = Supervisor(children, restart=restart, report=screen.interject if screen else say)
    try:
        with supervisor:
            _Signals(supervisor)
            return _stay(supervisor, invocation, configuration, screen)
    except KeyboardInterrupt as interruption:
        with suppress(OSError):  # The terminal may be gone.
            for line in what_was_under_way(interruption):
                say(line)
        return ExitCode.DONE


def _stay(
    supervisor: Supervisor, invocation: Invocation, configuration: Configuration, screen: Screen | None
) -> ExitCode:
    all_ready = supervisor.wait_until_settled(START_S)
    if failures := supervisor.never_started():
        # Half a bank is not what was asked for; the reasons are on the screen.
        say("The bank did not start. If it runs already, 'bankrmi menu' opens another menu.")
        return ExitCode.USAGE if ExitCode.USAGE in failures else ExitCode.ERROR
    if not all_ready:
        say("Not every process is ready yet; 'bankrmi status' and the logs say what it waits for.")
    print_status(configuration)
    if screen is not None:
        with invocation.connect(on_waiting=screen.show_waiting) as bank:
            Menu(bank, screen).run()
        return ExitCode.DONE
    say("The bank is running; Ctrl-C stops it.")
    supervisor.wait_until_over()
    return ExitCode.ERROR  # Every process has ended, and none is started again.


def _log_folder(configuration: Configuration) -> Path:
    folder = configuration.data_dir / "log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the data directory {folder} cannot be made: {error.strerror}") from None
    return folder


def children_of(
    invocation: Invocation, configuration: Configuration, *, logs: Path | None
) -> list[list[Child]]:
    """Return what to run: the name server with the witness first, then all servers at once."""
    options = ["--config", str(configuration.path)]
    options += ["--insecure"] if invocation.insecure else []
    options += ["--log-json"] if invocation.log_json else []

    def child(title: str, name: str, command: list[str], stop_signal: signal.Signals) -> Child:
        supervised = ["--parent-pid", "{parent_pid}", "--ready-fd", "{ready_fd}"]
        if logs is not None:
            supervised += ["--log-file", str(logs / f"{name}.log")]
        return Child(
            title=title,
            command=(sys.executable, "-m", "bankrmi", *options, *command, *supervised),
            # A server that gets SIGTERM changes the view to leave in good order; SIGINT ends it as it is.
            stop_signal=stop_signal,
            log=logs / f"{name}.log" if logs else None,
        )

    nameserver = child("name server and witness", "nameserver", ["nameserver"], signal.SIGTERM)
    servers = [
        child(f"server {name}", name, ["server", name], signal.SIGINT) for name in configuration.servers
    ]
    return [[nameserver], servers]
