"""The command that serves a page of the bank, with the buttons that break it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from importlib.util import find_spec

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say, tell
from bankrmi.config import split_address
from bankrmi.config_settings import checked_address, is_loopback
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.parent_death import end_with_parent
from bankrmi.readiness import say_ready

__all__ = [
    "ADDRESS",
    "COMMANDS",
    "TOKEN_VARIABLE",
    "OfferedConsole",
    "console_is_installed",
    "offer_console",
    "open_in_browser",
]

ADDRESS = "127.0.0.1:9080"
_PACKAGES = ("starlette", "uvicorn")
_INVITATION_S = 5.0
TOKEN_VARIABLE = "BANKRMI_CONSOLE_TOKEN"  # noqa: S105 - its name
"""By which whoever starts a console tells it the token."""


def read_console_address(address: str) -> str:
    """Return where a console may listen; raises ConfigurationError if others can reach it there."""
    try:
        here = is_loopback(address)
        checked = checked_address(address) if here else address
    except ValueError as error:
        raise ConfigurationError(f"--listen: {error}") from None
    if not here:
        raise ConfigurationError(
            f"--listen: {address} can be reached from other machines, and the console is for this one: "
            "listen at 127.0.0.1, and let others in by `ssh -L`"
        )
    return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedConsole:
    """A console that `up` starts beside the bank."""

    address: str
    token: str

    @property
    def page(self) -> str:
        """What to open in a browser."""
        return page_address(self.address, self.token)


def offer_console(address: str) -> OfferedConsole:
    """Return what `up` starts; raises ConfigurationError, OperationFailed if it could not be."""
    checked = read_console_address(address)
    check_installed()
    from bankrmi.console.guard import new_token

    return OfferedConsole(address=checked, token=new_token())


def console_is_installed() -> bool:
    """Whether what the page is served with is there: it is an extra."""
    return all(find_spec(package) is not None for package in _PACKAGES)


def check_installed() -> None:
    """Raise OperationFailed if it is not."""
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise OperationFailed(
                f"the console needs {package}, which is not installed: pip install 'bankrmi[console]'"
            )


def page_address(address: str, token: str) -> str:
    """Return what to open in a browser."""
    return f"http://{address}/#token={token}"


def open_in_browser(offered: OfferedConsole) -> bool:
    """Open the page for whoever sits at a screen here, and say whether that was done.

    The browser is given an invitation: what stands on a command line, everybody on this machine can read.
    """
    sits_here = sys.stderr.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if not sits_here:
        return False
    import urllib.request  # Nobody else of the command line needs these.
    import webbrowser

    here = f"http://{offered.address}"
    request = urllib.request.Request(  # noqa: S310 - it is our own console
        f"{here}/do/invitation", b"{}", {"Authorization": f"Bearer {offered.token}"}
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(request, timeout=_INVITATION_S) as answer:
            path = json.load(answer)["path"]
        return webbrowser.open(f"{here}{path}")
    except (OSError, ValueError, webbrowser.Error):
        return False  # The address is printed all the same.


@click.command()
@click.option(
    "--listen", metavar="ADDRESS", default=ADDRESS, show_default=True, help="Where to serve the page."
)
@click.option("--parent-pid", type=int, hidden=True)
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--log-file", hidden=True, help="As all children have one; it has nothing to log.")
@click.pass_obj
def console(
    invocation: Invocation, listen: str, parent_pid: int | None, ready_fd: int | None, log_file: str | None
) -> int:
    """Serve a page that shows the bank as it is, and has the buttons that break it.

    It shows who leads, who holds what, and every call; kills, freezes and stops processes that run under
    `bankrmi up` on this machine; and only what is on this machine can open it.
    """
    del log_file
    end_with_parent(parent_pid)
    if parent_pid is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # Whoever has a log opens it again.
    address = read_console_address(listen)
    configuration = invocation.configuration()
    check_installed()
    from bankrmi.console.app import Console
    from bankrmi.console.guard import new_token

    told = os.environ.get(TOKEN_VARIABLE)
    token = told or new_token()
    host, port = split_address(address)

    def ready() -> None:
        say_ready(ready_fd, server="console", address=address)
        if told is None:
            tell(page_address(address, token))
            say("Open this in a browser on this machine; Ctrl-C ends the console, and nothing else.")

    asyncio.run(Console(configuration, host, port, token).run(ready))
    return ExitCode.DONE


COMMANDS = (console,)
