"""Questions about more than one balance: the total of all accounts, and the entries of one account.

Rule 1: a question costs a few milliseconds, however many accounts and entries there are. The total is kept
        as it changes. A statement looks through so many entries of the journal at a time, and says how far
        it came: whoever asks goes on from there.
Rule 2: whoever asks for an account's entries is told what that account had. What the other one of a transfer
        has is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from bankrmi.bank.forms import TRANSFER, accounts_of, described
from bankrmi.bank.operations import LARGEST, check_account
from bankrmi.errors import InvalidRequest
from bankrmi.replication.record import DONE, Entry, Position, Record

__all__ = [
    "ENTRIES_AT_MOST",
    "LOOKED_THROUGH",
    "LOOKING_MS",
    "NO_DIGEST",
    "TOTAL",
    "Statement",
    "StatementEntry",
    "StatementPage",
    "StatementQuery",
    "Total",
    "TotalOfMoment",
    "TotalQuery",
    "check_range",
    "entries_of_account",
]

ENTRIES_AT_MOST = 500
"""In one answer."""

LOOKED_THROUGH = 512
"""Operations, for one answer; a record is never split."""
_BYTES = 256 << 10

NO_DIGEST = "none"
"""What an entry has in the place of a digest where a database keeps the accounts: no journal is of all."""

LOOKING_MS = 3.0
"""About what that takes."""


class TotalQuery:
    """What do all accounts hold together?"""


TOTAL = TotalQuery()


class TotalOfMoment(NamedTuple):
    """What they hold together at a moment that has no action id: those count for each account."""

    total: int


class KeptJournal(Protocol):
    """What a statement looks through."""

    @property
    def anchor(self) -> Position:
        """Where it begins."""

    @property
    def tip(self) -> Position:
        """Where it ends."""

    def records(self, after: int, limit: int, *, at_most_bytes: int | None = None) -> list[Record]:
        """Return some of the records above `after`."""


def check_range(since: object, limit: object, *, at_most: int = ENTRIES_AT_MOST) -> tuple[int, int]:
    """Return which entries a statement is to have; raises InvalidRequest."""
    if type(since) is not int or not 0 <= since <= LARGEST:
        raise InvalidRequest("a statement begins after an action id, a whole number from 0 on")
    if type(limit) is not int or not 1 <= limit <= at_most:
        raise InvalidRequest(f"a statement has from 1 to {at_most} entries at a time")
    return since, limit


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Some entries of an account, in words; all there are up to `through`, above `begins_after`."""

    entries: list[dict[str, Any]]
    through: int
    begins_after: int
    balance: int | None


class StatementQuery:
    """Which entries above `since` are about an account?  At most `limit` of them."""

    __slots__ = ("_journal", "account", "limit", "since")

    def __init__(
        self, account: object, since: object, limit: object, journal: Callable[[], KeptJournal]
    ) -> None:
        """Raises InvalidRequest."""
        self.account = check_account(account)
        self.since, self.limit = check_range(since, limit)
        self._journal = journal

    def page(self, balance: int | None) -> StatementPage:
        """Look through the next entries of the journal; the account holds this now, None if there is none."""
        journal = self._journal()
        begins_after, tip = journal.anchor.action_id, journal.tip.action_id
        through = max(self.since, begins_after)
        found: list[dict[str, Any]] = []
        if through >= tip:
            return StatementPage(found, through, begins_after, balance)
        for record in journal.records(through, LOOKED_THROUGH, at_most_bytes=_BYTES):
            for entry in entries_of_account(record, self.account):
                if entry["action_id"] <= self.since:
                    continue
                found.append(entry)
                if len(found) == self.limit:
                    return StatementPage(found, entry["action_id"], begins_after, balance)
            through = record.action_id
        return StatementPage(found, through, begins_after, balance)


def entries_of_account(record: Record, account: int) -> Iterator[dict[str, Any]]:
    """Yield the entries of a record that are about an account, as a statement has them.

    What does not even hold the account's number is not looked into.
    """
    if record.cancelled or _digits(account) not in record.operations:
        return
    for entry in record.entries():
        payer, *payee = accounts_of(entry.operation)
        if account == payer or (account in payee and entry.status == DONE):
            yield _in_words(entry, account)


def _in_words(entry: Entry, account: int) -> dict[str, Any]:
    what = described(entry.operation)
    payer, balance = what.pop("account"), entry.result
    if entry.operation[0] == TRANSFER and payer != account:
        del what["to"]
        what["from"], balance = payer, entry.beside[1]
    return {
        "action_id": entry.action_id,
        "time_us": entry.time_us,
        "request_id": f"{entry.session}:{entry.sequence}",
        **what,
        "status": entry.status,
        "balance": balance,
        "digest": entry.digest.hex(),
    }


def _digits(number: int) -> bytes:
    """Return what every form of a number in msgpack ends with."""
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


# -- what clients of ours get ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """One entry of an account: what was asked, when it was decided, and what came of it.

    `kind` is withdraw, deposit, transfer, open_account or close_account; of a transfer one of `paid_by` and
    `paid_to` is the other account. `status` is "done", or why it was declined. `balance` is what the account
    held after it, None where that is not told. `time_us` is the primary's clock, in microseconds since 1970.
    `digest` stands for the record and all that came before it: `bankrmi verify-statement` compares it; it is
    "none" where the accounts are in a database.
    """

    action_id: int
    time_us: int
    request_id: str
    kind: str
    amount: int | None
    paid_by: int | None
    paid_to: int | None
    status: str
    balance: int | None
    digest: str

    @staticmethod
    def of(form: Mapping[str, Any]) -> StatementEntry:
        """Return an entry as an answer has it."""
        return StatementEntry(
            action_id=form["action_id"],
            time_us=form["time_us"],
            request_id=form["request_id"],
            kind=form["kind"],
            amount=form.get("amount"),
            paid_by=form.get("from"),
            paid_to=form.get("to"),
            status=form["status"],
            balance=form.get("balance"),
            digest=form["digest"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The entries of an account above `since`, the newest last: all of them up to `through`.

    `since` may be higher than what was asked for: then there are earlier ones.

    `action_id` is the newest entry of the bank that this takes into account; what is at or below
    `begins_after` was folded out of the journal, and is not known any more. `balance` is None if there is no
    such account.
    """

    account: int
    balance: int | None
    entries: Sequence[StatementEntry]
    since: int
    through: int
    begins_after: int
    action_id: int

    def continued(self, further: Statement, limit: int) -> Statement:
        """Return this and what comes after it as one: the newest `limit` entries of both."""
        entries = [*self.entries, *further.entries]
        left_out, kept = entries[:-limit], entries[-limit:]
        since = left_out[-1].action_id if left_out else self.since
        begins_after = max(self.begins_after, further.begins_after)
        return replace(further, since=since, entries=kept, begins_after=begins_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What all accounts hold together, after the entry `action_id`.

    None where the accounts are in a database: action ids count for each account there.
    """

    total: int
    action_id: int | None
