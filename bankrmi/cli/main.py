"""The group of all commands: what they share, and how errors become exit codes."""

from __future__ import annotations

import click

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    click.echo(f"not yet: {arguments}", err=True)
    return 1
