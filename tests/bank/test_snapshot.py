from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank import snapshot as snapshot_module
from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.bank.snapshot import Snapshot
from bankrmi.errors import OperationFailed
from bankrmi.storage.database import open_in_memory

OPENING = dict.fromkeys((0, 1, 2, 5, 8, 9, 2**62), 100)


def accounts() -> Accounts:
    machine = Accounts(OPENING)
    machine.attach(open_in_memory())
    machine.open()
    return machine


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["deposit", "withdraw"]), st.sampled_from(sorted(OPENING)), st.integers(1, 90)
        ),
        st.sampled_from(["undo", "flush", "page", "begin"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_a_snapshot_is_the_state_of_its_moment_whatever_happens_meanwhile(steps: list[object]) -> None:
    """Withdrawals, deposits, undoing, commits; several snapshots, each read a few accounts at a time."""
    machine = accounts()
    done: list[tuple[Form, int, int]] = []
    balances = dict(OPENING)
    open_snapshots: list[tuple[Snapshot, dict[int, int], dict[int, int]]] = []

    def begin() -> None:
        snapshot = Snapshot()
        machine.read(snapshot)
        open_snapshots.append((snapshot, dict(balances), {}))

    def change(what: Form) -> None:
        [outcome] = machine.apply([what], 1)
        if isinstance(outcome, int):
            account = int(machine.describe(what)["account"])
            done.append((what, outcome, balances[account]))
            balances[account] = outcome

    for step in steps:
        match step:
            case ("deposit", int(account), int(amount)):
                change(form_of(Deposit(account, amount)))
            case ("withdraw", int(account), int(amount)):
                change(form_of(Withdraw(account, amount)))
            case "undo" if done:
                what, outcome, before = done.pop()
                machine.undo([what], [outcome], 0)
                balances[int(machine.describe(what)["account"])] = before
            case "flush":
                machine.flush()
            case "page":
                for snapshot, _, found in open_snapshots:
                    found.update(machine.page(snapshot, 2))
            case "begin":
                begin()
    for snapshot, expected, found in open_snapshots:
        while rows := machine.page(snapshot, 2):
            found.update(rows)
        assert found == expected
        assert not snapshot.before, "what had its turn is forgotten"


def test_what_is_remembered_has_a_bound_and_the_bank_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "MOST_REMEMBERED", 3)
    machine, snapshot = accounts(), Snapshot()
    machine.read(snapshot)
    for account in sorted(OPENING):
        assert machine.apply([form_of(Deposit(account, 1))], 1) == [101]
    assert not snapshot.before
    with pytest.raises(OperationFailed, match="changed faster than they were fetched"):
        machine.page(snapshot, 2)


def test_a_snapshot_that_nobody_wants_any_more_costs_nothing() -> None:
    machine, snapshot = accounts(), Snapshot()
    machine.read(snapshot)
    machine.drop(snapshot)
    machine.apply([form_of(Deposit(1, 1))], 1)
    assert not snapshot.before
    with pytest.raises(OperationFailed):
        machine.page(snapshot, 2)


def test_another_database_ends_every_snapshot() -> None:
    """A copy was put in place: the rest of the pages would be of another state."""
    machine, snapshot = accounts(), Snapshot()
    machine.read(snapshot)
    machine.page(snapshot, 2)
    machine.attach(open_in_memory())
    with pytest.raises(OperationFailed):
        machine.page(snapshot, 2)


def test_balances_in_memory_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that is used once stays for ever otherwise: 3 million are half a gigabyte."""
    monkeypatch.setattr("bankrmi.bank.accounts._MOST_BALANCES", 3)
    machine = accounts()
    for account in sorted(OPENING):
        machine.apply([form_of(Deposit(account, 1))], 1)
        machine.flush()
        assert len(machine._balances) <= 3
    assert dict(machine.export()) == dict.fromkeys(OPENING, 101)
