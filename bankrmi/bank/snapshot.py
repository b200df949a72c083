"""All balances as they were at one moment, given out page by page while the bank goes on.

Rule 1: an account is given out with the balance of that moment: what changes before its turn is remembered.
Rule 2: what is remembered is bounded (`MOST_REMEMBERED`), and forgotten when the account had its turn; over
        the bound the snapshot is over, and says so. Nobody who asks can make the bank hold more.
"""

from __future__ import annotations

from bankrmi.errors import OperationFailed

__all__ = ["MOST_REMEMBERED", "Snapshot"]

MOST_REMEMBERED = 200_000
"""Balances, for each snapshot: 20 MB."""


class Snapshot:
    """One state; empty until `Accounts.read` is asked for it, which is its moment."""

    __slots__ = ("before", "over", "read_up_to", "went")

    def __init__(self) -> None:
        self.over = False
        self.begin()

    def begin(self) -> None:
        """This is the moment, whatever was the moment before."""
        self.before: dict[int, int | None] = {}
        self.went: set[int] = set()
        """Accounts that were there, and may be no more; of others than these the table knows."""
        self.read_up_to = -1
        """The last account that had its turn."""

    def remember(self, account: int, balance: int | None, *, goes: bool = False) -> None:
        """Keep what an account holds, before it changes, unless it had its turn, or has changed before.

        None: there is no such account yet. `goes`: it is there, and will not be.
        """
        if account <= self.read_up_to or self.over:
            return
        if self.before.setdefault(account, balance) is not None and goes:
            self.went.add(account)
        if len(self.before) > MOST_REMEMBERED:
            self.end()

    def end(self) -> None:
        """Nobody wants it any more."""
        self.over = True
        self.before = {}
        self.went = set()

    def check(self) -> None:
        """Raise OperationFailed if it is over."""
        if self.over:
            raise OperationFailed(
                "the accounts changed faster than they were fetched: export again, "
                "nearer to the server or when there is less to do"
            )
