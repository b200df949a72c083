"""The bank as a class that is served, as any other: `bankrmi.Account`.

Alone it is the bank: with a state machine, a remote object and clients of its own (`served_alone`), which
decide the same, in the same words (ADR 52). What stands in the methods below is run where it is not alone:
beside other services of a pair, which call it in their own updates, and where somebody inherits from it. Then
its state is in tables, and action ids count for each account (as with `engine`).

Rule 1: what it decides, and what it says of that, is what `accounts` decides (tests hold the two together).
Rule 2: what has the wrong form is refused in the words of `operations`, before anything is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from bankrmi.bank.operations import LARGEST, Receipt, Transfer, check_account, check_amount
from bankrmi.bank.outcomes import EXISTS, INSUFFICIENT, NO_ACCOUNT, NOT_EMPTY, TOO_LARGE, declined
from bankrmi.bank.statements import NO_DIGEST, Statement, StatementEntry, Total, check_range
from bankrmi.errors import (
    AccountExists,
    AccountNotEmpty,
    AccountNotFound,
    BalanceTooLarge,
    InsufficientFunds,
    InvalidRequest,
    Refused,
)
from bankrmi.service.declaring import Service, query, update
from bankrmi.service.served_alone import ServedAlone

__all__ = ["ENTRIES_AT_MOST", "Account"]

ENTRIES_AT_MOST = 200
"""In one statement of tables: with more, what is told might be too long for an answer."""

AccountId = Annotated[int, Field(ge=0, le=LARGEST), BeforeValidator(check_account)]
Amount = Annotated[int, Field(ge=0, le=LARGEST), BeforeValidator(check_amount)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]

_LARGEST_TOLD = 2**64 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Account(Service):
    """A bank's accounts, which are never in the red.

    with bankrmi.connect(bankrmi.Account, "config.yaml") as bank:
        bank.withdraw(2, 10).balance

    Account ids, amounts and balances are whole numbers from 0 to 2^63-1. What cannot be done raises one of
    `bankrmi.errors`, and changes nothing.
    """

    served_alone = ServedAlone(
        state_machine="bankrmi.bank.accounts:Accounts",
        remote_object="bankrmi.server.account:AccountObject",
        client="bankrmi.client.account_client:AccountClient",
        async_client="bankrmi.client.async_account_client:AsyncAccountClient",
        noted_as=None,
    )

    def create(self, ledger: Mapping[int, int] | None = None) -> None:
        """Have the accounts of the ledger file."""
        self.db.execute(
            "CREATE TABLE account (id INT PRIMARY KEY NOT NULL,"  # No row id: it may be the largest number.
            " balance INTEGER NOT NULL CHECK (balance >= 0), action_id INTEGER NOT NULL)"
            " STRICT, WITHOUT ROWID"
        )
        self.db.execute(
            "CREATE TABLE entry (account INTEGER NOT NULL, action_id INTEGER NOT NULL,"
            " time_us INTEGER NOT NULL, request_id TEXT NOT NULL, kind TEXT NOT NULL, amount INTEGER,"
            " paid_by INTEGER, paid_to INTEGER, balance INTEGER NOT NULL,"
            " PRIMARY KEY (account, action_id)) STRICT, WITHOUT ROWID"
        )
        self.db.executemany("INSERT INTO account VALUES (?, ?, 0)", sorted((ledger or {}).items()))

    @query(raises=[AccountNotFound])
    def balance(self, account: AccountId) -> Receipt:
        """Return the balance, the newest that anybody was told of."""
        balance, action_id = self._found(account)
        return Receipt(account, balance, action_id)

    @update(raises=[AccountNotFound, InsufficientFunds])
    def withdraw(self, account: AccountId, amount: Amount) -> Receipt:
        """Take money off."""
        balance, action_id = self._found(account)
        if amount > balance:
            raise declined(account, (INSUFFICIENT, balance), action_id)
        return self._enter("withdraw", account, balance - amount, action_id + 1, amount)

    @update(raises=[AccountNotFound, BalanceTooLarge])
    def deposit(self, account: AccountId, amount: Amount) -> Receipt:
        """Put money on."""
        balance, action_id = self._found(account)
        if amount > LARGEST - balance:
            raise declined(account, (TOO_LARGE, balance), action_id)
        return self._enter("deposit", account, balance + amount, action_id + 1, amount)

    @update(raises=[AccountNotFound, InsufficientFunds, BalanceTooLarge, InvalidRequest])
    def transfer(self, from_account: AccountId, to_account: AccountId, amount: Amount) -> Receipt:
        """Take money off one account and put it on another: both, or neither.

        The receipt has the balance of the account that paid. Of an error, `account` says of which it speaks.
        """
        Transfer(from_account, to_account, amount)  # Refuses one to itself.
        has, payers_id = self._found(from_account, to=to_account)
        there, payees_id = self._found(to_account, to=to_account)
        if amount > has:
            raise declined(from_account, (INSUFFICIENT, has), payers_id, to=to_account)
        if amount > LARGEST - there:  # What the other one has is not told.
            raise declined(to_account, (TOO_LARGE, None), payers_id, to=to_account)
        self._enter("transfer", to_account, there + amount, payees_id + 1, amount, paid_by=from_account)
        return self._enter("transfer", from_account, has - amount, payers_id + 1, amount, paid_to=to_account)

    @update(raises=[AccountExists])
    def open_account(self, account: AccountId) -> Receipt:
        """Have an account where there is none; it begins at 0."""
        held = self._held(account)
        if held is not None:
            raise declined(account, (EXISTS, held[0]), held[1])
        action_id = self._newest_of(account) + 1
        self.db.execute("INSERT INTO account VALUES (?, 0, ?)", (account, action_id))
        return self._enter("open_account", account, 0, action_id)

    @update(raises=[AccountNotFound, AccountNotEmpty])
    def close_account(self, account: AccountId) -> Receipt:
        """Have an account no more; only at 0."""
        balance, action_id = self._found(account)
        if balance > 0:
            raise declined(account, (NOT_EMPTY, balance), action_id)
        receipt = self._enter("close_account", account, 0, action_id + 1)
        self.db.execute("DELETE FROM account WHERE id = ?", (account,))
        return receipt

    @query(raises=[OverflowError])
    def total(self) -> Total:
        """Return what all accounts hold together.

        Where it is not alone, that is added up account by account, and told up to 2^64-1.
        """
        rows = self.db.execute(  # In two halves: SQLite's own sums end at 2^63-1.
            "SELECT coalesce(sum(balance >> 32), 0), coalesce(sum(balance & 4294967295), 0) FROM account"
        )
        [(high, low)] = rows.fetchall()
        total = (high << 32) + low
        if total > _LARGEST_TOLD:
            raise OverflowError("all accounts hold over 2^64-1 together, more than can be told here")
        return Total(total=total, action_id=None)

    @query(raises=[InvalidRequest])
    def statement(self, account: AccountId, *, since: Count = 0, limit: Count = 100) -> Statement:
        """Return the newest `limit` entries of an account, of those above the action id `since`.

        Where it is not alone, those that were done, and at most 200.
        """
        check_range(since, limit, at_most=ENTRIES_AT_MOST)
        rows = self.db.execute(
            "SELECT action_id, time_us, request_id, kind, amount, paid_by, paid_to, balance FROM entry"
            " WHERE account = ? AND action_id > ? ORDER BY action_id DESC LIMIT ?",
            (account, since, limit),
        ).fetchall()
        newest = self._newest_of(account)
        held = self._held(account)
        return Statement(
            account=account,
            balance=None if held is None else held[0],
            entries=[_entry(*row) for row in reversed(rows)],
            since=rows[-1][0] - 1 if rows else since,
            through=max(newest, since),
            begins_after=0,
            action_id=newest,
        )

    # -- within ----------------------------------------------------------------------------------

    def _held(self, account: int) -> tuple[int, int] | None:
        """Return balance and newest action id of an account; None if there is none."""
        found = self.db.execute("SELECT balance, action_id FROM account WHERE id = ?", (account,)).fetchone()
        return None if found is None else (found[0], found[1])

    def _found(self, account: int, **more: int) -> tuple[int, int]:
        """Return the same of one that has to be there; `more` are details of the error."""
        held = self._held(account)
        if held is None:
            error: Refused = declined(account, (NO_ACCOUNT, None), self._newest_of(account), **more)
            raise error
        return held

    def _newest_of(self, account: int) -> int:
        """Return the newest action id of an account, which may be there no more."""
        newest: int = self.db.execute(
            "SELECT coalesce(max(action_id), 0) FROM entry WHERE account = ?", (account,)
        ).value
        return newest

    def _enter(
        self,
        kind: str,
        account: int,
        balance: int,
        action_id: int,
        amount: int | None = None,
        *,
        paid_by: int | None = None,
        paid_to: int | None = None,
    ) -> Receipt:
        """Have an account hold this from now on, with an entry that says why."""
        request_id = self._given().request_id
        self.db.execute(
            "UPDATE account SET balance = ?, action_id = ? WHERE id = ?", (balance, action_id, account)
        )
        time_us = (self.now - _EPOCH) // _MICROSECOND
        self.db.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (account, action_id, time_us, request_id, kind, amount, paid_by, paid_to, balance),
        )
        return Receipt(account, balance, action_id, request_id)


def _entry(
    action_id: int,
    time_us: int,
    request_id: str,
    kind: str,
    amount: int | None,
    paid_by: int | None,
    paid_to: int | None,
    balance: int,
) -> StatementEntry:
    return StatementEntry(
        action_id=action_id,
        time_us=time_us,
        request_id=request_id,
        kind=kind,
        amount=amount,
        paid_by=paid_by,
        paid_to=paid_to,
        status="done",
        balance=balance,
        digest=NO_DIGEST,
    )
