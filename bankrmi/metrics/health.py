"""What a load balancer is told: well or not, and one line of why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Checks", "Health", "alive"]


class Health(NamedTuple):
    """200 if it is `well`, else 503; either with one line of text."""

    well: bool
    sentence: str


Checks = Mapping[str, Callable[[], Health]]
"""What may be asked of a process, by path: `/health`, `/ready`, and what a load balancer chooses by."""


def alive() -> Health:
    """That this is answered at all says that the process lives, and that its event loop goes round."""
    return Health(True, "alive")
