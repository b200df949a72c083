"""How fast a copy is taken of a bank that serves meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bankrmi.backup.taking import BYTES_PER_SECOND
from bankrmi.cli.written_numbers import RealRange

__all__ = ["rate_option"]


def rate_option(meaning: str) -> Callable[[Any], Any]:
    """Return the option --rate, in megabytes a second."""
    return click.option(
        "--rate",
        metavar="MB/S",
        type=RealRange(min=0.01, max=10_000),
        default=BYTES_PER_SECOND / 1e6,
        show_default=True,
        help=meaning,
    )
