"""The versions of what our own processes say to each other, and the one that two of them speak.

Each side states the oldest and the newest version that it speaks, in its handshake or greeting. A connection
speaks the highest that both know; both reckon it from the same two statements, so nobody has to be told.

Rule 1: one number for all that crosses between two processes of ours, or lies where another one reads it:
        messages, answers, views, copies of a database. `tests/replication/wire_forms_v<n>.json` has the forms
        of each version; what changes them without a new number fails there.
Rule 2: a version that was released never changes. What is new comes with the next number; `ADDED` of
        `replication.forms`, and of `replication.view`, say since when a field is there.
Rule 3: what a stranger states is two small whole numbers, or nothing.
"""

from __future__ import annotations

__all__ = ["NEWEST", "OLDEST", "NothingInCommon", "in_words", "spoken_with", "stated"]

OLDEST = 1
"""Raised only with a new major version of bankrmi: until then every release speaks with the one before."""

NEWEST = 2
"""1: bankrmi 1.0. 2: a view may be paused, and name servers and where they live; operators have a server
take over; copies of databases may be in format 3, whose journals are folded, or hold transfers."""

_AT_MOST = 10_000


class NothingInCommon(ValueError):
    """There is no version that both speak; the sentence says which side is older."""


def stated() -> list[int]:
    """Return what this process states: the oldest and the newest version that it speaks."""
    return [OLDEST, NEWEST]


def in_words(oldest: int, newest: int) -> str:
    """Return the range as people read it."""
    return str(newest) if oldest == newest else f"{oldest} to {newest}"


def spoken_with(theirs: object, *, they: str, we: str) -> int:
    """Return the version that is spoken with whoever states `theirs`.

    `they` and `we` are what the two are called in the sentence of NothingInCommon.
    """
    match theirs:
        case [int(oldest), int(newest)] if _is_version(oldest) and _is_version(newest) and oldest <= newest:
            pass
        case _:
            raise NothingInCommon(
                f"{they} states no range of protocol versions, as bankrmi does since 1.0: upgrade {they}"
            )
    highest = min(newest, NEWEST)
    if highest >= max(oldest, OLDEST):
        return highest
    older = they if newest < OLDEST else we
    raise NothingInCommon(
        f"{they} speaks bankrmi protocol {in_words(oldest, newest)}, {we} speaks "
        f"{in_words(OLDEST, NEWEST)}: {older} is older, upgrade {older}"
    )


def _is_version(number: int) -> bool:
    return type(number) is int and 1 <= number <= _AT_MOST
