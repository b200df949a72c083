"""Is anybody there? One question with three answers: a greeting, refused, or unknown.

Rule: "refused" is a proof that nobody listens at the address, so it means ECONNREFUSED and nothing else
(design, R3). A connection that is accepted and then reset, denied or silent, is "unknown".
Assumption: nothing between the servers refuses connections in a live server's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from .addresses import Address
from .link import Link

__all__ = ["ProbeAnswer", "probe"]

ProbeAnswer = Mapping[str, Any] | Literal["refused", "unknown"]


def probe(
    address: Address,
    object_id: str,
    handshake: Mapping[str, object],
    on_answer: Callable[[ProbeAnswer], None],
    timeout: float,
) -> Link:
    """Ask once; `on_answer` is called once. The link returned needs no more care (close() gives up)."""
    greetings: list[Mapping[str, Any]] = []

    def greeted(greeting: Mapping[str, Any]) -> None:
        greetings.append(greeting)
        link.close()

    def lost(reason: str) -> None:
        if greetings:
            on_answer(greetings[0])
        else:
            on_answer("refused" if reason == "refused" else "unknown")

    link = Link(address, object_id, handshake, greeted, lost)
    link.open(timeout)
    return link
