"""Operations as the journal keeps them: packed in msgpack, a list of (kind, account, amount).

Clients of ours send a batch so, and what they send is journalled as it is. Whatever comes packed is looked
at before anything is built of it: what it may hold is a regular language.

Rule: what `count_of` takes can be unpacked, is that many operations, and each of them could be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bankrmi.bank.operations import LARGEST, Deposit, Operation, operation_from_wire
from bankrmi.replication.record import packed

__all__ = [
    "DEPOSIT",
    "WITHDRAW",
    "Form",
    "count_of",
    "described",
    "form_of",
    "packed_form",
    "packed_forms",
    "packed_operations",
]

Form = tuple[int, int, int]
"""An operation as the journal keeps it: kind, account, amount."""

WITHDRAW, DEPOSIT = 0, 1
_KINDS = {"withdraw": WITHDRAW, "deposit": DEPOSIT}

_NOT_OPERATIONS = "these are not withdrawals and deposits"
_NUMBER = rb"(?:[\x00-\x7f]|\xcc.|\xcd..|\xce....|\xcf[\x00-\x7f].......)"
_FORM = rb"(?:\x93[\x00\x01]" + _NUMBER + _NUMBER + rb")"
"""A list of three: a kind, and two whole numbers up to 2^63-1, in any length that msgpack has for them."""
_FORMS = [(count, re.compile(_FORM + rb"{%d}" % count, re.DOTALL)) for count in (512, 64, 8, 1)]
"""So many at a time: a pattern keeps 165 bytes for each, and one for every count would have to be made."""


def form_of(operation: Operation) -> Form:
    """Return an operation as the journal keeps it."""
    kind = DEPOSIT if isinstance(operation, Deposit) else WITHDRAW
    return kind, operation.account, operation.amount


def packed_operations(operations: Iterable[Operation]) -> bytes:
    """Return operations as the journal keeps them."""
    return packed([form_of(operation) for operation in operations])


def packed_forms(forms: Sequence[Any]) -> bytes:
    """Return a list of `[kind, account, amount]` as the journal keeps it.

    Batches have thousands of these: only what is not plainly right is looked at closely.

    Raises InvalidRequest if one of them is not an operation.
    """
    return packed([_form(form) for form in forms])


def packed_form(form: Any) -> bytes:
    """Return one `[kind, account, amount]` as a journal keeps a list of one.

    Raises InvalidRequest if it is not an operation.
    """
    return packed((_form(form),))


def _form(form: Any) -> Form:
    if type(form) in (list, tuple) and len(form) == 3:
        name, account, amount = form
        kind = _KINDS.get(name) if type(name) is str else None
        plain = kind is not None and type(account) is int and type(amount) is int
        if plain and 0 <= account <= LARGEST and 0 <= amount <= LARGEST:
            return kind, account, amount  # type: ignore[return-value]
    return form_of(operation_from_wire(form))


def announced(content: bytes) -> int:
    """Return how many operations these say they are, packed as the journal keeps them.  Raises ValueError."""
    return _head(content)[0]


def count_of(content: bytes) -> int:
    """Return how many operations these are, packed as the journal keeps them.  Raises ValueError.

    Nothing is built of them: that takes 0.05 us for each. Of a stranger `announced` is looked at before.
    """
    count, place = _head(content)
    left = count if len(content) >= place + 4 * count else -1
    for at_a_time, forms in _FORMS:
        while left >= at_a_time:
            found = forms.match(content, place)
            if found is None:
                raise ValueError(_NOT_OPERATIONS)
            place = found.end()
            left -= at_a_time
    if left or place != len(content):
        raise ValueError(_NOT_OPERATIONS)
    return count


def _head(content: bytes) -> tuple[int, int]:
    """Return how many values a list announces, and where the first one begins."""
    kind = content[:1]
    if b"\x90" <= kind <= b"\x9f":
        return kind[0] & 0x0F, 1
    if kind == b"\xdc":
        return int.from_bytes(content[1:3], "big"), 3
    if kind == b"\xdd":
        return int.from_bytes(content[1:5], "big"), 5
    raise ValueError("it is not a list of operations")


def described(form: Form) -> dict[str, Any]:
    """Return an operation of the journal in words: kind, account, amount."""
    kind, account, amount = form
    return {"kind": "withdraw" if kind == WITHDRAW else "deposit", "account": account, "amount": amount}
