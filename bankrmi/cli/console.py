"""The command that serves a page of the bank, with the buttons that break it."""

from __future__ import annotations

import asyncio
import os

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say, tell
from bankrmi.config import split_address
from bankrmi.config_settings import checked_address, is_loopback
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.parent_death import end_with_parent

__all__ = ["ADDRESS", "COMMANDS", "TOKEN_VARIABLE", "page_address", "read_console_address"]

ADDRESS = "127.0.0.1:9080"
TOKEN_VARIABLE = "BANKRMI_CONSOLE_TOKEN"  # noqa: S105 - its name
"""By which whoever starts a console tells it the token."""


def read_console_address(address: str) -> str:
    """Return where a console may listen; raises ConfigurationError if others can reach it there."""
    try:
        checked = checked_address(address)
    except ValueError as error:
        raise ConfigurationError(f"--listen: {error}") from None
    if not is_loopback(checked):
        raise ConfigurationError(
            f"--listen: {address} can be reached from other machines, and the console is for this one: "
            "listen at 127.0.0.1, and let others in by `ssh -L`"
        )
    return checked


def page_address(address: str, token: str) -> str:
    """Return what to open in a browser."""
    return f"http://{address}/#token={token}"


@click.command()
@click.option(
    "--listen", metavar="ADDRESS", default=ADDRESS, show_default=True, help="Where to serve the page."
)
@click.option("--parent-pid", type=int, hidden=True)
@click.pass_obj
def console(invocation: Invocation, listen: str, parent_pid: int | None) -> int:
    """Serve a page that shows the bank as it is, and has the buttons that break it.

    It shows who leads, who holds what, and every call; kills, freezes and stops processes that run under
    `bankrmi up` on this machine; and only what is on this machine can open it.
    """
    end_with_parent(parent_pid)
    address = read_console_address(listen)
    configuration = invocation.configuration()
    try:
        from bankrmi.console import Console
        from bankrmi.console.guard import new_token
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise OperationFailed(
            f"the console needs {error.name}, which is not installed: pip install 'bankrmi[console]'"
        ) from None
    told = os.environ.get(TOKEN_VARIABLE)
    token = told or new_token()
    host, port = split_address(address)

    def ready() -> None:
        if told is None:
            tell(page_address(address, token))
            say("Open this in a browser on this machine; Ctrl-C ends the console, and nothing else.")

    asyncio.run(Console(configuration, host, port, token).run(ready))
    return ExitCode.DONE


COMMANDS = (console,)
