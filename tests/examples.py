"""How many examples a test of hypothesis tries that has a number of its own."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["USUAL_EXAMPLES", "examples"]

USUAL_EXAMPLES = 30
"""Of a test without a number of its own, in the default run (`conftest`)."""


def examples(count: int) -> int:
    """Return so many; in a thorough run as many times more as all others try there."""
    return count * settings().max_examples // USUAL_EXAMPLES
