"""Accounts as a replicated state machine: what a withdrawal or a deposit does, decided in one place.

Rule 1: a balance is never negative, and never over 2^63-1; an operation that would make it so is declined.
Rule 2: what changed is kept in memory until `flush`; other balances that were used as well, up to a bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw

from bankrmi.bank.forms import WITHDRAW, Form, count_of, described
from bankrmi.bank.operations import LARGEST
from bankrmi.bank.outcomes import INSUFFICIENT, NO_ACCOUNT, TOO_LARGE
from bankrmi.bank.snapshot import Snapshot
from bankrmi.errors import BrokenInvariant

__all__ = ["Accounts", "fingerprint", "sum_of"]

_MOST_BALANCES = 200_000
"""In memory: 30 MB."""

_FACTORS_BELOW = (1 << 127) - 1
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""2^128 divided by the golden ratio, made odd: near accounts get factors that are far apart."""


class Accounts:
    """All accounts of one copy (see `storage.state_machine.StateMachine`)."""

    own_transactions = False
    version = 1

    def __init__(self, opening: Mapping[int, int]) -> None:
        """`opening` is the ledger that an empty copy opens with: balances by account id."""
        self._opening: Mapping[int, int] | None = opening  # Until the first operation: it may be large.
        self._balances: dict[int, int] = {}
        self._changed: dict[int, int] = {}  # With the action id of the newest change.
        self._flushed: dict[int, int] = {}  # What changed before the last `flush`, and after the one before.
        self._changed_at: int | None = None  # Any account.
        self._snapshots: list[Snapshot] = []

    def version_at(self, _action_id: int) -> int:
        """Return the only version that there is."""
        return self.version

    def attach(self, database: apsw.Connection) -> None:
        """Use this database from now on; make the table if there is none."""
        self._database = database
        self.forget()
        database.execute(
            "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT"
        )

    def open(self) -> bytes:
        """Write the ledger; return its fingerprint."""
        if self._opening is None:
            raise BrokenInvariant("a bank opens before its first operation")
        self._database.executemany("INSERT INTO accounts VALUES (?,?)", sorted(self._opening.items()))
        return fingerprint(self._opening)

    def _balance(self, account: int) -> int | None:
        balance = self._balances.get(account)
        if balance is None:
            balance = self._database.execute("SELECT balance FROM accounts WHERE id = ?", (account,)).get
            if balance is not None:
                if len(self._balances) >= _MOST_BALANCES + len(self._changed):
                    self._forget_unchanged()
                self._balances[account] = balance
        return balance

    def _forget_unchanged(self) -> None:
        """In place: `apply` goes on with the same dictionary."""
        for account in [one for one in self._balances if one not in self._changed]:
            del self._balances[account]

    def check(self, content: bytes) -> None:
        """Raise ValueError if these packed operations are not ones that a client could have asked for."""
        count_of(content)

    def apply(
        self,
        operations: Sequence[Form],
        action_id: int,
        _moment: object = None,
        _told: bytes | None = None,
    ) -> list[Any]:
        """Withdraw or deposit, or decline; the result is the balance after it."""
        outcomes: list[Any] = []
        balances, changed, tell = self._balances, self._changed, outcomes.append
        self._changed_at = action_id
        self._opening = None
        for kind, account, amount in operations:
            before = balances.get(account)
            if before is None and (before := self._balance(account)) is None:
                tell((NO_ACCOUNT, None))
                continue
            if kind == WITHDRAW:
                if amount > before:
                    tell((INSUFFICIENT, before))
                    continue
                after = before - amount
            else:
                if amount > LARGEST - before:
                    tell((TOO_LARGE, before))
                    continue
                after = before + amount
            if self._snapshots:
                self._remember(account, before)
            balances[account] = after
            changed[account] = action_id
            tell(after)
        return outcomes

    def undo(self, operations: Sequence[Form], outcomes: Sequence[Any], action_id: int) -> None:
        """Put back what withdrawals took, take back what deposits put; the declined did nothing."""
        self._changed_at = action_id
        for (kind, account, amount), outcome in zip(reversed(operations), reversed(outcomes), strict=True):
            if type(outcome) is tuple:
                continue
            balance = self._balance(account)
            if balance is None or balance != outcome:
                raise BrokenInvariant(
                    f"account {account} holds {balance}, and its newest operation says {outcome!r}"
                )
            if self._snapshots:
                self._remember(account, balance)
            self._balances[account] = balance + amount if kind == WITHDRAW else balance - amount
            self._changed[account] = action_id

    def read(self, query: int | Snapshot) -> int | None:
        """Return the balance of an account, None if there is none; or make this a snapshot's moment."""
        if isinstance(query, Snapshot):
            self._begin(query)
            return None
        return self._balance(query)

    def changed_at(self, query: int | Snapshot) -> int | None:
        """Return the action id of the newest change of an account; of all, for a snapshot."""
        if isinstance(query, Snapshot):
            return self._changed_at
        changed_at = self._changed.get(query)
        return self._flushed.get(query) if changed_at is None else changed_at

    def flush(self) -> None:
        """Write every balance that changed since it was written."""
        if self._changed:
            balances = self._balances  # In the order of the table: that takes half the time.
            rows = [(balances[account], account) for account in sorted(self._changed)]
            self._database.executemany("UPDATE accounts SET balance = ? WHERE id = ?", rows)
        self._flushed, self._changed = self._changed, {}

    def forget(self) -> None:
        """Read everything anew from the database."""
        self._balances.clear()
        self._changed.clear()
        self._flushed.clear()
        self._changed_at = None
        for snapshot in self._snapshots:
            snapshot.end()
        self._snapshots.clear()

    def describe(self, operation: Form) -> dict[str, Any]:
        """Return the operation in words."""
        return described(operation)

    def shown(self, result: Any) -> Any:
        """Return the balance, or None, as it is."""
        return result

    def sum(self) -> int:
        """Return the sum of all accounts (see `sum_of`)."""
        return sum_of(self.export())

    def share(self, operations: Sequence[Form], outcomes: Sequence[Any]) -> int:
        """Return what these operations have added to the sum."""
        gained: dict[int, int] = {}
        for (kind, account, amount), outcome in zip(operations, outcomes, strict=True):
            if type(outcome) is int:
                gained[account] = gained.get(account, 0) + (-amount if kind == WITHDRAW else amount)
        return sum(amount * _factor(account) for account, amount in gained.items())

    def export(self) -> Iterator[tuple[int, int]]:
        """Return (account id, balance) in the order of the ids."""
        changed, balances = self._changed, self._balances
        for account, balance in self._database.execute("SELECT id, balance FROM accounts ORDER BY id"):
            yield account, balances[account] if account in changed else balance

    def balances(self, above: int, limit: int) -> list[tuple[int, int]]:
        """Return the next accounts, whose ids are over `above`, as they are now; at most `limit`."""
        rows = self._database.execute(
            "SELECT id, balance FROM accounts WHERE id > ? ORDER BY id LIMIT ?", (above, limit)
        )
        changed, balances = self._changed, self._balances
        return [(one, balances[one] if one in changed else balance) for one, balance in rows]

    # -- snapshots -------------------------------------------------------------------------------

    def _begin(self, snapshot: Snapshot) -> None:
        if not snapshot.over:
            snapshot.begin()
            if snapshot not in self._snapshots:
                self._snapshots.append(snapshot)

    def _remember(self, account: int, balance: int) -> None:
        for snapshot in self._snapshots:
            snapshot.remember(account, balance)

    def page(self, snapshot: Snapshot, limit: int) -> list[tuple[int, int]]:
        """Return the next accounts of a snapshot, fewer than `limit` at its end.

        Raises OperationFailed if it is over, or of another database.
        """
        if snapshot not in self._snapshots:
            snapshot.end()
        snapshot.check()
        rows: list[Any] = self._database.execute(
            "SELECT id, balance FROM accounts WHERE id > ? ORDER BY id LIMIT ?", (snapshot.read_up_to, limit)
        ).fetchall()
        if rows:
            snapshot.read_up_to = rows[-1][0]
        return [(account, self._balance_in(snapshot, account, balance)) for account, balance in rows]

    def _balance_in(self, snapshot: Snapshot, account: int, on_disk: int) -> int:
        remembered = snapshot.before.pop(account, None)
        if remembered is not None:
            return remembered
        return self._balances[account] if account in self._changed else on_disk

    def drop(self, snapshot: Snapshot) -> None:
        """Remember nothing more for it."""
        if snapshot in self._snapshots:
            self._snapshots.remove(snapshot)


def _factor(account: int) -> int:
    """Return what an account's balance counts in the sum: a number as good as drawn, never 0."""
    spread = (account + 1) * _SPREAD % _FACTORS_BELOW
    return spread * spread % _FACTORS_BELOW


def sum_of(balances: Iterable[tuple[int, int]]) -> int:
    """Return the sum of these accounts: each one's balance, plus 1, times a factor of its own."""
    return sum((balance + 1) * _factor(account) for account, balance in balances)


def fingerprint(balances: Mapping[int, int]) -> bytes:
    """Return bytes that identify a ledger, whatever the order of its lines."""
    content = "".join(f"{account},{balance}\n" for account, balance in sorted(balances.items()))
    return hashlib.blake2b(content.encode(), digest_size=16).digest()
