"""Commands that do to a bank that `up` runs what no signal does: cut a link, slow it, keep a process down.

Rule: each lasts as long as the command: Ctrl-C, or its end however it comes, undoes it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say
from bankrmi.cli.written_numbers import RealRange
from bankrmi.config import METRICS_OF_NAMESERVER, METRICS_OF_WITNESS, Configuration
from bankrmi.control import Control
from bankrmi.errors import OperationFailed
from bankrmi.local_processes import LocalProcesses

__all__ = ["COMMANDS"]

_one_way = click.option("--one-way", is_flag=True, help="Only what goes that way; the other way is whole.")
_for = click.option(
    "--for",
    "seconds",
    metavar="SECONDS",
    type=RealRange(min=0, min_open=True),
    help="Undo it after so long; else it lasts until Ctrl-C.",
)


@click.group()
def misfortune() -> None:
    """Cut or slow a link, or keep a process down, for as long as the command lasts.

    Of a bank that `bankrmi up` runs on this machine; links need its option --relays (`bankrmi demo` has it).
    The processes are the servers by their names, and `witness`.
    """


@misfortune.command()
@click.argument("source", metavar="FROM")
@click.argument("to", metavar="TO")
@_one_way
@_for
@click.pass_obj
def cut(invocation: Invocation, source: str, to: str, one_way: bool, seconds: float | None) -> int:
    """Let nothing pass from one process to another, nor back."""
    both = "" if one_way else f", nor from {to} to {source}"
    return _last(
        invocation.configuration(),
        f"Nothing passes from {source} to {to}{both}; Ctrl-C heals it.",
        seconds,
        "cut",
        ways=_ways(source, to, one_way=one_way),
    )


@misfortune.command()
@click.argument("source", metavar="FROM")
@click.argument("to", metavar="TO")
@click.option(
    "--late-ms",
    metavar="MS",
    type=click.IntRange(min=1, max=10_000),
    default=200,
    show_default=True,
    help="How much later everything is.",
)
@_one_way
@_for
@click.pass_obj
def slow(
    invocation: Invocation, source: str, to: str, late_ms: int, one_way: bool, seconds: float | None
) -> int:
    """Let all that passes from one process to another be late, and back."""
    both = "" if one_way else f", and from {to} to {source}"
    return _last(
        invocation.configuration(),
        f"All that goes from {source} to {to}{both} is {late_ms} ms late; Ctrl-C ends it.",
        seconds,
        "slow",
        ways=_ways(source, to, one_way=one_way),
        late_ms=late_ms,
    )


@misfortune.command()
@click.argument("name")
@_for
@click.pass_obj
def down(invocation: Invocation, name: str, seconds: float | None) -> int:
    """Stop a process in good order, and do not let `up` start it again."""
    configuration = invocation.configuration()
    child = METRICS_OF_NAMESERVER if name == METRICS_OF_WITNESS else name
    processes = LocalProcesses(configuration)

    def stop() -> None:
        processes.send(name, signal.SIGTERM)

    return _last(
        configuration,
        f"{name} is asked to leave in good order, and stays away; Ctrl-C lets it come back.",
        seconds,
        "down",
        and_then=stop,
        name=child,
    )


def _ways(source: str, to: str, *, one_way: bool) -> list[tuple[str, str]]:
    return [(source, to)] if one_way else [(source, to), (to, source)]


def _last(
    configuration: Configuration,
    sentence: str,
    seconds: float | None,
    what: str,
    *,
    and_then: Callable[[], None] = lambda: None,
    **values: Any,
) -> int:
    """Have it done, say so, and stay until it shall be over."""

    async def held() -> None:
        control = Control(configuration.data_dir)
        try:
            await control.hold(what, **values)
            and_then()
            say(sentence)
            try:
                async with asyncio.timeout(seconds):
                    await control.lost()
            except TimeoutError:
                return
            raise OperationFailed("`bankrmi up` has ended, and with it what was done")
        finally:
            control.close()

    try:
        asyncio.run(held())
    except KeyboardInterrupt:
        say("It is undone.")
    return ExitCode.DONE


COMMANDS = (misfortune,)
