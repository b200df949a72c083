"""What clients want of the bank: drawn from a seed, and meant to be declined now and then.  Pure.

Rule: the same seed gives the same calls in the same order for each session of each client; when they are
made, and what is repeated because nobody answered, real time decides.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from bankrmi.bank.operations import LARGEST, CloseAccount, Deposit, OpenAccount, Operation, Transfer, Withdraw

__all__ = ["OPENING", "Doubt", "SessionWorkload", "Wanted"]

OPENING = {1: 0, 2: 50, 3: 1_000, 4: 1_000, 5: 5_000, 6: 100_000, 7: 7, 8: 80_000, 9: 900, 10: LARGEST - 500}
"""What the bank opens with: few accounts, so that clients meet; some too small, one nearly too large."""

_NO_SUCH_ACCOUNT = 404
_COME_AND_GO = (405, 406, 407, 408)
"""Accounts that are opened and closed: there is money on them now and then."""
_TRANSFERS = 0.3
_OPENED_AND_CLOSED = 0.04
_TOTALS = 0.2
_BATCHES = (2, 4, 8, 16, 32)


class Doubt(Enum):
    """What a client does about a request without an answer."""

    ASK = "ask for its outcome"
    REPEAT = "send it again, under the same id"
    LEAVE = "leave it at that"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One call: a look-up if there are no operations; of all accounts together if it is for the `total`."""

    account: int
    operations: tuple[Operation, ...]
    doubt: Doubt
    ask_meanwhile: bool  # Ask for the outcome while the request is on its way: that may cancel it.
    pause_ms: float  # Before the next call.
    total: bool = False


class SessionWorkload:
    """What one session of one client wants, call after call."""

    def __init__(
        self, seed: str, *, pause_ms: float, reads_only: bool = False, on_engine: bool = False
    ) -> None:
        """`pause_ms` is how long it pauses between calls, on average.

        `on_engine`: a database keeps the accounts. None is opened or closed then, and nothing transferred to
        or from one that there is not, since such an answer stands in no account's own order; and totals are
        asked for.
        """
        self._reads_only = reads_only
        self._on_engine = on_engine
        self._chance = random.Random(seed)
        self._pause_ms = pause_ms

    def wanted(self) -> Wanted:
        """Return the next call."""
        chance = self._chance
        what = 0.0 if self._reads_only else chance.random()
        count = 0 if what < 0.25 else 1 if what < 0.6 else chance.choice(_BATCHES)
        total = self._on_engine and count == 0 and chance.random() < _TOTALS
        return Wanted(
            account=chance.choice(tuple(OPENING)),
            operations=tuple(self._operation() for _ in range(count)),
            doubt=chance.choices(tuple(Doubt), (5, 4, 1))[0],
            ask_meanwhile=count > 0 and chance.random() < 0.004,
            pause_ms=chance.uniform(0, 2 * self._pause_ms),
            total=total,
        )

    def _operation(self) -> Operation:
        chance, account = self._chance, self._account()
        amount = chance.choice((0, 1, chance.randint(1, 100), chance.randint(1, 3_000)))
        if not self._on_engine and chance.random() < _OPENED_AND_CLOSED:
            kind = OpenAccount if chance.random() < 0.5 else CloseAccount
            return kind(chance.choice((*_COME_AND_GO, *OPENING)))
        if chance.random() < _TRANSFERS and (payee := self._account()) not in self._no_payees(account):
            return Transfer(account, payee, amount)
        return Withdraw(account, amount) if chance.random() < 0.5 else Deposit(account, amount)

    def _account(self) -> int:
        chance = self._chance
        which = chance.random()
        if which < 0.02:
            return _NO_SUCH_ACCOUNT
        comes_and_goes = which < 0.03 and not self._on_engine
        return chance.choice(_COME_AND_GO if comes_and_goes else tuple(OPENING))

    def _no_payees(self, payer: int) -> tuple[int, ...]:
        """Return to whom he transfers nothing: himself."""
        if not self._on_engine:
            return (payer,)
        return (payer, *OPENING, _NO_SUCH_ACCOUNT) if payer == _NO_SUCH_ACCOUNT else (payer, _NO_SUCH_ACCOUNT)
