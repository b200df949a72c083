"""A whole bank as one value: two servers, the witness, a client, and what is on its way between them.

A server stands in it as the number of its state, a message as the number of its content, so two banks are the
same if the values are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "ACKNOWLEDGED",
    "ANSWERED",
    "ANSWERS",
    "ASKED",
    "BROKEN",
    "COPIES",
    "CRASHES",
    "DOWN",
    "FIELDS",
    "IDLE",
    "LATE_PROPOSALS",
    "LATE_REQUESTS",
    "LINK",
    "LOOKS",
    "LOSSES",
    "PROPOSAL",
    "READING",
    "REQUESTS",
    "RETRIES",
    "SERVER",
    "SWITCHOVERS",
    "UP",
    "VIEW",
    "BrokenPromise",
    "Label",
    "Move",
    "State",
    "TimeModel",
]

State = tuple[Any, ...]
Label = tuple[Any, ...]
"""What happened, for the trace: a word, the place of the server, and what it is about."""
Move = tuple[Label, State]

SERVER = (0, 1)
REQUESTS = (2, 3)  # On their way from this server to the other one.
LATE_REQUESTS = (4, 5)  # The same, on a connection that is gone.
ANSWERS = (6, 7)  # On their way to this server.
LINK = (8, 9)  # From this server to the other one.
READING = (10, 11)  # None, or (since epoch, views that the answer may tell).
PROPOSAL = (12, 13)  # None, ("asked", view, expected), or ("decided", view).
LOOKS = (14, 15)  # For each probe of this server: what it may have seen.
VIEW = 16
LATE_PROPOSALS = 17  # Of senders that hear nothing any more.
ANSWERED = 18  # How many of the client's requests are answered.
ASKED = 19  # None, or (request, place of the server that the client waits for, or None: ask again).
COPIES = 20  # Late requests of the client: (request, place).
ACKNOWLEDGED = 21
CRASHES, LOSSES, RETRIES, SWITCHOVERS = 22, 23, 24, 25  # How many of these may still come.
FIELDS = 26

IDLE = (None, None, None, None, (), ())

DOWN, UP, BROKEN = 0, 1, 2
"""A broken link is down, and its server has not been told."""


class TimeModel(NamedTuple):
    """How time passes: at each server by itself, a moment or long; or everywhere, by a part of a lease."""

    everywhere: bool
    moment_ms: float
    long_ms: float = 0.0


class BrokenPromise(Exception):
    """What happened breaks a promise."""

    def __init__(self, label: Label, sentence: str) -> None:
        super().__init__(sentence)
        self.label = label
        self.sentence = sentence
