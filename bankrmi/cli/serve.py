"""The command before a command: `bankrmi serve inventory:Inventory up` runs it with a class of one's own.

Rule: it is the same command, told by BANKRMI_SERVES what is replicated; so are the processes that it starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from bankrmi.cli.invocation import SERVES_VARIABLE, VOICE, Invocation
from bankrmi.config_settings import checked_served_class

__all__ = ["COMMANDS"]


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("target", metavar="MODULE:CLASS")
@click.argument(
    "command",
    metavar="[OPTIONS] COMMAND [ARGS]...",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
)
@click.pass_context
def serve(context: click.Context, target: str, command: tuple[str, ...]) -> Any:
    """Run COMMAND for a class of your own, which is replicated in the place of a bank's accounts.

    CLASS inherits from bankrmi.Service; MODULE is looked for beside the configuration first. The same goes
    without this where the configuration says `serves: MODULE:CLASS`. Of bankrmi:Account, which is the bank,
    it is what it is without this.

    \b
      bankrmi serve inventory:Inventory --config inventory.yaml up
      bankrmi serve inventory:Inventory --config inventory.yaml status
    """
    try:
        checked = checked_served_class(target)
    except ValueError as error:
        raise click.UsageError(str(error), context) from None
    root = context.find_root()
    with _served(checked):
        return root.command.main(
            [*_options(context.obj), *command],
            prog_name=root.info_name,
            standalone_mode=False,
            obj=context.meta.get(VOICE),
        )


@contextmanager
def _served(target: str) -> Iterator[None]:
    before = os.environ.get(SERVES_VARIABLE)
    os.environ[SERVES_VARIABLE] = target
    try:
        yield
    finally:
        if before is None:
            del os.environ[SERVES_VARIABLE]
        else:
            os.environ[SERVES_VARIABLE] = before


def _options(said: Invocation) -> list[str]:
    """Return the options that were said before; what is said after it counts more."""
    path = [] if said.path is None else ["--config", str(said.path)]
    return [*path, *(["--insecure"] if said.insecure else []), *(["--log-json"] if said.log_json else [])]


COMMANDS = (serve,)
