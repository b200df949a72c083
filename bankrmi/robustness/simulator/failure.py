"""What a simulation ends with if a promise was broken."""

from __future__ import annotations

__all__ = ["SimulationFailure"]


class SimulationFailure(Exception):
    """A promise was broken; `rule` says which, in a sentence.

    `kind` is "safety" (something wrong happened), "liveness" (nothing happened, though it should) or "crash"
    (the code itself failed).
    """

    def __init__(self, kind: str, rule: str) -> None:
        super().__init__(rule)
        self.kind = kind
        self.rule = rule
