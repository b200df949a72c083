"""Is a copy's content in itself sound?  Every record, in one pass, replayed by a plain dictionary.

Rule 1: none of the bank's own deciding code is used: what an operation does, the model says.
Rule 2: what the bank opened with need not be known: each account's opening balance follows from its first
        entry, and all of them together must give the fingerprint that was written then. Of a journal that is
        folded the same is known of the balances at its anchor, which must give the sum that is written there.
Rule 3: the first fault found is the one told; what follows it is not news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bankrmi.bank.accounts import fingerprint, sum_of
from bankrmi.bank.forms import CLOSE, OPEN, TRANSFER, WITHDRAW, accounts_of
from bankrmi.bank.outcomes import balances_after
from bankrmi.counted import counted
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import CANCELLED, DONE, Entry, Position, Record
from bankrmi.storage.folding import Anchor
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.model import BankModel
from bankrmi.verifying.record_check import UNREADABLE, RecordCheck

__all__ = ["CopyFault", "JournalCheck"]


class CopyFault(Exception):
    """What is wrong with a copy, in a sentence."""


class JournalCheck:
    """Takes all records in order, then judges what stands beside them."""

    def __init__(
        self,
        opening: Position,
        balances: Mapping[int, int],
        written_to: int,
        *,
        anchor: Anchor | None = None,
        folded: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`opening` is action id 0, `balances` the accounts as they were after action id `written_to`.

        `anchor` is where the journal begins, if it is or may be folded, and `folded` has the newest sequence
        number of each session that is folded.
        """
        self._anchor = anchor
        self._accounts = balances
        self._written_to = written_to
        self._model = BankModel({})
        self._opened_with: dict[int, int | None] = {}  # Of accounts that were met; None: there was none.
        begin = opening if anchor is None else anchor.position
        self._check = RecordCheck(begin, self._model, _raise, folded)
        self._is_whole = begin.action_id == 0
        if self._is_whole and begin != opening:
            raise CopyFault("the journal's anchor is not the state that it opens with")
        self._compared = False

    @property
    def tip(self) -> Position:
        """The newest record that was taken."""
        return self._check.tip

    def take(self, records: Iterable[Record]) -> None:
        """Check the next records; raises CopyFault."""
        for record in records:
            self._compare_if_written()
            for entry in self._check.take_place(record):
                try:
                    if entry.status != CANCELLED:
                        self._meet(entry)
                    self._check.take_outcome(entry)
                except UNREADABLE as error:
                    raise CopyFault(f"the operation at action id {entry.action_id} cannot be read") from error

    def _compare_if_written(self) -> None:
        """Compare the accounts if the journal is where they were written."""
        if self.tip.action_id != self._written_to:
            return
        self._compared = True
        for account in self._opened_with:
            balance = self._model.values.get(account)
            if self._accounts.get(account) != balance:
                raise CopyFault(
                    f"account {account} holds {self._accounts.get(account)}, "
                    f"and the journal adds up to {balance} at action id {self._written_to}"
                )

    def finish(self, opened_with: bytes | None, adopted: Adopted | None) -> None:
        """Check accounts, opening ledger and adopted epoch against all that was taken; raises CopyFault."""
        self._compare_if_written()
        if not self._compared:
            raise CopyFault(
                f"the accounts are those after action id {self._written_to}, and no record ends there"
            )
        negative = [account for account, balance in self._accounts.items() if balance < 0]
        if negative:
            raise CopyFault(f"account {negative[0]} holds {self._accounts[negative[0]]}, which is negative")
        beginning = {**self._accounts, **self._opened_with}
        self._check_beginning(
            {account: balance for account, balance in beginning.items() if balance is not None}, opened_with
        )
        if adopted is None:
            if self.tip.action_id:
                raise CopyFault(
                    f"it holds {counted(self.tip.action_id, 'operation')}, and no epoch was ever adopted"
                )
        elif adopted.epoch < max(1, self.tip.epoch) or not adopted.history:
            raise CopyFault(
                f"the adopted epoch is {adopted.epoch}, older than the newest record's {self.tip.epoch}"
            )

    def _check_beginning(self, balances: Mapping[int, int], opened_with: bytes | None) -> None:
        """Check what all accounts held where the journal begins."""
        if self._is_whole and opened_with is not None and fingerprint(balances) != opened_with:
            raise CopyFault("accounts and journal do not lead back to the ledger that the bank opened with")
        anchor = self._anchor
        if anchor is not None and sum_of(balances.items()) % SUM_MODULUS != anchor.state:
            raise CopyFault(
                f"accounts and journal do not lead back to the balances at its anchor, action id "
                f"{anchor.position.action_id}"
            )

    def _meet(self, entry: Entry) -> None:
        """Have the model know the accounts of this entry, as they were before, if it is their first one."""
        strangers = [one for one in accounts_of(entry.operation) if one not in self._opened_with]
        if not strangers:
            return
        before = _before(entry)
        for account in strangers:
            balance = before[account]
            if self._compared and self._accounts.get(account) != balance:
                raise CopyFault(
                    f"account {account} holds {self._accounts.get(account)}, and held {balance} before "
                    f"action id {entry.action_id}"
                )
            self._opened_with[account] = balance
            if balance is not None:
                self._model.values[account] = balance


def _raise(sentence: str) -> None:
    raise CopyFault(sentence)


def _before(entry: Entry) -> dict[int, int | None]:
    """Return what accounts held before an entry, by what it says; `finish` finds out if that is true."""
    kind, payer, amount = entry.operation
    after = dict(balances_after(entry))
    if entry.status != DONE:
        return after
    if kind in (OPEN, CLOSE):
        return {payer: None if kind == OPEN else 0}
    if kind == TRANSFER:
        amount = amount[1]
    before: dict[int, int | None] = {}
    for account, balance in after.items():
        if balance is None:
            raise CopyFault(f"action id {entry.action_id} has no balance of account {account} after it")
        is_paid_by = kind == WITHDRAW or (kind == TRANSFER and account == payer)
        before[account] = balance + amount if is_paid_by else balance - amount
    return before


def check_all(
    opening: Position,
    records: Iterable[Record],
    balances: Mapping[int, int],
    opened_with: bytes | None,
    adopted: Adopted | None,
    *,
    written_to: int,
) -> Position:
    """Check a whole copy at once; return its tip.  Raises CopyFault."""
    check = JournalCheck(opening, balances, written_to)
    check.take(records)
    check.finish(opened_with, adopted)
    return check.tip
