"""Can this be what it says it is?  Checks of single values that came from outside, before the rules see them.

Rule 1: a check returns the value, or raises ValueError with what is wrong; the sentence repeats nothing that
        a stranger could have made long, or unfit for a log.
Rule 2: what passes fits everywhere it may go: numbers into SQLite, texts into a log line; it can be hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bankrmi.replication.record import DIGEST_BYTES, Position, Record

__all__ = [
    "EPOCHS_AT_MOST",
    "AddedField",
    "CannotBeSaid",
    "Check",
    "any_of",
    "digest",
    "epoch",
    "flag",
    "identifier",
    "milliseconds",
    "names",
    "names_to_ids",
    "number",
    "optional",
    "or_none",
    "position",
    "positions",
    "protocol",
    "records_after",
    "tip",
]

Check = Callable[[Any], Any]

NUMBERS_AT_MOST = (1 << 63) - 2
"""What SQLite holds, and one more than it."""

PROTOCOLS_AT_MOST = 10_000

EPOCHS_AT_MOST = 1 << 53
"""A thousand changes of the view a second for 285 000 years; and a restore can still add to it."""

LONGEST_MS = 3_600_000
"""As in the configuration: no lease binds for longer."""

_LONGEST_TEXT = 200
_LONGEST_TAIL = 256
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class CannotBeSaid(ValueError):
    """What is meant has no form in the version of the protocol that is spoken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedField:
    """A field that came with the version `since`; in an older form it is missing, and `before` is meant.

    What means anything else has no older form: it is not said at all (`CannotBeSaid`), never left out.
    """

    since: int
    before: Any


def identifier(value: object) -> str:
    """A name or an id: printable ASCII without blanks, short."""
    if type(value) is not str or not 0 < len(value) <= _LONGEST_TEXT:
        raise ValueError(f"is not a text of 1 to {_LONGEST_TEXT} characters")
    if not _is_of_a_name(value):
        raise ValueError("holds characters that are in no name")
    return value


@lru_cache(maxsize=256)  # The same few come in every message.
def _is_of_a_name(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def number(value: object) -> int:
    """A whole number that is not negative."""
    return _between(value, 0, NUMBERS_AT_MOST)


def epoch(value: object) -> int:
    """An epoch that was won."""
    return _between(value, 1, EPOCHS_AT_MOST)


def protocol(value: object) -> int:
    """A version of what servers say to each other."""
    return _between(value, 1, PROTOCOLS_AT_MOST)


def milliseconds(value: object) -> int:
    """A length of time that a configuration could hold."""
    return _between(value, 0, LONGEST_MS)


def _between(value: object, lowest: int, highest: int) -> int:
    if type(value) is not int:
        raise ValueError("is not a whole number")
    if not lowest <= value <= highest:
        raise ValueError(f"is not between {lowest} and {highest}")
    return value


def flag(value: object) -> bool:
    """Yes or no."""
    if type(value) is not bool:
        raise ValueError("is neither true nor false")
    return value


def digest(value: object) -> bytes:
    """What stands for a history."""
    if type(value) is not bytes or len(value) != DIGEST_BYTES:
        raise ValueError(f"is not a digest of {DIGEST_BYTES} bytes")
    return value


def optional(check: Check) -> Check:
    """None, or what `check` takes."""

    def checked(value: object) -> Any:
        return None if value is None else check(value)

    return checked


def or_none(check: Check) -> Check:
    """What `check` takes, and None for anything else: for notes, by which nothing is decided."""

    def checked(value: object) -> Any:
        try:
            return check(value)
        except ValueError:
            return None

    return checked


def any_of(*values: str) -> Check:
    """One of these words."""

    def checked(value: object) -> str:
        if type(value) is not str or value not in values:
            raise ValueError(f"is none of {', '.join(values)}")
        return value

    return checked


def position(value: object) -> Position:
    """A place in a journal."""
    if not isinstance(value, list | tuple) or len(value) != len(Position._fields):
        raise ValueError("is not a position: action id, epoch, digest")
    action_id, at_epoch, its_digest = value
    if (
        type(action_id) is int
        and 0 <= action_id <= NUMBERS_AT_MOST
        and type(at_epoch) is int
        and 0 <= at_epoch <= EPOCHS_AT_MOST
        and type(its_digest) is bytes
        and len(its_digest) == DIGEST_BYTES
    ):
        return Position(action_id, at_epoch, its_digest)
    number(action_id)
    _between(at_epoch, 0, EPOCHS_AT_MOST)
    digest(its_digest)
    raise AssertionError("one of these says what is wrong")


def tip(value: object) -> Position:
    """A place in a journal; an empty copy has not even an opening state."""
    empty = Position(0, 0, b"")
    return empty if isinstance(value, list | tuple) and tuple(value) == empty else position(value)


def positions(value: object) -> list[Position]:
    """The tail of a journal: it thins out, so it is short."""
    if not isinstance(value, list | tuple) or len(value) > _LONGEST_TAIL:
        raise ValueError(f"is not a list of up to {_LONGEST_TAIL} positions")
    return [position(one) for one in value]


def names(value: object) -> frozenset[str]:
    """Servers."""
    if not isinstance(value, list | tuple | set | frozenset) or len(value) > _LONGEST_TAIL:
        raise ValueError(f"is not a list of up to {_LONGEST_TAIL} servers")
    return frozenset([identifier(one) for one in value])


def names_to_ids(value: object) -> dict[str, str]:
    """Servers, and the id of something of each."""
    if not isinstance(value, Mapping) or len(value) > _LONGEST_TAIL:
        raise ValueError(f"does not name up to {_LONGEST_TAIL} servers with an id each")
    return {identifier(name): identifier(one) for name, one in value.items()}


_record = Record._make
_TYPES = (int, int, str, int, int, bytes, bytes, int, bytes)


def records_after(previous: Position, highest_epoch: int, forms: Sequence[Any]) -> list[Record]:
    """Records that may follow `previous` in an epoch; the digests tell later whether they do.

    Called for every record that a standby gets, so it looks at all types at once, and at each value once.
    """
    if not isinstance(forms, list | tuple):
        raise ValueError("is not a list of records")
    records: list[Record] = []
    through, before = previous.action_id, previous.epoch
    for form in forms:
        if not isinstance(form, list | tuple) or tuple(map(type, form)) != _TYPES:
            raise ValueError("holds what is not a record")
        action_id, at_epoch, session, sequence, count, operations, outcomes, time_us, its_digest = form
        through += count
        if count < 1 or action_id != through or not before <= at_epoch <= highest_epoch:
            raise ValueError("holds records that do not follow one another")
        if not (
            action_id <= NUMBERS_AT_MOST
            and len(its_digest) == DIGEST_BYTES
            and 0 < len(session) <= _LONGEST_TEXT
            and 1 <= sequence <= NUMBERS_AT_MOST
            and _LEAST <= time_us <= _MOST
        ):
            raise ValueError("holds a record with a value that is too large")
        if bool(operations) != bool(outcomes) or (not operations and count != 1):
            raise ValueError("holds a record that is neither a request nor a cancelled one")
        before = at_epoch
        records.append(_record(form))
    return records
