"""The command that shows what a bank does: one of its own with clients at work, gone at the end.

Rule 1: it takes nothing from where it is started: neither a config.yaml nor BANKRMI_… in the environment can
        lead it to the data of another bank.
Rule 2: its ports are its own for as long as it lives, so that any number of these run side by side.
Rule 3: its folder goes when it ends, however it is ended; after SIGKILL, when the next one begins
        (`demo_folder`).
Rule 4: everything can be done to it that the console knows: its links have relays, and, if root runs it, each
        server's disk is a small file system of its own.
Rule 5: whoever looks on is told what may be done next, with the pid that it is done to by now.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from bankrmi import config
from bankrmi.cli.console import OfferedConsole, console_is_installed, offer_console, open_in_browser
from bankrmi.cli.demo_folder import clear_left_folders, own_folder
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.health import Status, health, leader_of
from bankrmi.cli.init import write_texts
from bankrmi.cli.invocation import SERVES_VARIABLE, Invocation, class_by_variable, say
from bankrmi.cli.new_bank import NewBank
from bankrmi.cli.small_disks import small_disks
from bankrmi.config import Configuration
from bankrmi.errors import BankError
from bankrmi.held_port import HeldPort

__all__ = ["COMMANDS"]

_LOOK_S = 0.5
_KEPT = frozenset({"BANKRMI_TRACEBACK"})
_SERVERS = ("s1", "s2")


@click.command()
@click.option(
    "--no-menu", is_flag=True, help="No menu, though there is a terminal: stay until Ctrl-C or SIGTERM."
)
@click.option("--no-browser", is_flag=True, help="Do not open the page; its address is printed.")
@click.pass_obj
def demo(invocation: Invocation, no_menu: bool, no_browser: bool) -> int:
    """Start a throw-away bank on this machine, with clients at work, to be broken.

    It is in a temporary folder, at ports of its own, and wants nothing in the folder where it is started.
    What it does is told in a line each, and how to kill its primary. Its page is opened in a browser, where
    there is a screen (and the extra bankrmi[console]), and everything can be done to it there. 4 in the
    menu, Ctrl-C, SIGTERM, or the end of the terminal ends it, and everything of it is deleted. What one that
    was killed outright (SIGKILL) has left, the next one deletes.
    """
    from bankrmi.cli.up import run

    if invocation.path is not None:
        raise click.UsageError("the demo has a configuration of its own: leave --config out")
    if class_by_variable() is not None:
        raise click.UsageError(f"the demo is that of a bank: leave `serve`, or {SERVES_VARIABLE}, out")
    for name in [name for name in os.environ if name.startswith("BANKRMI_") and name not in _KEPT]:
        del os.environ[name]  # Settings of another bank, which the processes of this one would take.
    for left in clear_left_folders():
        say(f"cleared {left}, which a demo that was killed has left")
    with (
        own_folder() as folder,
        _own_bank(folder) as (configuration, page_address),
        small_disks(configuration.data_dir / name for name in configuration.servers),
    ):
        say(f"A bank to be broken, in {folder}; it is deleted at the end.")
        console = offer_console(page_address) if console_is_installed() else None
        return run(
            replace(invocation, path=configuration.path, insecure=False),
            configuration,
            menu=sys.stdin.isatty() and not no_menu,
            restart=True,
            company=_Company(configuration, None if no_browser else console),
            console=console,
            relayed=True,
        )


@contextmanager
def _own_bank(folder: Path) -> Iterator[tuple[Configuration, str]]:
    """Write a new bank; give it, and an address for its page. All are held while the context lasts."""
    page, witness, *servers = [HeldPort() for _ in range(2 + len(_SERVERS))]
    try:
        addresses = {name: port.address for name, port in zip(_SERVERS, servers, strict=True)}
        bank = NewBank(servers=addresses, witness=witness.address, certificates=False)
        write_texts(folder, bank.texts())
        yield config.load(folder / "config.yaml"), page.address
    finally:
        for port in (page, witness, *servers):
            port.close()


class _Company:
    """Who is there while the bank runs: clients, and whoever tells the person what to do next."""

    def __init__(self, configuration: Configuration, to_be_opened: OfferedConsole | None) -> None:
        self._configuration = configuration
        self._to_be_opened = to_be_opened
        self._over = threading.Event()

    @contextmanager
    def __call__(self, report: Callable[[str], None]) -> Iterator[None]:
        from bankrmi.cli.demo_clients import DemoClients

        clients = DemoClients(self._configuration)
        try:
            with clients:
                known = self._leader()
                if known is not None:
                    report(self._first_steps(*known))
                if self._to_be_opened is not None:
                    opening = threading.Thread(target=self._open, args=(report,), name="browser", daemon=True)
                    opening.start()
                telling = (report, clients.told, known)
                threading.Thread(target=self._tell, args=telling, name="demo", daemon=True).start()
                yield
        finally:
            self._over.set()
            report(clients.told_at_the_end())

    def _open(self, report: Callable[[str], None]) -> None:
        """Open the page; a browser that takes its time keeps nobody waiting."""
        if self._to_be_opened is not None and open_in_browser(self._to_be_opened):
            report("It is opened in your browser: kill the primary there by a click.")

    def _tell(
        self,
        report: Callable[[str], None],
        clients_told: Callable[[], str],
        known: tuple[str, int] | None,
    ) -> None:
        """Say what may be done to the bank, each time another process leads it and all is well again."""
        before = known
        while not self._over.wait(_LOOK_S):
            leader, before = before, self._leader()
            # What brought it about is told by then: by whoever follows the logs, a moment after it happened.
            if leader is None or leader != before or leader == known or self._over.is_set():
                continue
            name, pid = leader
            if known is None:
                report(self._first_steps(name, pid))
            else:
                report(f"All is well again. {clients_told()} {name} leads now: kill -9 {pid}")
            known = leader

    def _leader(self) -> tuple[str, int] | None:
        """Return who leads, if all is well."""
        from bankrmi import client

        try:
            status: Status = client.overview(self._configuration)
        except BankError:
            return None
        code, _ = health(status)
        leader = leader_of(status)
        if code != ExitCode.DONE or leader is None or type(leader.get("pid")) is not int:
            return None
        return leader["server"], leader["pid"]

    def _first_steps(self, name: str, pid: int) -> str:
        bankrmi = f"{_this_program()} --config {self._configuration.path}"
        return (
            "Two clients move small amounts from account to account. In another terminal:\n"
            f"  kill -9 {pid}    # the primary, {name}\n"
            f"  {bankrmi} switchover --yes\n"
            f"  {bankrmi} status -w"
        )


def _this_program() -> str:
    """Return how another terminal finds it: by its name alone only where that leads to it."""
    return "bankrmi" if shutil.which("bankrmi") else f"{sys.executable} -m bankrmi"


COMMANDS = (demo,)
