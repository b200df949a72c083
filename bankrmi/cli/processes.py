"""Commands that run the bank: all of it, the name server with the witness, or one server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog
from click.shell_completion import CompletionItem

from bankrmi.cli import changed_servers
from bankrmi.cli.console import ADDRESS as CONSOLE_ADDRESS
from bankrmi.cli.console import offer_console
from bankrmi.cli.interruption import heed_the_end_of_the_terminal
from bankrmi.cli.invocation import Invocation, check_server, complete_server, confirm, say, servers_in_file
from bankrmi.config import METRICS_OF_NAMESERVER, METRICS_OF_WITNESS, Configuration, split_address
from bankrmi.errors import ConfigurationError, OperationFailed
from bankrmi.logging_setup import configure, log_to

if TYPE_CHECKING:
    from bankrmi.cli.up_database import OwnDatabase

__all__ = ["COMMANDS", "RUNS"]

RUNS = "(a server)"
"""What the command that runs a server goes by: no server can be called that."""

_parent_pid = click.option("--parent-pid", type=int, hidden=True, help="End when this process does.")
_log_file = click.option(
    "--log-file",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append the log to this file, which SIGHUP opens again, and which is set aside when it is large "
    "(`log` in the configuration); else it goes to standard error.",
)
_metrics = click.option(
    "--metrics",
    metavar="ADDRESS",
    help="Show figures to Prometheus, and health to load balancers, at this host:port; else where the "
    "configuration says, or nowhere.",
)
_behind_relay = click.option(
    "--behind-relay", metavar="ADDRESS", hidden=True, help="Listen there: `up` relays what comes for us."
)
_ready_fd = click.option("--ready-fd", type=int, hidden=True, help="Say there when ready.")


def _warn(configuration: Configuration, warn: Callable[[str], None] | None = None) -> None:
    """Say what is dangerous, to a person, or by `warn`."""
    tell = warn or (lambda sentence: say(f"warning: {sentence}"))
    exposed = configuration.open_to_strangers()
    if exposed:
        tell(
            f"{', '.join(exposed)} can be reached by others, who need not prove who they are: "
            "whoever reaches it can move money"
        )
    shown = configuration.metrics_beyond_loopback()
    if shown:
        tell(f"figures of the bank can be read by others, at {', '.join(shown)}")


def _begin_log(invocation: Invocation, configuration: Configuration, name: str, file: Path | None) -> None:
    """From here on all that this process says goes to its log; before, it went where it was started."""
    if file is not None:
        settings = configuration.log
        try:
            log_to(file.absolute(), file_bytes=settings.file_bytes, files_kept=settings.files_kept)
        except OSError as error:
            raise OperationFailed(f"the log {file} cannot be opened: {error.strerror}") from None
    configure(invocation.log_json, name)
    _warn(configuration, structlog.get_logger("bankrmi").warning)


def _configuration(invocation: Invocation) -> Configuration:
    """Return the configuration of processes that are started again and again."""
    configuration = invocation.configuration(on_engine=True)
    if not configuration.path.is_file():
        raise ConfigurationError(
            f"{configuration.path} is not a plain file, and whoever is started later has to read the same: "
            "write it into one"
        )
    return configuration


def _outlive_the_terminal() -> None:
    """SIGHUP ends no server, not even before it can open its log again; until here it is blocked."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@click.command()
@click.option(
    "--no-menu",
    is_flag=True,
    help="No menu: stay until Ctrl-C or SIGTERM; SIGHUP stops nothing, and opens the logs again.",
)
@click.option("--no-restart", is_flag=True, help="Report a process that died, and leave it at that.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Start over with the ledger. What there is is moved into a folder beside it, after asking.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--metrics",
    metavar="ADDRESS",
    help="Show figures and health: the name server's at this host:port, each server's at the next port.",
)
@click.option(
    "--console",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value=CONSOLE_ADDRESS,
    help=f"Serve a page of the bank, with the buttons that break it; at {CONSOLE_ADDRESS} if not said.",
)
@click.option(
    "--relays",
    is_flag=True,
    help="Put a relay before each process, so that links can be cut and slowed: from the page, or by "
    "`bankrmi misfortune`.",
)
@click.option(
    "--engine",
    type=click.Choice(["postgresql"]),
    help="Start a database, too, that keeps the accounts: PostgreSQL with a synchronous standby, under "
    "Patroni on three members of etcd, in DATA_DIR/postgresql.",
)
@click.pass_obj
def up(
    invocation: Invocation,
    no_menu: bool,
    no_restart: bool,
    fresh: bool,
    yes: bool,
    metrics: str | None,
    console: str | None,
    relays: bool,
    engine: str | None,
) -> int:
    """Start the whole bank on this machine, and open the menu (of a class that is served there is none).

    What the bank does is told in a line each; its logs are in DATA_DIR/log. A process that dies is
    reported and started again. 4 in the menu, Ctrl-C, SIGTERM, or the end of the terminal stops everything.
    """
    from bankrmi.cli.up import run

    if no_menu:
        _outlive_the_terminal()
    else:
        heed_the_end_of_the_terminal()
    if engine is not None:
        _check_up_on_engine(fresh=fresh, console=console, relays=relays)
    with nullcontext() if engine is None else _own_database(invocation) as database:
        configuration = _configuration(invocation)
        if metrics is not None:
            configuration = _with_all_metrics(configuration, metrics)
        if configuration.services:
            _check_classes(configuration)
        if configuration.engine is not None:
            _check_up_on_engine(fresh=fresh, console=console, relays=relays)
        offered = None if console is None else offer_console(console)
        _warn(configuration)
        if fresh:
            _start_over(configuration, yes=yes)
        return run(
            invocation,
            configuration,
            menu=not no_menu,
            restart=not no_restart,
            console=offered,
            relayed=relays,
            database=database,
        )


def _own_database(invocation: Invocation) -> AbstractContextManager[OwnDatabase]:
    """Return what makes, or finds, a database for the bank; raises UsageError if it has one."""
    from bankrmi.cli.up_database import own_database

    configuration = _configuration(invocation)
    if configuration.engine is not None:
        raise click.UsageError(
            f"{configuration.path}, or BANKRMI_ENGINE, names an engine already: leave --engine out"
        )
    return own_database(configuration.data_dir)


def _check_up_on_engine(*, fresh: bool, console: str | None, relays: bool) -> None:
    """Raise UsageError for what `up` does with accounts that servers keep, and cannot do with a database."""
    for option, said, why in (
        ("--fresh", fresh, "what is in it is not ours to set aside"),
        ("--console", console is not None, "nobody leads there, so there is no failover to see"),
        ("--relays", relays, "servers do not speak to each other there"),
    ):
        if said:
            raise click.UsageError(f"the accounts are in a database (engine): leave {option} out, {why}")


def _check_classes(configuration: Configuration) -> None:
    """Raise ConfigurationError if a class cannot be served: once, and not by every server."""
    from bankrmi.service.loading import load_services

    load_services(configuration.services, configuration.path.parent)


def _with_all_metrics(configuration: Configuration, first: str) -> Configuration:
    """Return the same, with the figures of all processes: at the port of `first`, and at those after it."""
    try:
        _, port = split_address(first)
    except ValueError as error:
        raise ConfigurationError(f"--metrics: {error}") from None
    host = first.rpartition(":")[0]
    for place, name in enumerate((METRICS_OF_NAMESERVER, *configuration.servers)):
        configuration = configuration.with_metrics(name, f"{host}:{port + place}")
    return configuration


def _start_over(configuration: Configuration, *, yes: bool) -> None:
    """Set aside what the bank holds, if the person says so; refuse while it runs."""
    from bankrmi.cli.starting_over import folders_of, set_aside
    from bankrmi.server.data_directory import ledger_of
    from bankrmi.service.loading import load_served

    ledger = ledger_of(configuration, load_served(configuration))
    if ledger is not None:  # Before anything is moved: with a broken one there is no starting over.
        ledger.balances()
    if configuration.serves is None:
        what, begins_with = "All accounts, and all that was ever done with them,", str(configuration.ledger)
    else:
        what, begins_with = "The state of the service, and all that was ever done with it,", "its `create`"
    folders = folders_of(configuration)
    if not folders:
        return
    names = ", ".join(str(folder) for folder in folders)
    say(f"{what} {'are' if configuration.serves is None else 'is'} in {names}.")
    confirm(f"Set all of that aside, and start over with {begins_with}?", yes=yes)
    say(f"It is in {set_aside(configuration)} now: delete that when you do not need it any more.")


@click.command()
@_metrics
@_log_file
@_parent_pid
@_ready_fd
@_behind_relay
@click.pass_obj
def nameserver(
    invocation: Invocation,
    metrics: str | None,
    log_file: Path | None,
    parent_pid: int | None,
    ready_fd: int | None,
    behind_relay: str | None,
) -> int:
    """Run Pyro5's name server and the witness, in the foreground."""
    _outlive_the_terminal()
    configuration = _configuration(invocation)
    if metrics is not None:
        configuration = configuration.with_metrics(METRICS_OF_NAMESERVER, metrics)
    if behind_relay is not None:
        configuration = configuration.behind_relay(METRICS_OF_WITNESS, behind_relay)
    _begin_log(invocation, configuration, "nameserver", log_file)
    from bankrmi.nameserver import run

    return run(
        configuration,
        log_json=invocation.log_json,
        parent_pid=parent_pid,
        ready_fd=ready_fd,
        metrics=metrics,
    )


class _Runs(click.Command):
    """What `bankrmi server NAME` is; in its usage it goes by that."""

    def make_context(
        self,
        info_name: str | None,  # noqa: ARG002
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        above = None if parent is None else parent.parent
        return super().make_context("server", args, parent=above, **extra)


class _ServerGroup(click.Group):
    """`bankrmi server add ...` is a command; `bankrmi server NAME ...` runs the server of that name."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        is_ours = args and (args[0] in self.commands or args[0] in context.help_option_names)
        return super().parse_args(context, args if is_ours else [RUNS, *args])

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        names = servers_in_file(context, incomplete)
        return [*map(CompletionItem, names), *super().shell_complete(context, incomplete)]


@click.group(cls=_ServerGroup, subcommand_metavar="NAME [OPTIONS] | COMMAND [ARGS]...")
def server() -> None:
    """Run the server NAME of the configuration, or change which servers there are.

    `bankrmi server NAME` runs it, in the foreground (`bankrmi server NAME --help` has its options). The
    commands change the bank while it runs.
    """


@server.command(RUNS, cls=_Runs, hidden=True)
@click.argument("name", shell_complete=complete_server)
@click.option(
    "--first",
    is_flag=True,
    help="Open a new bank without the servers that do not answer: they hold no journal, on your word.",
)
@_metrics
@_log_file
@_parent_pid
@_ready_fd
@_behind_relay
@click.pass_obj
def run_server(
    invocation: Invocation,
    name: str,
    first: bool,
    metrics: str | None,
    log_file: Path | None,
    parent_pid: int | None,
    ready_fd: int | None,
    behind_relay: str | None,
) -> int:
    """Run the server NAME of the configuration, in the foreground."""
    _outlive_the_terminal()
    configuration = _configuration(invocation)
    check_server(configuration, name)
    if metrics is not None:
        configuration = configuration.with_metrics(name, metrics)
    if behind_relay is not None:
        configuration = configuration.behind_relay(name, behind_relay)
    _begin_log(invocation, configuration, name, log_file)
    if configuration.engine is not None:
        return _run_on_engine(
            configuration, name, log_json=invocation.log_json, parent_pid=parent_pid, ready_fd=ready_fd
        )
    from bankrmi.server import run

    return run(
        configuration,
        name,
        first=first,
        log_json=invocation.log_json,
        parent_pid=parent_pid,
        ready_fd=ready_fd,
    )


def _run_on_engine(configuration: Configuration, name: str, **options: Any) -> int:
    """Run a server whose accounts are in a database; what speaks to that is an extra."""
    try:
        from bankrmi.engine import run
    except ImportError as missing:
        raise ConfigurationError(
            f"{configuration.path} names an engine, and {missing.name} is not installed: "
            "pip install 'bankrmi[postgresql]'"
        ) from None
    return run(configuration, name, **options)


for _command in changed_servers.COMMANDS:
    server.add_command(_command)

COMMANDS = (up, nameserver, server)
