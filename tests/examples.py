"""How many examples a test of hypothesis tries that has a number of its own."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["USUAL_EXAMPLES", "examples"]

USUAL_EXAMPLES = 30
"""Of a test without a number of its own, in the default run (`conftest`)."""

_TIMES_IN_A_THOROUGH_RUN = 4
"""What has a number of its own is slow: it may not outlast the time that a test has."""


def examples(count: int) -> int:
    """Return so many for the default run, and more for a thorough one."""
    return count if settings().max_examples <= USUAL_EXAMPLES else _TIMES_IN_A_THOROUGH_RUN * count
