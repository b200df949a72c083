"""What `attempts` is told, and what it decides: plain values, the same for both clients and the simulator.

An attempt has a number, and goes this way; only where it says "asked" may the server have taken the request:

    Connect ──> Greeted ──> Send ──> asked: Ping, Heard, Ping, … ──> Answered | Failed | Lost
       └──── Unconnected <────┘
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bankrmi.errors import BankError

__all__ = [
    "Answered",
    "Candidate",
    "Connect",
    "Decision",
    "Failed",
    "Finish",
    "Greeted",
    "Heard",
    "Lost",
    "News",
    "Ping",
    "Send",
    "Unconnected",
    "Wait",
    "candidate_of",
]


class Candidate(NamedTuple):
    """A server that may be asked.  A tuple, for it is a key in what every call looks up many times."""

    server: str
    address: str


def candidate_of(candidates: Iterable[Candidate], server: object, address: object) -> Candidate | None:
    """Return which of these somebody means by this name: the one at his address, if there is.

    One that has moved is known at two (V12). Else the first: others may name addresses otherwise.
    """
    same = [one for one in candidates if one.server == server]
    return next((one for one in same if one.address == address), same[0] if same else None)


# What may come of an attempt.


@dataclass(frozen=True, slots=True)
class Greeted:
    """There is a connection, and the server has greeted; nothing was sent yet."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The server answered a ping: it has not answered the request, but it is there."""


@dataclass(frozen=True, slots=True)
class Unconnected:
    """There is no connection, and nothing was sent.

    `silent` if that took time: nobody refused it (the address), denied it (the server) or broke it.
    A server denies connections while it stops or has too many; so it is asked again.
    """

    reason: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke after the request, or a part of it, was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The server answered with an error."""

    error: BankError


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered."""

    value: object


News = Greeted | Heard | Unconnected | Lost | Failed | Answered


# What is to be done next.


@dataclass(frozen=True, slots=True)
class Connect:
    """Begin an attempt: have a connection to this server, a kept one or a new one; close that of `drops`."""

    number: int
    candidate: Candidate
    drops: int | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, with the same id as ever; or only ask how the server is, if this `enquires`."""

    number: int
    enquires: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for a sign of life, on the connection that has the request."""

    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until there is news, and no longer than this."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The call is over: raise `error` if there is one, else return `value`."""

    value: object = None
    error: BankError | None = None


Decision = Connect | Send | Ping | Wait | Finish
