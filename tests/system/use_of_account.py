"""A program that is typed as using an `Account`: it does the same wherever that is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import bankrmi
from bankrmi.errors import (
    AccountExists,
    AccountNotEmpty,
    AccountNotFound,
    BalanceTooLarge,
    Cancelled,
    InsufficientFunds,
    InvalidRequest,
    Refused,
)
from bankrmi.service import Service

__all__ = ["use"]


def use(bank: bankrmi.Account) -> None:
    """Open the accounts 71 and 72, and call all that there is."""
    before = bank.total().total
    assert bank.open_account(71).balance == bank.open_account(72).balance == 0
    assert bank.deposit(71, 100) == bank.balance(71).__class__(71, 100, *_rest(bank, 71))
    assert bank.withdraw(71, 30).balance == 70
    paid = bank.transfer(71, 72, 20)
    assert (paid.account, paid.balance, bank.balance(72).balance) == (71, 50, 20)
    assert bank.total().total == before + 70
    assert _why(InsufficientFunds, lambda: bank.withdraw(71, 51)) == (
        "the amount exceeds the balance of account 71",
        {"account": 71, "balance": 50},
    )
    assert _why(AccountNotFound, lambda: bank.transfer(71, 73, 1))[1] == {
        "account": 73,
        "balance": None,
        "to": 73,
    }
    assert _why(AccountNotFound, lambda: bank.balance(73))[0] == "there is no account 73"
    assert _why(BalanceTooLarge, lambda: bank.deposit(72, 2**63 - 1))[1] == {"account": 72, "balance": 20}
    assert _why(AccountExists, lambda: bank.open_account(72))[0] == "there is an account 72 already"
    assert _why(AccountNotEmpty, lambda: bank.close_account(72))[1] == {"account": 72, "balance": 20}
    assert _why(InvalidRequest, lambda: bank.withdraw(71, -1))[0].startswith("not an amount: -1")
    assert "cannot transfer to itself" in _why(InvalidRequest, lambda: bank.transfer(71, 71, 1))[0]
    done = [one for one in bank.statement(71).entries if one.status == "done"]
    assert [(one.kind, one.amount, one.paid_to, one.balance) for one in done] == [
        ("open_account", None, None, 0),
        ("deposit", 100, None, 100),
        ("withdraw", 30, None, 70),
        ("transfer", 20, 72, 50),
    ]
    assert done[-1].request_id == paid.request_id
    assert [one.kind for one in bank.statement(71, since=done[2].action_id).entries][:1] == ["transfer"]

    client: Any = bank
    for _ in range(2):  # Under one request id, it is done once.
        assert client.update("withdraw", [71, 50], request_id="use:1").balance == 0
    came = bank.outcome("use:1")  # Of a class, nobody says what the method returns that it came of.
    assert (came["balance"] if isinstance(came, dict) else came.balance) == 0
    with pytest.raises(InsufficientFunds):
        client.update("withdraw", [], {"account": 71, "amount": 1}, request_id="use:2")
    with pytest.raises(InsufficientFunds):
        bank.outcome("use:2")
    with pytest.raises(Cancelled):
        bank.outcome("never-sent:1")
    assert client.query("balance", [71]).balance == 0
    with pytest.raises(InvalidRequest, match="has no method 'withdraw' of the kind query"):
        client.query("withdraw", [71, 1])
    assert bank.close_account(71).balance == 0
    bank.withdraw(72, 20)
    bank.close_account(72)
    assert bank.total().total == before
    assert bank.status()["role"] == "primary"
    assert "Account" in repr(bank)
    assert not isinstance(bank, Service)


def _rest(bank: bankrmi.Account, account: int) -> tuple[int, str | None]:
    """Return what differs from one way to serve it to the other."""
    newest = bank.statement(account).entries[-1]
    return newest.action_id, newest.request_id


def _why(kind: type[Refused], call: Callable[[], object]) -> tuple[str, dict[str, Any]]:
    """Return the words and the details of what a call raises."""
    with pytest.raises(kind) as refused:
        call()
    common = {"account", "balance", "to"}
    return refused.value.message, {
        name: value for name, value in refused.value.details.items() if name in common
    }
