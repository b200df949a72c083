"""Accounts as a replicated state machine: what a withdrawal or a deposit does, decided in one place.

Rule 1: a balance is never negative, and never over 2^63-1; an operation that would make it so is declined.
Rule 2: an account is opened where there is none, at 0, and closed at 0: no money comes or goes with it.
Rule 3: what changed is kept in memory until `flush`; other balances that were used as well, up to a bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any

import apsw

from bankrmi.bank.forms import (
    CLOSE,
    DEPOSIT,
    OPEN,
    SINCE_PROTOCOL,
    TRANSFER,
    WITHDRAW,
    Form,
    count_of,
    described,
    protocol_of,
)
from bankrmi.bank.operations import LARGEST
from bankrmi.bank.outcomes import EXISTS, INSUFFICIENT, NO_ACCOUNT, NOT_EMPTY, TOO_LARGE, is_done
from bankrmi.bank.snapshot import Snapshot
from bankrmi.bank.statements import StatementQuery, TotalQuery
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.code_versions import DoneMigration, StateVersion
from bankrmi.replication.record import DONE

__all__ = ["Accounts", "fingerprint", "sum_of"]

Query = int | Snapshot | TotalQuery | StatementQuery
"""What can be read: the balance of an account; all of them; their total; the entries of one."""

_MOST_BALANCES = 200_000
"""In memory: 30 MB."""
_READ_AHEAD = 20_000
"""Balances that are read at a start, together: that takes some 7 ms. To look for one costs 5 us."""

_FACTORS_BELOW = (1 << 127) - 1
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""2^128 divided by the golden ratio, made odd: near accounts get factors that are far apart."""


class Accounts:
    """All accounts of one copy (see `storage.state_machine.StateMachine`)."""

    own_transactions = False
    version: StateVersion = 1

    def __init__(self, opening: Mapping[int, int]) -> None:
        """`opening` is the ledger that an empty copy opens with: balances by account id."""
        self._opening: Mapping[int, int] | None = opening  # Until the first operation: it may be large.
        self._balances: dict[int, int] = {}
        self._changed: dict[int, int] = {}  # With the action id of the newest change.
        self._flushed: dict[int, int] = {}  # What changed before the last `flush`, and after the one before.
        self._came: set[int] = set()  # There are such accounts, and not in the table yet.
        self._gone: set[int] = set()  # There are none, and in the table there are still.
        self._changed_at: int | None = None  # Any account.
        self._total = 0  # Of all balances.
        self._snapshots: list[Snapshot] = []
        self.needs_protocol = 1
        """The version of the protocol that knows all operations that were applied."""

    @property
    def goes_back_to(self) -> int:
        """Whatever was done, how to take it back is in its record."""
        return 0

    def version_at(self, _action_id: int) -> StateVersion:
        """Return the only version that there is."""
        return self.version

    def migrations_since(self, _action_id: int) -> tuple[DoneMigration, ...]:
        """Return nothing: there is one version."""
        return ()

    def attach(self, database: apsw.Connection) -> None:
        """Use this database from now on; make the table if there is none."""
        self._database = database
        database.execute(
            "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT"
        )
        self.forget()

    def open(self) -> bytes:
        """Write the ledger; return its fingerprint."""
        if self._opening is None:
            raise BrokenInvariant("a bank opens before its first operation")
        self._database.executemany("INSERT INTO accounts VALUES (?,?)", sorted(self._opening.items()))
        self._total = sum(self._opening.values())
        self._read_ahead()
        return fingerprint(self._opening)

    def _balance(self, account: int) -> int | None:
        balance = self._balances.get(account)
        if balance is None and account not in self._gone:
            balance = self._database.execute("SELECT balance FROM accounts WHERE id = ?", (account,)).get
            if balance is not None:
                if len(self._balances) >= _MOST_BALANCES + len(self._changed):
                    self._forget_unchanged()
                self._balances[account] = balance
        return balance

    def _read_ahead(self) -> None:
        """Know all balances of a bank of the usual size, and some of a larger one, before anybody asks."""
        at_most = min(_READ_AHEAD, _MOST_BALANCES)
        self._balances.update(self._database.execute("SELECT id, balance FROM accounts LIMIT ?", (at_most,)))

    def _forget_unchanged(self) -> None:
        """In place: `apply` goes on with the same dictionary."""
        for account in [one for one in self._balances if one not in self._changed]:
            del self._balances[account]

    def check(self, content: bytes) -> None:
        """Raise ValueError if these packed operations are not ones that a client could have asked for."""
        count_of(content)

    def protocol_of(self, content: bytes) -> int:
        """Return the oldest version of the protocol that knows these operations, which were looked at."""
        return protocol_of(content)

    def apply(
        self,
        operations: Sequence[Form],
        action_id: int,
        _moment: object = None,
        _told: bytes | None = None,
    ) -> list[Any]:
        """Withdraw, deposit or transfer, or decline; the result is the balance after it."""
        outcomes: list[Any] = []
        balances, changed, snapshots, tell = self._balances, self._changed, self._snapshots, outcomes.append
        gained = 0
        self._changed_at = action_id
        self._opening = None
        for kind, account, amount in operations:
            before: Any = balances.get(account)
            if before is None and (before := self._balance(account)) is None and kind <= DEPOSIT:
                tell((NO_ACCOUNT, None))
                continue
            if kind == WITHDRAW:
                if amount > before:
                    tell((INSUFFICIENT, before))
                    continue
                after = before - amount
                gained -= amount
            elif kind == DEPOSIT:
                if amount > LARGEST - before:
                    tell((TOO_LARGE, before))
                    continue
                after = before + amount
                gained += amount
            else:
                tell(self._do_more(kind, account, before, amount, action_id))
                continue
            if snapshots:
                self._remember(account, before)
            balances[account] = after
            changed[account] = action_id
            tell(after)
        self._total += gained
        return outcomes

    def _do_more(
        self, kind: int, account: int, balance: int | None, more: Any, action_id: int
    ) -> int | tuple[Any, ...]:
        """Do what is done seldom, on an account that has this balance, None if there is none."""
        self.needs_protocol = SINCE_PROTOCOL
        if kind == TRANSFER:
            payee, amount = more
            return self._transfer(account, payee, amount, action_id)
        if kind == OPEN:
            if balance is not None:
                return EXISTS, balance
            self._come(account, action_id)
        else:
            if balance is None:
                return NO_ACCOUNT, None
            if balance > 0:
                return NOT_EMPTY, balance
            self._go(account, action_id)
        return 0

    def _come(self, account: int, action_id: int) -> None:
        """There is such an account from now on, with nothing on it."""
        self._set(account, None, 0, action_id)
        if account in self._gone:
            self._gone.remove(account)
        else:
            self._came.add(account)

    def _go(self, account: int, action_id: int) -> None:
        """There is no such account from now on; there was nothing on it."""
        for snapshot in self._snapshots:
            snapshot.remember(account, 0, goes=True)
        self._balances.pop(account, None)
        self._changed[account] = action_id
        if account in self._came:
            self._came.remove(account)
        else:
            self._gone.add(account)

    def _transfer(self, payer: int, payee: int, amount: int, action_id: int) -> tuple[Any, ...]:
        """Take it off one account and put it on the other, or decline all of it; return what came of it."""
        has, there = self._balance(payer), self._balance(payee)
        if has is None or there is None:
            return NO_ACCOUNT, None, has, there
        if amount > has:
            return INSUFFICIENT, has, has, there
        if amount > LARGEST - there:
            return TOO_LARGE, None, has, there
        self._set(payer, has, has - amount, action_id)
        self._set(payee, there, there + amount, action_id)
        return DONE, has - amount, has - amount, there + amount

    def _set(self, account: int, before: int | None, after: int, action_id: int) -> None:
        if self._snapshots:
            self._remember(account, before)
        self._balances[account] = after
        self._changed[account] = action_id

    def undo(self, operations: Sequence[Form], outcomes: Sequence[Any], action_id: int) -> None:
        """Put back what was taken, take back what was put; the declined did nothing."""
        self._changed_at = action_id
        for form, outcome in zip(reversed(operations), reversed(outcomes), strict=True):
            if not is_done(outcome):
                continue
            afters = outcome[2:] if form[0] == TRANSFER else (None if form[0] == CLOSE else outcome,)
            for (account, gained), after in zip(_gains(form), afters, strict=True):
                self._total -= gained
                balance = self._balance(account)
                if balance != after:
                    raise BrokenInvariant(
                        f"account {account} holds {balance}, and its newest operation says {after!r}"
                    )
                if balance is None:
                    self._come(account, action_id)
                elif form[0] == OPEN:
                    self._go(account, action_id)
                else:
                    self._set(account, balance, balance - gained, action_id)

    def read(self, query: Query) -> Any:
        """Return the balance of an account, None if there is none; or what else is asked.

        Of a snapshot, this is made the moment.
        """
        if type(query) is int:  # Nearly always.
            return self._balance(query)
        match query:
            case int():
                return self._balance(query)
            case Snapshot():
                self._begin(query)
                return None
            case TotalQuery():
                return self._total
            case StatementQuery():
                return query.page(self._balance(query.account))

    def changed_at(self, query: Query) -> int | None:
        """Return the action id of the newest change of an account; of all, for what is about more."""
        if not isinstance(query, int):
            return self._changed_at
        changed_at = self._changed.get(query)
        return self._flushed.get(query) if changed_at is None else changed_at

    def flush(self) -> None:
        """Write every balance that changed since it was written."""
        if self._changed:
            if self._came or self._gone:
                self._flush_accounts()
            balances = self._balances  # In the order of the table: that takes half the time.
            changed = ((balances.get(account), account) for account in sorted(self._changed))
            rows = [row for row in changed if row[0] is not None]
            self._database.executemany("UPDATE accounts SET balance = ? WHERE id = ?", rows)
        self._flushed, self._changed = self._changed, {}

    def _flush_accounts(self) -> None:
        """Write which accounts there are."""
        self._database.executemany(
            "DELETE FROM accounts WHERE id = ?", [(one,) for one in sorted(self._gone)]
        )
        opened = [(one, self._balances[one]) for one in sorted(self._came)]
        self._database.executemany("INSERT INTO accounts VALUES (?,?)", opened)
        self._came, self._gone = set(), set()

    def forget(self) -> None:
        """Read everything anew from the database."""
        self._balances.clear()
        self._changed.clear()
        self._flushed.clear()
        self._came, self._gone = set(), set()
        self._changed_at = None
        self.needs_protocol = 1
        self._total = self._sum_of_table()
        self._read_ahead()
        for snapshot in self._snapshots:
            snapshot.end()
        self._snapshots.clear()

    def _sum_of_table(self) -> int:
        """Return what all accounts hold on the disk; 70 ms for a million, when a server starts.

        In two halves: SQLite's own sums end at 2^63-1.
        """
        halves: list[Any] = self._database.execute(
            "SELECT coalesce(sum(balance >> 32), 0), coalesce(sum(balance & 4294967295), 0) FROM accounts"
        ).fetchall()
        high, low = halves[0]
        return (int(high) << 32) + int(low)

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
        for form, outcome in zip(operations, outcomes, strict=True):
            if is_done(outcome):
                for account, amount in _gains(form):
                    amount += (form[0] == OPEN) - (form[0] == CLOSE)  # That there is one counts 1.
                    gained[account] = gained.get(account, 0) + amount
        return sum(amount * _factor(account) for account, amount in gained.items())

    def export(self) -> Iterator[tuple[int, int]]:
        """Return (account id, balance) in the order of the ids."""
        changed, balances, gone = self._changed, self._balances, self._gone
        rows: Iterable[Any] = self._database.execute("SELECT id, balance FROM accounts ORDER BY id")
        if self._came:
            rows = merge(rows, [(account, 0) for account in sorted(self._came)])
        for account, balance in rows:
            if account not in gone:
                yield account, balances[account] if account in changed else balance

    def balances(self, above: int, limit: int) -> list[tuple[int, int]]:
        """Return the next accounts, with ids over `above`, as they are now: `limit`, or all there are."""
        changed, balances, gone = self._changed, self._balances, self._gone
        found: list[tuple[int, int]] = []
        is_last = False
        while not is_last and len(found) < limit:
            rows, is_last = self._rows(above, limit)
            for account, balance in rows:
                above = account
                if account not in gone and len(found) < limit:
                    found.append((account, balances[account] if account in changed else balance))
        return found

    def _rows(self, above: int, limit: int, more: Iterable[int] = ()) -> tuple[list[tuple[int, int]], bool]:
        """Return the next rows of the table, with the accounts between that are not in it yet, and `more`.

        And whether there are none after them. What is not in the table has a balance of 0 here.
        """
        rows: list[Any] = self._database.execute(
            "SELECT id, balance FROM accounts WHERE id > ? ORDER BY id LIMIT ?", (above, limit)
        ).fetchall()
        is_last = len(rows) < limit
        up_to = LARGEST if is_last else rows[-1][0]
        between = [one for one in (*self._came, *more) if above < one <= up_to]
        if between:
            rows = sorted((dict.fromkeys(between, 0) | dict(rows)).items())
        return rows, is_last

    # -- snapshots -------------------------------------------------------------------------------

    def _begin(self, snapshot: Snapshot) -> None:
        if not snapshot.over:
            snapshot.begin()
            if snapshot not in self._snapshots:
                self._snapshots.append(snapshot)

    def _remember(self, account: int, balance: int | None) -> None:
        for snapshot in self._snapshots:
            snapshot.remember(account, balance)

    def page(self, snapshot: Snapshot, limit: int) -> list[tuple[int, int]]:
        """Return the next accounts of a snapshot, fewer than `limit` at its end.

        Raises OperationFailed if it is over, or of another database.
        """
        if snapshot not in self._snapshots:
            snapshot.end()
        snapshot.check()
        page: list[tuple[int, int]] = []
        is_last = False
        while not is_last and len(page) < limit:
            rows, is_last = self._rows(snapshot.read_up_to, limit, snapshot.went)
            for account, on_disk in rows:
                if len(page) == limit:
                    return page
                snapshot.read_up_to = account
                balance = self._balance_in(snapshot, account, on_disk)
                if balance is not None:
                    page.append((account, balance))
        return page

    def _balance_in(self, snapshot: Snapshot, account: int, on_disk: int) -> int | None:
        """Return what an account held at the moment of a snapshot, None if there was none."""
        if account in snapshot.before:
            snapshot.went.discard(account)
            return snapshot.before.pop(account)
        if account in self._gone:
            return None  # It had gone before that moment.
        return self._balances[account] if account in self._changed else on_disk

    def drop(self, snapshot: Snapshot) -> None:
        """Remember nothing more for it."""
        if snapshot in self._snapshots:
            self._snapshots.remove(snapshot)


def _gains(form: Form) -> tuple[tuple[int, int], ...]:
    """Return which account gains how much by an operation that is done."""
    kind, account, amount = form
    if kind != TRANSFER:
        return ((account, -amount if kind == WITHDRAW else amount),)
    payee, amount = amount
    return (account, -amount), (payee, amount)


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
