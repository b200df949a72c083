"""A transfer is one operation on two accounts: all of it is done, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import (
    accounts_of,
    announced,
    described,
    form_of,
    look_at,
    packed_form,
    packed_forms,
    packed_operations,
    protocol_of,
)
from bankrmi.bank.operations import LARGEST, Deposit, Operation, Transfer, Withdraw, operation_from_wire
from bankrmi.bank.outcomes import declined_form, told
from bankrmi.bank.snapshot import Snapshot
from bankrmi.errors import (
    AccountNotFound,
    BalanceTooLarge,
    BrokenInvariant,
    InsufficientFunds,
    InvalidRequest,
)
from bankrmi.replication.record import packed, unpacked
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.model import BankModel

LEDGER = {1: 100, 2: 0, 3: LARGEST - 20}
ACCOUNTS = st.sampled_from([1, 2, 3, 9])
AMOUNTS = st.sampled_from([0, 1, 20, 21, 100, 101, LARGEST])
OPERATIONS = st.one_of(
    st.builds(Withdraw, ACCOUNTS, AMOUNTS),
    st.builds(Deposit, ACCOUNTS, AMOUNTS),
    st.tuples(ACCOUNTS, ACCOUNTS, AMOUNTS)
    .filter(lambda one: one[0] != one[1])
    .map(lambda one: Transfer(*one)),
)


def accounts() -> Accounts:
    machine = Accounts(LEDGER)
    machine.attach(open_in_memory())
    machine.open()
    return machine


@pytest.mark.parametrize(
    ("transfer", "outcome", "as_told"),
    [
        (Transfer(1, 2, 30), ("done", 70, 70, 30), 70),
        (Transfer(1, 2, 0), ("done", 100, 100, 0), 100),
        (Transfer(1, 3, 20), ("done", 80, 80, LARGEST), 80),
        (Transfer(1, 2, 101), ("insufficient", 100, 100, 0), ("insufficient", 100, 1)),
        (Transfer(1, 3, 21), ("too_large", None, 100, LARGEST - 20), ("too_large", None, 3)),
        (Transfer(9, 1, 1), ("no_account", None, None, 100), ("no_account", None, 9)),
        (Transfer(1, 9, 1), ("no_account", None, 100, None), ("no_account", None, 9)),
        (Transfer(8, 9, 1), ("no_account", None, None, None), ("no_account", None, 8)),
        (Transfer(1, 9, 500), ("no_account", None, 100, None), ("no_account", None, 9)),
    ],
)
def test_what_a_transfer_comes_to_what_its_caller_is_told_and_that_it_can_be_undone(
    transfer: Transfer, outcome: Any, as_told: Any
) -> None:
    machine, form = accounts(), form_of(transfer)
    before = list(machine.export())
    assert machine.apply([form], 1) == [outcome]
    assert BankModel(LEDGER).apply(form) == outcome
    assert told(form, outcome) == as_told
    assert (list(machine.export()) == before) == (outcome[0] != "done" or transfer.amount == 0)
    machine.undo([form], [outcome], 0)
    assert list(machine.export()) == before


@pytest.mark.parametrize(
    ("transfer", "outcome", "kind", "says"),
    [
        (Transfer(1, 2, 101), ("insufficient", 100, 100, 0), InsufficientFunds, (1, 100, 2)),
        (Transfer(1, 3, 21), ("too_large", None, 100, LARGEST - 20), BalanceTooLarge, (3, None, 3)),
        (Transfer(9, 1, 1), ("no_account", None, None, 100), AccountNotFound, (9, None, 1)),
        (Transfer(1, 9, 1), ("no_account", None, 100, None), AccountNotFound, (9, None, 9)),
    ],
)
def test_a_decline_says_which_account_it_is_about_and_never_what_the_payee_has(
    transfer: Transfer, outcome: Any, kind: type, says: tuple[Any, ...]
) -> None:
    error = declined_form(form_of(transfer), outcome, 7)
    assert type(error) is kind
    assert (error.account, error.balance, error.to) == says
    assert str(error.account) in error.message


def test_nobody_transfers_to_himself_whatever_form_it_has() -> None:
    with pytest.raises(InvalidRequest, match="account 4 cannot transfer to itself: name two accounts"):
        Transfer(4, 4, 1)
    with pytest.raises(InvalidRequest, match="to itself"):
        packed_form(("transfer", 4, 4, 1))
    for ahead in (0, 1, 600):
        content = packed([(0, 1, 1)] * ahead + [(2, 4, (4, 1))])
        with pytest.raises(ValueError, match="cannot transfer to itself"):
            look_at(content)
    content = b"\x91\x93\x02\x04\x92\xcc\x04\x01"  # The same account, written longer.
    with pytest.raises(ValueError, match="cannot transfer to itself"):
        look_at(content)


@pytest.mark.parametrize(
    "form",
    [
        ("transfer", 1, 2),
        ("transfer", 1, 2, -1),
        ("transfer", 1, 2, LARGEST + 1),
        ("transfer", 1, True, 1),
        ("transfer", 1, (2, 1), 1),
        ("transfer", 1, (2, 1)),
        ("withdraw", 1, 2, 3),
        ("deposit", 1, (2, 3)),
        (2, 1, (2, 1)),
        "transfer",
    ],
)
def test_what_is_no_operation_is_refused(form: Any) -> None:
    with pytest.raises(InvalidRequest):
        packed_forms([("withdraw", 1, 1), form])


@given(operations=st.lists(OPERATIONS, max_size=60))
def test_operations_cross_the_wire_and_the_journal_unchanged(operations: list[Operation]) -> None:
    content = packed_operations(operations)
    assert packed_forms([one.to_wire() for one in operations]) == content
    assert [operation_from_wire(list(one.to_wire())) for one in operations] == operations
    is_plain = not any(isinstance(one, Transfer) for one in operations)
    assert look_at(content) == (len(operations), is_plain)
    assert announced(content) == len(operations)
    assert protocol_of(content) == (1 if is_plain else 2)
    for operation, form in zip(operations, unpacked(content), strict=True):
        what = described(form)
        again = (what.pop("kind"), *what.values())
        assert again == operation.to_wire()
        assert accounts_of(form)[0] == operation.account


@given(content=st.binary(max_size=40), at=st.integers(0, 30), operations=st.lists(OPERATIONS, max_size=4))
def test_what_is_taken_can_be_unpacked_and_applied(
    content: bytes, at: int, operations: list[Operation]
) -> None:
    """Random bytes, and what was packed with some bytes exchanged."""
    whole = packed_operations(operations)
    for one in (content, whole[:at] + content[:2] + whole[at + 2 :]):
        try:
            count, _ = look_at(one)
        except ValueError:
            continue
        forms = unpacked(one)
        assert len(forms) == count
        for form, outcome in zip(forms, accounts().apply(forms, count), strict=True):
            assert type(outcome) is int or outcome[0] in ("done", "insufficient", "no_account", "too_large")
            assert described(form)["amount"] >= 0


@given(operations=st.lists(OPERATIONS, min_size=1, max_size=30), undone=st.integers(0, 30))
def test_whatever_is_done_and_undone_the_money_stays_and_the_sum_follows(
    operations: list[Operation], undone: int
) -> None:
    machine, model = accounts(), BankModel(LEDGER)
    begin = machine.sum()
    forms = [form_of(one) for one in operations]
    outcomes = machine.apply(forms, len(forms))
    said = [one if type(one) is tuple else ("done", one) for one in outcomes]
    assert said == [model.apply(form) for form in forms]
    assert dict(machine.export()) == model.values
    assert not list(model.audit(dict(machine.export())))
    assert (machine.sum() - begin - machine.share(forms, outcomes)) % SUM_MODULUS == 0
    left = max(0, len(forms) - undone)
    machine.undo(forms[left:], outcomes[left:], left)
    half = BankModel(LEDGER)
    for form in forms[:left]:
        half.apply(form)
    assert dict(machine.export()) == half.values


def test_reads_of_either_account_wait_for_the_transfer() -> None:
    machine = accounts()
    machine.apply([form_of(Deposit(3, 1))], 1)
    machine.apply([form_of(Transfer(1, 2, 5))], 2)
    assert [machine.changed_at(account) for account in (1, 2, 3)] == [2, 2, 1]
    machine.apply([form_of(Transfer(1, 2, 500))], 3)
    assert [machine.changed_at(account) for account in (1, 2, 3)] == [2, 2, 1]


@pytest.mark.parametrize("read", [0, 1, 2, 3])
def test_an_export_that_goes_on_shows_both_accounts_before_a_transfer(read: int) -> None:
    machine, snapshot = accounts(), Snapshot()
    machine.read(snapshot)
    shown = machine.page(snapshot, read) if read else []
    outcomes = machine.apply([form_of(Transfer(1, 2, 40)), form_of(Transfer(3, 2, 7))], 2)
    shown += machine.page(snapshot, 9)
    assert dict(shown) == LEDGER
    again = Snapshot()
    machine.read(again)
    machine.undo([form_of(Transfer(1, 2, 40)), form_of(Transfer(3, 2, 7))], outcomes, 0)
    assert dict(machine.page(again, 9)) == {1: 60, 2: 47, 3: LEDGER[3] - 7}


def test_what_does_not_hold_what_its_newest_transfer_says_is_not_undone() -> None:
    machine = accounts()
    with pytest.raises(BrokenInvariant, match="account 2 holds 0"):
        machine.undo([form_of(Transfer(1, 2, 5))], [("done", 100, 100, 5)], 0)


def test_a_machine_says_that_it_has_seen_one_until_it_forgets() -> None:
    machine = accounts()
    machine.apply([form_of(Deposit(3, 1))], 1)
    assert machine.needs_protocol == 1
    machine.apply([form_of(Transfer(1, 9, 5))], 2)  # Declined: it is in the journal all the same.
    assert machine.needs_protocol == 2
    machine.forget()
    assert machine.needs_protocol == 1
