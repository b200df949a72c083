"""What a search goes by: its bounds, and the rules that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.bounds import Bounds
from tests.model.rules import Rule
from tests.model.state import State

__all__ = ["Laws", "Step"]

Step = tuple[tuple[str | int, ...], State]
"""What happened, in one word and numbers, and the world after it."""


@dataclass(frozen=True, slots=True)
class Laws:
    """Handed to everything that can happen."""

    bounds: Bounds
    off: frozenset[Rule] = frozenset()

    def keep(self, rule: Rule) -> bool:
        """Whether a rule is kept."""
        return rule not in self.off

    def may_act(self, server_is_writing: bool) -> bool:
        """Whether the loop goes on: unless commits are events, it waits for the disk."""
        return self.bounds.pipelined or not server_is_writing
