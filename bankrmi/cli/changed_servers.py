"""Servers come, go and move while the bank runs: `bankrmi server add`, `remove` and `move`.

Rule: each says what happened, and what is to be done next, on which machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from bankrmi.cli.interruption import heed_the_end_of_the_terminal, said_if_lost
from bankrmi.cli.invocation import Invocation, complete_server, confirm, say, tell
from bankrmi.config import Configuration
from bankrmi.config_settings import checked_address, checked_server_name, is_loopback, one_endpoint
from bankrmi.errors import ConfigurationError
from bankrmi.foreign_text import foreign

__all__ = ["COMMANDS"]


@click.command()
@click.argument("name")
@click.argument("address")
@click.pass_obj
def add(invocation: Invocation, name: str, address: str) -> None:
    """Make NAME a server of the bank, at ADDRESS (host:port).

    It is looked for there from then on. Started there, with an empty data directory, it fetches a copy, and
    is in sync by itself.
    """
    changed, configuration = _changed(invocation, "add", name, address)
    done = f"{name} is a server of the bank now, at {address}: {_epoch(changed)}"
    with said_if_lost(done):
        tell(done)
        say("Next, on its machine, with these servers in its configuration:")
        _say_servers(changed["servers"])
        if configuration.certificates is not None:
            host = address.rpartition(":")[0]
            say(f"  bankrmi cert create-server {name} --address {host}   (and take it there)")
        say(f"  bankrmi server {name}")


@click.command()
@click.argument("name", shell_complete=complete_server)
@click.argument("address")
@click.pass_obj
def move(invocation: Invocation, name: str, address: str) -> None:
    """Have NAME live at ADDRESS (host:port) from now on.

    It is not in sync until it runs there: with its disk it catches up, with an empty one it fetches a copy.
    What runs at the address before ends by itself. A primary does not move: `bankrmi switchover` first.
    """
    changed, _ = _changed(invocation, "move", name, address)
    done = f"{name} lives at {address} now: {_epoch(changed)}"
    with said_if_lost(done):
        tell(done)
        say("What runs where it lived before ends by itself.")
        say("Next, where it lives now, with these servers in its configuration:")
        _say_servers(changed["servers"])
        say(f"  bankrmi server {name}")
        _say_how_many(changed)


@click.command()
@click.argument("name", shell_complete=complete_server)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(invocation: Invocation, name: str, yes: bool) -> None:
    """Have NAME be no server of the bank any more.

    Its process, if it runs, ends by itself; its data directory stays. A primary is not removed: `bankrmi
    switchover` first.
    """
    changed, _ = _changed(invocation, "remove", name, None, yes=yes)
    done = f"{name} is no server of the bank any more: {_epoch(changed)}"
    with said_if_lost(done):
        tell(done)
        say("If it runs, it ends by itself. Strike it from the configurations of the others; these are left:")
        _say_servers(changed["servers"])
        _say_how_many(changed)


def _changed(
    invocation: Invocation, change: str, name: str, address: str | None, *, yes: bool = True
) -> tuple[dict[str, Any], Configuration]:
    heed_the_end_of_the_terminal()
    from bankrmi import client

    configuration = invocation.configuration()
    _check(configuration, name, address)
    confirm(f"Remove {name} from the bank?", yes=yes)
    return client.change_servers(configuration, change, name, address), configuration


def _check(configuration: Configuration, name: str, address: str | None) -> None:
    """Raise ConfigurationError for what no configuration could name, before anybody is asked."""
    try:
        checked_server_name(name)
        if address is not None:
            checked_address(address)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if address is None:
        return
    taken = {"the name server": configuration.nameserver, "the witness": configuration.witness_address}
    for who, at in taken.items():
        if at is not None and one_endpoint(at) == one_endpoint(address):
            raise ConfigurationError(f"{address} is the address of {who}: only one can listen there")
    if is_loopback(address) or configuration.insecure:
        return
    if configuration.certificates is None:
        raise ConfigurationError(
            f"{address} can be reached by others, who need not prove who they are: configure certificates "
            "(`bankrmi cert`), or say --insecure if that is meant"
        )


def _epoch(changed: Mapping[str, Any]) -> str:
    view = changed["after"]
    in_sync = ", ".join(map(foreign, view["in_sync"]))
    return f"epoch {foreign(view['epoch'])}, primary {foreign(view['primary'])}, in sync {in_sync}"


def _say_servers(servers: Mapping[str, str]) -> None:
    say("  servers:")
    for name, address in servers.items():
        say(f"    {name}: {address}")


def _say_how_many(changed: Mapping[str, Any]) -> None:
    if len(changed["after"]["in_sync"]) == 1:
        say("The bank runs on a single copy now: what that one loses is lost.")


COMMANDS = (add, move, remove)
"""They stand within `bankrmi server`."""
