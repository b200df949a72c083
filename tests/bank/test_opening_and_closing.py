"""Accounts come, at 0, and go, at 0; what is in the table and what is only in memory show one state."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import described, form_of, look_at, packed_forms, packed_operations, protocol_of
from bankrmi.bank.operations import (
    LARGEST,
    CloseAccount,
    Deposit,
    OpenAccount,
    Operation,
    Transfer,
    Withdraw,
    operation_from_wire,
)
from bankrmi.bank.outcomes import declined_form
from bankrmi.bank.snapshot import Snapshot
from bankrmi.errors import AccountExists, AccountNotEmpty, AccountNotFound, BrokenInvariant, InvalidRequest
from bankrmi.replication.record import unpacked
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.model import BankModel

LEDGER = {1: 100, 2: 0, 5: 0, 9: 7}
ACCOUNTS = st.integers(0, 10)
AMOUNTS = st.sampled_from([0, 1, 7, 100])
OPERATIONS = st.one_of(
    st.builds(Withdraw, ACCOUNTS, AMOUNTS),
    st.builds(Deposit, ACCOUNTS, AMOUNTS),
    st.builds(OpenAccount, ACCOUNTS),
    st.builds(CloseAccount, ACCOUNTS),
    st.tuples(ACCOUNTS, ACCOUNTS, AMOUNTS)
    .filter(lambda one: one[0] != one[1])
    .map(lambda one: Transfer(*one)),
)


def accounts() -> Accounts:
    machine = Accounts(LEDGER)
    machine.attach(open_in_memory())
    machine.open()
    return machine


def said(outcomes: list[Any]) -> list[Any]:
    return [one if type(one) is tuple else ("done", one) for one in outcomes]


@pytest.mark.parametrize(
    ("operation", "outcome", "after"),
    [
        (OpenAccount(3), 0, 0),
        (OpenAccount(LARGEST), 0, 0),
        (OpenAccount(2), ("exists", 0), 0),
        (OpenAccount(1), ("exists", 100), 100),
        (CloseAccount(2), 0, None),
        (CloseAccount(1), ("not_empty", 100), 100),
        (CloseAccount(3), ("no_account", None), None),
    ],
)
def test_what_it_comes_to_and_that_it_can_be_undone(operation: Operation, outcome: Any, after: Any) -> None:
    machine, form = accounts(), form_of(operation)
    assert machine.apply([form], 1) == [outcome]
    assert BankModel(LEDGER).apply(form) == (outcome if type(outcome) is tuple else ("done", outcome))
    assert machine.read(operation.account) == after
    machine.undo([form], [outcome], 0)
    assert dict(machine.export()) == LEDGER


@pytest.mark.parametrize(
    ("operation", "outcome", "kind"),
    [
        (OpenAccount(1), ("exists", 100), AccountExists),
        (CloseAccount(1), ("not_empty", 100), AccountNotEmpty),
        (CloseAccount(3), ("no_account", None), AccountNotFound),
    ],
)
def test_a_decline_names_the_account(operation: Operation, outcome: Any, kind: type) -> None:
    error = declined_form(form_of(operation), outcome, 7)
    assert type(error) is kind
    assert error.account == operation.account
    assert str(operation.account) in error.message


@pytest.mark.parametrize(
    "form", [("open_account",), ("close_account", 1, 0), ("open_account", -1), ("open", 1)]
)
def test_what_is_no_operation_is_refused(form: Any) -> None:
    with pytest.raises(InvalidRequest):
        packed_forms([form])


@pytest.mark.parametrize(
    "content", [b"\x91\x93\x03\x01\x01", b"\x91\x93\x05\x01\x00", b"\x91\x93\x04\x01\xcc\x00"]
)
def test_what_is_packed_otherwise_is_refused(content: bytes) -> None:
    """There is no amount; so there is one form for each, and a retry has the same."""
    with pytest.raises(ValueError, match="these are not operations"):
        look_at(content)


@given(operations=st.lists(OPERATIONS, max_size=30))
def test_operations_cross_the_wire_and_the_journal_unchanged(operations: list[Operation]) -> None:
    content = packed_operations(operations)
    assert packed_forms([one.to_wire() for one in operations]) == content
    assert [operation_from_wire(list(one.to_wire())) for one in operations] == operations
    is_plain = all(isinstance(one, Withdraw | Deposit) for one in operations)
    assert look_at(content) == (len(operations), is_plain)
    assert protocol_of(content) == (1 if is_plain else 2)
    words = [described(form) for form in unpacked(content)]
    assert [(one.pop("kind"), *one.values()) for one in words] == [one.to_wire() for one in operations]


def test_an_account_that_is_closed_and_one_that_is_opened_are_read_so_before_and_after_they_are_written() -> (
    None
):
    machine = accounts()
    machine.apply([form_of(CloseAccount(2)), form_of(OpenAccount(3)), form_of(Deposit(3, 4))], 3)
    for _ in range(2):
        assert (machine.read(2), machine.read(3)) == (None, 4)
        assert dict(machine.export()) == {1: 100, 3: 4, 5: 0, 9: 7}
        machine.flush()
    machine.forget()
    assert dict(machine.export()) == {1: 100, 3: 4, 5: 0, 9: 7}


def test_reads_of_it_wait_for_its_opening_and_its_closing() -> None:
    machine = accounts()
    machine.apply([form_of(OpenAccount(3))], 1)
    machine.apply([form_of(CloseAccount(2))], 2)
    assert [machine.changed_at(account) for account in (2, 3)] == [2, 1]
    machine.flush()
    assert [machine.changed_at(account) for account in (2, 3)] == [2, 1]


def test_a_closed_account_with_another_newest_operation_is_not_undone() -> None:
    machine = accounts()
    with pytest.raises(BrokenInvariant, match="account 2 holds 0"):
        machine.undo([form_of(CloseAccount(2))], [0], 0)
    with pytest.raises(BrokenInvariant, match="account 1 holds 100"):
        machine.undo([form_of(OpenAccount(1))], [0], 0)


# -- whatever is done, in whatever order -----------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.lists(OPERATIONS, min_size=1, max_size=6),
        st.sampled_from(["flush", "undo", "page", "look"]),
    ),
    max_size=25,
)


@given(steps=STEPS, size=st.integers(1, 4), begins=st.integers(0, 10))
def test_states_exports_and_sums_are_those_of_a_dictionary(steps: list[Any], size: int, begins: int) -> None:
    """A snapshot that goes on shows its moment, whatever is opened, closed, undone or written meanwhile."""
    machine, model = accounts(), BankModel(LEDGER)
    done: list[tuple[list[Any], list[Any], dict[int, int], int]] = []
    snapshot, moment, shown = Snapshot(), None, list[tuple[int, int]]()
    added, opening = 0, machine.sum()
    for number, step in enumerate([*steps, "look"], 1):
        if number > begins and moment is None:
            machine.read(snapshot)
            moment = dict(model.values)
        if isinstance(step, list):
            forms = [form_of(one) for one in step]
            before = dict(model.values)
            outcomes = machine.apply(forms, number)
            assert said(outcomes) == [model.apply(form) for form in forms]
            share = machine.share(forms, outcomes)
            added += share
            done.append((forms, outcomes, before, share))
        elif step == "flush":
            machine.flush()
        elif step == "undo" and done:
            forms, outcomes, before, share = done.pop()
            machine.undo(forms, outcomes, number)
            model.values.clear()
            model.values.update(before)
            added -= share
        elif step == "page" and moment is not None:
            shown += machine.page(snapshot, size)
        assert dict(machine.export()) == model.values
        assert [key for key, _ in machine.export()] == sorted(model.values)
        assert (machine.sum() - opening - added) % SUM_MODULUS == 0
        assert {key: machine.read(key) for key in range(11)} == {
            key: model.values.get(key) for key in range(11)
        }
        paged: list[tuple[int, int]] = []
        while page := machine.balances(paged[-1][0] if paged else -1, size):
            assert len(page) <= size
            paged += page
        assert dict(paged) == model.values
    if moment is None:
        return
    while page := machine.page(snapshot, size):
        shown += page
    assert shown == sorted(moment.items())


def test_a_page_is_full_as_long_as_there_are_more() -> None:
    """Whoever asks takes a page that is not full for the last one."""
    machine = Accounts(dict.fromkeys(range(100), 0))
    machine.attach(open_in_memory())
    machine.open()
    machine.apply([form_of(CloseAccount(one)) for one in range(10, 90)], 80)
    assert [len(machine.balances(above, 10)) for above in (-1, 9)] == [10, 10]
    snapshot = Snapshot()
    machine.read(snapshot)
    machine.apply([form_of(CloseAccount(one)) for one in range(90, 99)], 89)
    assert [account for account, _ in machine.page(snapshot, 11)] == [*range(10), 90]
    machine.flush()
    assert [account for account, _ in machine.page(snapshot, 11)] == [*range(91, 100)]
    assert machine.page(snapshot, 11) == []


def test_opening_and_closing_at_random_leaves_a_table_that_is_the_state() -> None:
    chance, machine, model = random.Random(5), accounts(), BankModel(LEDGER)
    for number in range(1, 2_000):
        account = chance.randrange(40)
        kinds: list[Operation] = [OpenAccount(account), CloseAccount(account), Deposit(account, 1)]
        form = form_of(chance.choice(kinds))
        assert said(machine.apply([form], number)) == [model.apply(form)]
        if chance.random() < 0.05:
            machine.flush()
            machine.forget()
            assert dict(machine.export()) == model.values
