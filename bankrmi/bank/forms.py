"""Operations as the journal keeps them: packed in msgpack, a list of (kind, account, amount).

Clients of ours send a batch so, and what they send is journalled as it is. Whatever comes packed is looked
at before anything is built of it: what it may hold is a regular language.

Rule: what `count_of` takes can be unpacked, is that many operations, and each of them could be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
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
    "packed_forms",
    "packed_operations",
]

Form = tuple[int, int, int]
"""An operation as the journal keeps it: kind, account, amount."""

WITHDRAW, DEPOSIT = 0, 1
_KINDS = {"withdraw": WITHDRAW, "deposit": DEPOSIT}

_NUMBER = rb"(?:[\x00-\x7f]|\xcc.|\xcd..|\xce....|\xcf[\x00-\x7f].......)"
_FORM = rb"(?:\x93[\x00\x01]" + _NUMBER + _NUMBER + rb")"
"""A list of three: a kind, and two whole numbers up to 2^63-1, in any length that msgpack has for them."""


@lru_cache(maxsize=256)
def _forms(count: int) -> re.Pattern[bytes]:
    return re.compile(_FORM + rb"{%d}" % count, re.DOTALL)


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


def _form(form: Any) -> Form:
    if type(form) in (list, tuple) and len(form) == 3:
        name, account, amount = form
        kind = _KINDS.get(name) if type(name) is str else None
        plain = kind is not None and type(account) is int and type(amount) is int
        if plain and 0 <= account <= LARGEST and 0 <= amount <= LARGEST:
            return kind, account, amount  # type: ignore[return-value]
    return form_of(operation_from_wire(form))


def count_of(content: bytes) -> int:
    """Return how many operations these are, packed as the journal keeps them.  Raises ValueError.

    Nothing is built of them: that takes 0.05 us for each.
    """
    head = content[:1]
    if b"\x90" <= head <= b"\x9f":
        count, begin = head[0] & 0x0F, 1
    elif head == b"\xdc":
        count, begin = int.from_bytes(content[1:3], "big"), 3
    elif head == b"\xdd":
        count, begin = int.from_bytes(content[1:5], "big"), 5
    else:
        raise ValueError("it is not a list of operations")
    if len(content) < 4 * count or not _forms(count).fullmatch(content, begin):
        raise ValueError("these are not withdrawals and deposits")
    return count


def described(form: Form) -> dict[str, Any]:
    """Return an operation of the journal in words: kind, account, amount."""
    kind, account, amount = form
    return {"kind": "withdraw" if kind == WITHDRAW else "deposit", "account": account, "amount": amount}
