"""What comes back from the account object, and what of it is believed: the same for both clients.  Pure.

Rule 1: an answer is believed only if it can be the answer to what was asked: the same account, the same
        request id, as many results as operations, numbers within their range. What cannot (`Unbelievable`)
        settles nothing and teaches nothing: another server is asked, and in the end it is `InDoubt`.
Rule 2: an answer is read once: the results of a batch are used up by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, repeat
from operator import lt
from typing import Any, TypeGuard

from bankrmi.bank.operations import LARGEST, Receipt, receipts
from bankrmi.bank.outcomes import DECLINES, declined
from bankrmi.bank.statements import ENTRIES_AT_MOST, Statement, StatementEntry, Total
from bankrmi.errors import BankError, Refused, error_of
from bankrmi.rmi import Limits
from bankrmi.rmi.frames import MSGPACK
from bankrmi.rmi.values import Bounds, ValueRefused, read_value

__all__ = [
    "Unbelievable",
    "check_answer",
    "check_error",
    "is_number",
    "news_of",
    "read_outcomes",
    "read_receipt",
    "read_results",
    "read_statement",
    "read_status",
    "read_total",
]

_OUTCOMES = Bounds(Limits().server_items)
_HISTORY_AT_MOST = 200
_TEXT_AT_MOST = 300
_DIGITS_AT_MOST = 80
_MESSAGE_AT_MOST = 1000
_NO_DETAILS = frozenset({"code", "message", "happened", "self"})


class Unbelievable(Exception):
    """It cannot be the answer to what was asked; the message says why."""


def news_of(answer: object) -> tuple[str, int] | None:
    """Return (history, action id) of an answer or an error, None if it carries none (rule R5)."""
    carried = answer.details if isinstance(answer, BankError) else answer
    if isinstance(carried, dict):
        history, action_id = carried.get("history"), carried.get("action_id")
        if _is_history(history) and is_number(action_id):
            return history, action_id
    return None


def read_receipt(answer: Any, request_id: str | None, account: int) -> Receipt:
    """Return the receipt of an answered operation (or look-up, without id) on this account."""
    check_answer(answer, request_id)
    action_id = answer.get("action_id")
    if not is_number(action_id) or (action_id == 0 and request_id is not None):
        raise Unbelievable("its action id cannot be")
    if answer.get("account") != account:
        raise Unbelievable("it is about another account")
    return _receipt(answer, request_id, account, action_id)


def read_outcomes(
    answer: Any, request_id: str, accounts: list[int], payees: Sequence[int | None] | None = None
) -> list[Receipt | Refused]:
    """Return what became of each operation, on these accounts, of an answer as the journal keeps it.

    `payees` has the other account of each transfer, None for other operations; it is None if there are none.
    """
    check_answer(answer, request_id)
    packed, action_id = answer.get("outcomes"), answer.get("action_id")
    _check(type(packed) is bytes, "there are no outcomes")
    try:
        outcomes = read_value(MSGPACK, packed, _OUTCOMES)
    except ValueRefused as error:
        raise Unbelievable("its outcomes cannot be read") from error
    if not isinstance(outcomes, list) or len(outcomes) != len(accounts):
        raise Unbelievable("there are not as many outcomes as operations")
    if answer.get("by_account") is True:
        action_ids = _ids_by_account(answer, len(accounts))
    elif is_number(action_id) and action_id >= len(accounts):
        action_ids = range(action_id - len(accounts) + 1, action_id + 1)
    else:
        raise Unbelievable("its action id cannot be")
    if set(map(type, outcomes)) == {int}:
        _check(_are_numbers(outcomes), "a balance cannot be")
        return [*receipts(accounts, outcomes, action_ids, request_id)]
    return [
        _outcome(outcome, account, payee, action_id, request_id)
        for outcome, account, payee, action_id in zip(
            outcomes, accounts, payees or repeat(None, len(accounts)), action_ids, strict=True
        )
    ]


def _ids_by_account(answer: Any, count: int) -> Sequence[int]:
    """Return the action id of each operation, where they count for each account."""
    ids = answer.get("action_ids")
    if not isinstance(ids, list) or len(ids) != count or not _are_numbers(ids):
        raise Unbelievable("its action ids cannot be")
    return ids


def _outcome(
    outcome: Any, account: int, payee: int | None, action_id: int, request_id: str
) -> Receipt | Refused:
    if is_number(outcome):
        return Receipt(account, outcome, action_id, request_id)
    if not isinstance(outcome, list) or len(outcome) != (2 if payee is None else 3):
        raise Unbelievable("an outcome is neither a balance nor a reason")
    status, balance, *about = outcome
    to = {}
    if about:
        _check(about[0] in (account, payee), "it is about another account")
        account, to = about[0], {"to": payee}
    _check(isinstance(status, str) and status in DECLINES, "an operation was declined for no known reason")
    _check(balance is None or is_number(balance), "a balance cannot be")
    return declined(account, (status, balance), action_id, **to, request_id=request_id)


def read_results(answer: Any, request_id: str) -> list[Receipt | Refused]:
    """Return what became of each operation of a request, in their order, of an answer that spells it out."""
    check_answer(answer, request_id)
    forms = answer.get("results")
    _check(isinstance(forms, list) and len(forms) > 0, "there are no results")
    _check(set(map(type, forms)) == {dict}, "a result is not one")
    accounts = [form.get("account") for form in forms]
    _check(_are_numbers(accounts), "an account cannot be")
    action_ids = [form.get("action_id") for form in forms]
    if answer.get("by_account") is True:
        _check(_are_numbers(action_ids), "an action id cannot be")
    else:
        _check(_rise(action_ids), "an action id cannot be, or is out of order")
    _check(answer.get("action_id") == action_ids[-1], "the answer is not as new as its last result")
    return [
        _refusal(form, request_id) if "code" in form else _receipt(form, request_id, account, action_id)
        for form, account, action_id in zip(forms, accounts, action_ids, strict=True)
    ]


def read_total(answer: Any) -> Total:
    """Return the total of an answer."""
    check_answer(answer, None)
    digits, action_id = answer.get("total"), answer.get("action_id")
    _check(
        isinstance(digits, str)
        and len(digits) <= _DIGITS_AT_MOST
        and digits.isascii()
        and digits.isdecimal(),
        "it is no total",
    )
    _check(action_id is None or is_number(action_id), "its action id cannot be")
    return Total(total=int(digits), action_id=action_id)


def read_statement(answer: Any, account: int, since: int, limit: int) -> Statement:
    """Return the statement of an answer: the newest entries of this account above `since`, in order."""
    check_answer(answer, None)
    _check(answer.get("account") == account, "it is about another account")
    numbers = through, begins_after, action_id = [
        answer.get(name) for name in ("through", "begins_after", "action_id")
    ]
    _check(_are_numbers(numbers) and through >= since, "an action id cannot be")
    balance, forms = answer.get("balance"), answer.get("entries")
    _check(balance is None or is_number(balance), "its balance cannot be")
    _check(isinstance(forms, list) and len(forms) <= ENTRIES_AT_MOST, "there are no entries, or too many")
    entries = [_statement_entry(form) for form in forms]
    ids = [since, *(entry.action_id for entry in entries), through + 1]
    _check(all(map(lt, ids, islice(ids, 1, None))), "its entries are out of order")
    _check(through > since or through >= action_id, "it does not go on")
    none = Statement(
        account=account,
        balance=balance,
        entries=[],
        since=since,
        through=since,
        begins_after=begins_after,
        action_id=action_id,
    )
    return none.continued(replace(none, entries=entries, through=through), limit)


def _statement_entry(form: Any) -> StatementEntry:
    _check(isinstance(form, dict), "an entry is none")
    for name in ("amount", "from", "to", "balance"):
        _check(form.get(name) is None or is_number(form[name]), "a number of an entry cannot be")
    for name in ("request_id", "kind", "status", "digest"):
        text = form.get(name)
        _check(isinstance(text, str) and 0 < len(text) <= _TEXT_AT_MOST, "a text of an entry cannot be")
    _check(is_number(form.get("action_id")), "an entry has no place")
    _check(type(form.get("time_us")) is int, "an entry has no time")
    return StatementEntry.of(form)


def check_error(error: BankError, accounts: Sequence[int], request_id: str | None) -> None:
    """Raise Unbelievable if the error says what cannot be true of what was asked, of `accounts` if any."""
    said = error.details
    for name, expected in (
        ("request_id", (request_id,) if request_id else ()),
        ("account", accounts),
    ):
        if said.get(name) is not None and expected:
            _check(said[name] in expected, f"it speaks of {name} {said[name]!r:.80}")
    for name in ("action_id", "balance"):
        _check(said.get(name) is None or is_number(said[name]), f"its {name} cannot be")
    _check(said.get("history") is None or _is_history(said["history"]), "its history cannot be")


def _check(true: bool, otherwise: str) -> None:
    if not true:
        raise Unbelievable(otherwise)


def check_answer(answer: Any, request_id: str | None) -> None:
    """Raise Unbelievable if it is no answer of ours, or to another request."""
    if not isinstance(answer, dict):
        raise Unbelievable(f"it is a {type(answer).__name__}")
    if not _is_history(answer.get("history")):
        raise Unbelievable("it names no history")
    if request_id is not None and answer.get("request_id") != request_id:
        raise Unbelievable("it answers another request")


def _receipt(form: Any, request_id: str | None, account: int, action_id: int) -> Receipt:
    balance = form.get("balance")
    if not is_number(balance):
        raise Unbelievable("its balance cannot be")
    return Receipt(account, balance, action_id, request_id)


def _refusal(form: Any, request_id: str) -> Refused:
    code, message = form["code"], form.get("message")
    _check(isinstance(code, str), "its code cannot be")
    _check(form.get("balance") is None or is_number(form["balance"]), "its balance cannot be")
    _check(form.get("request_id") in (None, request_id), "it answers another request")
    details = {
        name: value
        for name, value in form.items()
        if isinstance(name, str) and name not in _NO_DETAILS and _is_detail(value)
    }
    details["request_id"] = request_id
    error = error_of(code, str(message)[:_MESSAGE_AT_MOST] if message else code, details)
    if not isinstance(error, Refused):
        raise Unbelievable("an operation was done, or refused")
    return error


def read_status(answer: Any) -> dict[str, Any]:
    """Return what a server says of itself."""
    _check(isinstance(answer, dict) and all(isinstance(name, str) for name in answer), "it is not a status")
    return dict(answer)


def is_number(value: object) -> TypeGuard[int]:
    """Whether it can be an account, an amount, a balance or an action id."""
    return type(value) is int and 0 <= value <= LARGEST


def _are_numbers(values: list[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) >= 0 and max(values) <= LARGEST


def _rise(values: list[Any]) -> bool:
    are_whole = set(map(type, values)) == {int}
    return (
        are_whole and 0 < values[0] <= values[-1] <= LARGEST and all(map(lt, values, islice(values, 1, None)))
    )


def _is_history(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _HISTORY_AT_MOST


def _is_detail(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MESSAGE_AT_MOST
    return value is None or (isinstance(value, int) and abs(value) <= LARGEST)
