"""Operations as the journal keeps them: packed in msgpack, a list of three values for each.

    [0, account, amount]        withdraw
    [1, account, amount]        deposit
    [2, from, [to, amount]]     transfer
    [3, account, 0]             open an account
    [4, account, 0]             close an account

Clients of ours send a batch so, and what they send is journalled as it is. Whatever comes packed is looked
at before anything is built of it: what it may hold is a regular language, but for one rule: nobody transfers
to himself.

Rule 1: what `look_at` takes can be unpacked, is that many operations, and each of them could be asked for.
Rule 2: withdrawals and deposits are by far the most, and are looked at by themselves: what else there is
        costs them nothing.
Rule 3: the kinds above `DEPOSIT` are not known to bankrmi 1.0 (`protocol_of`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bankrmi.bank.operations import (
    LARGEST,
    CloseAccount,
    Deposit,
    OpenAccount,
    Operation,
    Transfer,
    operation_from_wire,
)
from bankrmi.replication.record import packed, unpacked

__all__ = [
    "CLOSE",
    "DEPOSIT",
    "OPEN",
    "SINCE_PROTOCOL",
    "TRANSFER",
    "WITHDRAW",
    "Form",
    "accounts_of",
    "count_of",
    "described",
    "form_of",
    "look_at",
    "packed_form",
    "packed_forms",
    "packed_operations",
    "protocol_of",
]

Form = tuple[int, int, Any]
"""An operation as the journal keeps it: kind, account, and the amount; of a transfer (to, amount)."""

WITHDRAW, DEPOSIT, TRANSFER, OPEN, CLOSE = range(5)
_KINDS = {"withdraw": WITHDRAW, "deposit": DEPOSIT}
_WORDS = ("withdraw", "deposit", "transfer", "open_account", "close_account")

SINCE_PROTOCOL = 2
"""The version of the protocol that has the kinds above `DEPOSIT`."""

_NOT_OPERATIONS = "these are not operations"
_NUMBER = rb"(?:[\x00-\x7f]|\xcc.|\xcd..|\xce....|\xcf[\x00-\x7f].......)"
_PLAIN = rb"(?:\x93[\x00\x01]" + _NUMBER + _NUMBER + rb")"
"""A list of three: a kind, and two whole numbers up to 2^63-1, in any length that msgpack has for them."""
_TRANSFER = rb"(?:\x93\x02" + _NUMBER + rb"\x92" + _NUMBER + _NUMBER + rb")"
_OPEN_OR_CLOSE = rb"(?:\x93[\x03\x04]" + _NUMBER + rb"\x00)"


def _patterns(form: bytes) -> list[tuple[int, re.Pattern[bytes]]]:
    """Return patterns for so many at a time: a pattern keeps 165 bytes for each."""
    return [(count, re.compile(form + rb"{%d}" % count, re.DOTALL)) for count in (512, 64, 8, 1)]


_PLAIN_FORMS = _patterns(_PLAIN)
_ONE_PLAIN_FORM = re.compile(rb"\x91" + _PLAIN, re.DOTALL)
_FORMS = _patterns(rb"(?:" + rb"|".join((_PLAIN, _TRANSFER, _OPEN_OR_CLOSE)) + rb")")


def form_of(operation: Operation) -> Form:
    """Return an operation as the journal keeps it."""
    match operation:
        case Transfer(account=account, to=to, amount=amount):
            return TRANSFER, account, (to, amount)
        case OpenAccount(account=account):
            return OPEN, account, 0
        case CloseAccount(account=account):
            return CLOSE, account, 0
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
    """Return how many operations these are, packed as the journal keeps them.  Raises ValueError."""
    return look_at(content)[0]


def look_at(content: bytes) -> tuple[int, bool]:
    """Return how many operations these are, packed as the journal keeps them, and whether all are plain.

    Plain are withdrawals and deposits. Raises ValueError.

    Nothing is built of them: that takes 0.05 us for each. Of a stranger `announced` is looked at before.
    """
    if _ONE_PLAIN_FORM.fullmatch(content) is not None:  # Most are so.
        return 1, True
    count, begin = _head(content)
    left, place = (count, begin) if len(content) >= begin + 4 * count else (-1, begin)
    left, place = _matched(_PLAIN_FORMS, content, left, place)
    is_plain = left == 0
    if left > 0:
        left, place = _matched(_FORMS, content, left, place)
    if left or place != len(content):
        raise ValueError(_NOT_OPERATIONS)
    if not is_plain and any(kind == TRANSFER and account == to for kind, account, to in _payees(content)):
        raise ValueError("an account cannot transfer to itself")
    return count, is_plain


def _matched(
    patterns: Sequence[tuple[int, re.Pattern[bytes]]], content: bytes, left: int, place: int
) -> tuple[int, int]:
    """Return how many are left that these patterns do not match, and where the first of those begins."""
    for at_a_time, forms in patterns:
        while left >= at_a_time:
            found = forms.match(content, place)
            if found is None:
                break
            place = found.end()
            left -= at_a_time
    return left, place


def _payees(content: bytes) -> Iterable[tuple[int, int, int | None]]:
    for kind, account, more in unpacked(content):
        yield kind, account, more[0] if kind == TRANSFER else None


def protocol_of(content: bytes) -> int:
    """Return the oldest version of the protocol that knows all these operations, which were looked at."""
    return 1 if not content or look_at(content)[1] else SINCE_PROTOCOL


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


def accounts_of(form: Form) -> tuple[int, ...]:
    """Return the accounts that an operation is about, the one that it was asked of first."""
    kind, account, more = form
    return (account, more[0]) if kind == TRANSFER else (account,)


def described(form: Form) -> dict[str, Any]:
    """Return an operation of the journal in words: kind, account, amount; of a transfer `to` as well.

    Opening and closing an account have no amount.
    """
    kind, account, more = form
    if kind > TRANSFER:
        return {"kind": _WORDS[kind], "account": account}
    if kind == TRANSFER:
        to, amount = more
        return {"kind": _WORDS[kind], "account": account, "to": to, "amount": amount}
    return {"kind": _WORDS[kind], "account": account, "amount": more}
