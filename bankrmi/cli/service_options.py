"""What `simulate` and `chaos` are told of a class: what its clients do, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bankrmi.cli.invocation import Invocation, say

if TYPE_CHECKING:
    from bankrmi.robustness.services.found import FoundService
    from bankrmi.robustness.simulator.workload import MethodCounts

__all__ = ["model_option", "say_what_was_called", "served_class", "workload_option"]

_METHODS_SHOWN = 100

workload_option = click.option(
    "--workload",
    metavar="[MODULE:]NAME",
    help="Of a class: the function that says what a client does.  [default: `workload` in its module]",
)
model_option = click.option(
    "--model",
    metavar="[MODULE:]NAME",
    help="Of a class: a plain class that it is held against.  [default: the class itself, alone]",
)


def served_class(invocation: Invocation, workload: str | None, model: str | None) -> FoundService | None:
    """Return the class that is served here; None if it is a bank.  Raises ConfigurationError."""
    served = invocation.served_here()
    if served is None:
        if workload is not None or model is not None:
            raise click.UsageError(
                "--workload and --model are of a class: say `bankrmi serve MODULE:CLASS` before the command"
            )
        return None
    from bankrmi.robustness.services.found import found_service

    return found_service(*served, workload, model)


def say_what_was_called(methods: Mapping[str, MethodCounts], found: FoundService) -> None:
    """Tell what the calls of each method came to: what is never called is not tested."""
    named = {found.told_as(name): counts for name, counts in methods.items()}
    for name, counts in sorted(named.items())[:_METHODS_SHOWN]:
        say(f"  {name}: {counts}")
