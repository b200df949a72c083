from __future__ import annotations

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.accounts import Accounts, fingerprint
from bankrmi.bank.forms import described, form_of
from bankrmi.bank.operations import (
    LARGEST,
    Deposit,
    Operation,
    Withdraw,
    operation_from_wire,
    parse_request_id,
)
from bankrmi.errors import BrokenInvariant, InvalidRequest
from bankrmi.replication.record import Scalar
from bankrmi.storage.database import open_in_memory

NUMBERS = st.integers(0, LARGEST)
OPERATIONS = st.builds(Withdraw, NUMBERS, NUMBERS) | st.builds(Deposit, NUMBERS, NUMBERS)


def accounts() -> Accounts:
    machine = Accounts({1: 100, 2: 0, 3: LARGEST})
    machine.attach(open_in_memory())
    machine.open()
    return machine


@pytest.mark.parametrize(
    ("operation", "status", "result"),
    [
        (Withdraw(1, 100), "done", 0),
        (Withdraw(1, 101), "insufficient", 100),
        (Withdraw(2, 0), "done", 0),
        (Withdraw(9, 1), "no_account", None),
        (Deposit(9, 1), "no_account", None),
        (Deposit(3, 0), "done", LARGEST),
        (Deposit(3, 1), "too_large", LARGEST),
        (Deposit(1, LARGEST - 100), "done", LARGEST),
        (Deposit(1, LARGEST), "too_large", 100),
    ],
)
def test_what_an_operation_comes_to_and_that_it_can_be_undone(
    operation: Operation, status: str, result: Scalar
) -> None:
    machine = accounts()
    before = list(machine.export())
    outcomes = machine.apply([form_of(operation)], 1)
    assert outcomes == [result if status == "done" else (status, result)]
    machine.undo([form_of(operation)], outcomes, 0)
    assert list(machine.export()) == before


@given(operation=OPERATIONS)
def test_an_operation_crosses_the_wire_and_the_journal_unchanged(operation: Operation) -> None:
    assert operation_from_wire(list(operation.to_wire())) == operation
    words = ("kind", "account", "amount")
    assert described(form_of(operation)) == dict(zip(words, operation.to_wire(), strict=True))


@pytest.mark.parametrize("number", [-1, LARGEST + 1, 1.0, "1", True, None, [1]])
def test_what_is_no_whole_number_in_range_is_no_operation(number: object) -> None:
    for form in (["withdraw", number, 1], ["deposit", 1, number]):
        with pytest.raises(InvalidRequest, match=r"not an (account id|amount): "):
            operation_from_wire(form)


@pytest.mark.parametrize("form", [None, "withdraw", ["withdraw", 1], ["steal", 1, 1], {"withdraw": 1}, 7])
def test_what_is_no_operation_is_refused(form: object) -> None:
    with pytest.raises(InvalidRequest, match="not an operation"):
        operation_from_wire(form)


@pytest.mark.parametrize("text", ["", "a", "a:0", "a:01", ":1", "a b:1", "a:-1", "a:1\n", f"{'a' * 65}:1", 5])
def test_what_is_no_request_id_is_refused(text: object) -> None:
    with pytest.raises(InvalidRequest, match="not a request id"):
        parse_request_id(text)


def test_a_request_id_is_a_session_and_a_number() -> None:
    assert parse_request_id("Anna-1_x:42") == ("Anna-1_x", 42)


def test_a_ledger_is_known_by_its_content_whatever_the_order_of_its_lines() -> None:
    assert fingerprint({1: 2, 3: 4}) == fingerprint({3: 4, 1: 2})
    assert fingerprint({1: 2, 3: 4}) != fingerprint({1: 2, 3: 5})


def test_the_ledger_that_a_bank_opened_with_is_given_up_with_the_first_operation() -> None:
    """It may be large. And nobody opens a bank with what is left of it."""

    class Ledger(dict[int, int]):
        """A dictionary that can be seen to be gone."""

    ledger = Ledger({1: 10})
    gone = weakref.ref(ledger)
    machine = Accounts(ledger)
    machine.attach(open_in_memory())
    machine.open()
    del ledger
    assert gone() is not None
    machine.apply([form_of(Deposit(1, 1))], 1)
    assert gone() is None
    with pytest.raises(BrokenInvariant, match="before its first operation"):
        machine.open()
