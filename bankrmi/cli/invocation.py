"""What all commands share: the options before the command, and the way to the bank."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bankrmi import config
from bankrmi.config import Configuration
from bankrmi.config_settings import is_bank
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.foreign_text import foreign, visible

if TYPE_CHECKING:
    from bankrmi.client import BankClient
    from bankrmi.client.service_client import AnyServiceClient

__all__ = [
    "SERVES_VARIABLE",
    "VOICE",
    "Invocation",
    "check_server",
    "check_server_now",
    "class_by_variable",
    "complete_server",
    "confirm",
    "say",
    "servers_in_file",
    "show_json",
    "tell",
]


SERVES_VARIABLE = "BANKRMI_SERVES"
"""By which `bankrmi serve` tells a command, and whatever that starts, which class is replicated."""

VOICE = "bankrmi.voice"
"""In the context's `meta`: how it is told what ends a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The options before the command."""

    path: Path | None
    insecure: bool
    log_json: bool

    def configuration(self, *, on_engine: bool = False) -> Configuration:
        """Return the configuration, which names the servers; read anew each time, and once a command.

        Raises ConfigurationError if a database keeps the accounts, unless the command is one for that
        (`on_engine`), too.
        """
        configuration = config.load(self.path, insecure=self.insecure)
        configuration.check_servers()
        if configuration.engine is not None and not on_engine:
            raise ConfigurationError(
                f"{configuration.path} names an engine, and `bankrmi {_command()}` is for servers that "
                "keep the accounts themselves: of a database its own tools are to be asked"
            )
        return configuration

    def serves_classes(self) -> bool:
        """Whether classes are served, and no bank.  Raises ConfigurationError."""
        return bool(config.load(self.path, insecure=self.insecure).services)

    def connect_to_service(self, *, timeout: float | None = None) -> AnyServiceClient:
        """Return a client that knows nothing of the class that is served."""
        from bankrmi.client.service_client import AnyServiceClient

        configuration = config.load(self.path, insecure=self.insecure)
        return AnyServiceClient(configuration, timeout=timeout, on_waiting=_say_connecting)

    def served_here(self) -> tuple[dict[str, str], Path] | None:
        """Return the classes that are served here, by service, as far as that is known, and the folder of
        their modules.

        None if it is a bank, or nobody knows.
        """
        try:
            configuration = config.load(self.path, insecure=True)
        except ConfigurationError:
            served = class_by_variable()
            return None if served is None else ({"account": served}, Path.cwd())
        services = configuration.services
        return (services, configuration.path.parent) if services else None

    def connect(
        self,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> BankClient:
        """Return a client of the bank; nothing is sent before the first operation."""
        from bankrmi import client  # Pyro5 is loaded by those commands that need it.

        configuration = config.load(self.path, insecure=self.insecure)  # The name server alone will do.
        _check_accounts(configuration.services)
        return client.connect(
            configuration,
            timeout=timeout,
            on_waiting=on_waiting or _say_connecting,
        )


def class_by_variable() -> str | None:
    """Return the class that `bankrmi serve` has named; None if that is the bank, or it has named none."""
    named = os.environ.get(SERVES_VARIABLE) or None
    return None if is_bank(named, None) else named


def _command() -> str:
    """Return what the command that runs is called, with those above it."""
    return click.get_current_context().command_path.partition(" ")[2]


def _check_accounts(served: Mapping[str, str]) -> None:
    """Raise ConfigurationError if classes are served."""
    if served:
        command, targets = click.get_current_context().info_name, list(served.values())
        kind, are = targets[0].partition(":")[2], "is" if len(targets) == 1 else "are"
        raise ConfigurationError(
            f"{', '.join(targets)} {are} served here, and `bankrmi {command}` is for the accounts of a bank: "
            f"call its methods from Python (bankrmi.connect({kind}, ...)), or on the page of "
            "`bankrmi console`"
        )


def _say_connecting() -> None:
    """Tell a person that it takes longer than usual; scripts are told nothing."""
    if sys.stderr.isatty():
        say("connecting…")


def say(text: str) -> None:
    """Print chatter, which is on standard error. Whoever wrote it, the terminal obeys none of it.

    Where nobody can read it, as when the terminal is gone, it is dropped: nothing ends for it.
    """
    with suppress(OSError):
        click.echo(visible(text, lines=True), err=True)


def tell(text: str) -> None:
    """Print what was asked for, on standard output. Whoever wrote it, the terminal obeys none of it."""
    click.echo(visible(text, lines=True))


def show_json(value: Any) -> None:
    """Print data for a program."""
    click.echo(json.dumps(value, default=foreign, skipkeys=True))


def confirm(question: str, *, yes: bool) -> None:
    """Go on if the person says so; without a terminal only `--yes` says so. Nothing may be done before."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("say --yes: there is no terminal to ask on")
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):
            raise
        agreed = False
    if not agreed:
        raise OperationFailed("nothing was done")


def check_server(configuration: Configuration, name: str) -> None:
    """Raise ConfigurationError if there is no such server."""
    if name not in configuration.servers:
        known = ", ".join(configuration.servers)
        raise ConfigurationError(f"{configuration.path} has no server {name}: there are {known}")


def check_server_now(configuration: Configuration, name: str) -> Configuration:
    """Return the configuration with the servers that there are by now (V12).

    Raises ConfigurationError if there is no such server in the bank, though the file may name it yet.
    """
    from bankrmi.client.overview import as_it_is_now

    now = as_it_is_now(configuration)
    if name not in now.servers:
        check_server(configuration, name)
        known = ", ".join(now.servers)
        raise ConfigurationError(
            f"{configuration.path} names {name}, which is no server of the bank: there are {known}"
        )
    return now


def complete_server(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the servers of the configuration, for the shell to complete."""
    return servers_in_file(context, incomplete)


def servers_in_file(context: click.Context, incomplete: str) -> list[str]:
    """Return the servers of the configuration whose names begin so."""
    options = context.find_root().params
    try:
        servers = config.load(options.get("config"), insecure=True).servers
    except ConfigurationError:
        return []
    return [name for name in servers if name.startswith(incomplete)]
