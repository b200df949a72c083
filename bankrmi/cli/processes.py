"""Commands that run the bank: all of it, the name server with the witness, or one server."""

from __future__ import annotations

import difflib

import click

from bankrmi.cli.invocation import Invocation, complete_server, say
from bankrmi.config import Configuration
from bankrmi.errors import ConfigurationError

__all__ = ["COMMANDS"]

_parent_pid = click.option("--parent-pid", type=int, hidden=True, help="End when this process does.")
_ready_fd = click.option("--ready-fd", type=int, hidden=True, help="Say there when ready.")


def _warn(configuration: Configuration) -> None:
    exposed = configuration.beyond_loopback()
    if exposed:
        say(
            f"warning: {', '.join(exposed)} can be reached by others, who need not prove who they are: "
            "whoever reaches it can move money"
        )


@click.command()
@click.option(
    "--no-menu", is_flag=True, help="No menu: stay until Ctrl-C or SIGTERM, logs on standard error."
)
@click.option("--no-restart", is_flag=True, help="Report a process that died, and leave it at that.")
@click.pass_obj
def up(invocation: Invocation, no_menu: bool, no_restart: bool) -> int:
    """Start the whole bank on this machine, and open the menu.

    A process that dies is reported and started again. 4 in the menu, Ctrl-C or SIGTERM stops everything.
    """
    from bankrmi.cli.up import run

    configuration = invocation.configuration()
    _warn(configuration)
    return run(invocation, configuration, menu=not no_menu, restart=not no_restart)


@click.command()
@_parent_pid
@_ready_fd
@click.pass_obj
def nameserver(invocation: Invocation, parent_pid: int | None, ready_fd: int | None) -> int:
    """Run Pyro5's name server and the witness, in the foreground."""
    from bankrmi.nameserver import run

    configuration = invocation.configuration()
    _warn(configuration)
    return run(configuration, log_json=invocation.log_json, parent_pid=parent_pid, ready_fd=ready_fd)


@click.command()
@click.argument("name", shell_complete=complete_server)
@click.option(
    "--first",
    is_flag=True,
    help="Open the bank though not every server could be asked: they hold no journal, on your word.",
)
@_parent_pid
@_ready_fd
@click.pass_obj
def server(
    invocation: Invocation, name: str, first: bool, parent_pid: int | None, ready_fd: int | None
) -> int:
    """Run the server NAME of the configuration, in the foreground."""
    from bankrmi.server import run

    configuration = invocation.configuration()
    if name not in configuration.servers:
        raise ConfigurationError(_unknown_server(configuration, name))
    _warn(configuration)
    return run(
        configuration,
        name,
        first=first,
        log_json=invocation.log_json,
        parent_pid=parent_pid,
        ready_fd=ready_fd,
    )


def _unknown_server(configuration: Configuration, name: str) -> str:
    close = difflib.get_close_matches(name, configuration.servers, n=1)
    known = f"did you mean {close[0]}?" if close else f"there are {', '.join(configuration.servers)}"
    return f"{configuration.path} has no server {name}: {known}"


COMMANDS = (up, nameserver, server)
