"""Clients that keep a bank busy while its disks are recorded, and what they were told.

Rule 1: a client retries with the same request id until it is answered; any other error ends the run.
Rule 2: what they ask for is drawn from a seed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bankrmi.bank.operations import Deposit, Operation, Receipt, Transfer, Withdraw
from bankrmi.client import BankClient, connect
from bankrmi.config import Configuration
from bankrmi.errors import OperationFailed, Refused

__all__ = ["ACCOUNTS", "LEDGER", "ClientLoad"]

ACCOUNTS = 12_000
LEDGER = {account: 1_000 + account % 7 for account in range(1, ACCOUNTS + 1)}
"""Many accounts: so that a batch touches many pages, and the log fills fast."""

_TIMEOUT_S = 60.0
_LONGEST_PAUSE_S = 0.008


class ClientLoad:
    """Some clients, in threads of their own, from `with` to its end."""

    def __init__(self, configuration: Configuration, *, clients: int, seed: str, batch: int) -> None:
        self.told: dict[str, int] = {}
        """Request id, and the action id of its newest entry, of everything that was answered."""
        self._configuration = configuration
        self._batch = batch
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._rests = False
        self._calling = 0  # How many clients wait for an answer.
        self._threads = [
            threading.Thread(target=self._work, args=(number, random.Random(f"{seed}/{number}")))
            for number in range(clients)
        ]

    def __enter__(self) -> ClientLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every client finish its call; raise what went wrong with one."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        for thread in self._threads:
            thread.join()
        self._raise_failure()

    def wait_for(self, answers: int) -> None:
        """Wait for `answers` more answers."""
        goal = len(self.told) + answers
        self._until(lambda: len(self.told) >= goal, f"{answers} more answers")

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """All that was asked for is answered, and nothing is asked for until the end of this."""
        with self._news:
            self._rests = True
        try:
            self._until(lambda: self._calling == 0, "an answer for everybody")
            yield
        finally:
            with self._news:
                self._rests = False
                self._news.notify_all()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        with self._news:
            there = self._news.wait_for(lambda: condition() or self._failure is not None, _TIMEOUT_S)
        self._raise_failure()
        if not there:
            raise OperationFailed(f"in {_TIMEOUT_S:g} s there was not {what}")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise OperationFailed(f"a client got an error: {self._failure!r}") from self._failure

    def _work(self, number: int, chance: random.Random) -> None:
        try:
            with connect(self._configuration, timeout=_TIMEOUT_S) as bank:
                sequence = 0
                while not self._stop.wait(chance.random() * _LONGEST_PAUSE_S):
                    sequence += 1
                    self._one_call(bank, f"client{number}:{sequence}", chance)
        except BaseException as failure:
            with self._news:
                self._failure = failure
                self._news.notify_all()

    def _one_call(self, bank: BankClient, request_id: str, chance: random.Random) -> None:
        with self._news:
            self._news.wait_for(lambda: not self._rests or self._stop.is_set())
            self._calling += 1
        count = self._batch if chance.random() < 0.3 else 1
        operations = [_operation(chance) for _ in range(count)]
        results: Sequence[Receipt | Refused] = bank.submit(operations, request_id=request_id)
        newest = max(int(result.action_id or 0) for result in results)
        with self._news:
            self.told[request_id] = newest
            self._calling -= 1
            self._news.notify_all()


_TRANSFERS = 0.2


def _operation(chance: random.Random) -> Operation:
    account = chance.randint(1, ACCOUNTS + 20)  # Some are not there: a decline is an entry like any other.
    if chance.random() < _TRANSFERS:
        return Transfer(account, account % ACCOUNTS + 1, chance.randint(0, 600))
    kind = Withdraw if chance.random() < 0.5 else Deposit
    return kind(account, chance.randint(0, 600))
