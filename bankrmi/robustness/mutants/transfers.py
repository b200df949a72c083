"""Planted bugs in what has two halves: transfers, and the undoing and exporting of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import TRANSFER, Form
from bankrmi.replication.record import DONE
from bankrmi.robustness.mutants.mutant import Mutant, Patch

__all__ = ["MUTANTS"]


def _take_only(self: Accounts, payer: int, payee: int, amount: int, action_id: int) -> tuple[Any, ...]:
    came = _transfer(self, payer, payee, amount, action_id)
    if came[0] == DONE:
        self._set(payee, came[3], came[3] - amount, action_id)
    return came


def _put_back_only(
    self: Accounts, operations: Sequence[Form], outcomes: Sequence[Any], action_id: int
) -> None:
    """The payer has his money again, and the payee keeps it, too."""
    _undo(self, operations, outcomes, action_id)
    for (kind, _, more), outcome in zip(operations, outcomes, strict=True):
        if kind == TRANSFER and outcome[0] == DONE:
            payee, amount = more
            balance = self._balance(payee)
            assert balance is not None
            self._set(payee, balance, balance + amount, action_id)


def _remember_the_first(
    self: Accounts, payer: int, payee: int, amount: int, action_id: int
) -> tuple[Any, ...]:
    """An export that goes on is told what the payer had, and not what the payee had."""
    snapshots, before = self._snapshots, [dict(one.before) for one in self._snapshots]
    came = _transfer(self, payer, payee, amount, action_id)
    for snapshot, known in zip(snapshots, before, strict=True):
        if payee not in known:
            snapshot.before.pop(payee, None)
    return came


_transfer = Accounts._transfer
_undo = Accounts.undo

MUTANTS = (
    Mutant(
        name="transfer-half-done",
        rule="A4",
        goes_wrong="the money leaves one account, and never arrives at the other",
        patches=(Patch(Accounts, "_transfer", _take_only),),
    ),
    Mutant(
        name="undo-half-a-transfer",
        rule="A3",
        goes_wrong="a transfer that nobody else has is rolled back, and the payee keeps the money",
        patches=(Patch(Accounts, "undo", _put_back_only),),
    ),
    Mutant(
        name="export-half-a-transfer",
        rule="R4",
        goes_wrong="an export shows the payer before a transfer and the payee after it: money out of nothing",
        patches=(Patch(Accounts, "_transfer", _remember_the_first),),
    ),
)
