"""Clients that keep a bank busy, and remember every word they were told.

    with Load(cluster, clients=4) as load:
        load.wait_for(200)              # 200 more answers
        cluster.kill(cluster.primary())
        load.wait_for(200)
    load.check(cluster.copy("s1"))      # at the end of the `with` the clients stop; an error fails the test

Rule 1: a client's error fails the test, unless the load was told to expect it (`errors` has them all).
Rule 2: a decline is an answer like any other: it stands in the journal.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from bankrmi.bank.forms import described
from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client import BankClient
from bankrmi.errors import (
    AccountNotFound,
    BalanceTooLarge,
    BankError,
    InsufficientFunds,
    Refused,
)
from tests.system.cluster import Cluster
from tests.system.copies import Copy, check_agreement, check_copy

__all__ = ["Answered", "Load"]

NO_SUCH_ACCOUNT = 50
_STATUS: dict[type[BankError], str] = {
    AccountNotFound: "no_account",
    InsufficientFunds: "insufficient",
    BalanceTooLarge: "too_large",
}
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A call that got its answer; `request_id` is None for a look-up."""

    began: float
    ended: float
    request_id: str | None
    operations: tuple[Withdraw | Deposit, ...]
    results: tuple[Receipt | Refused, ...]

    @property
    def action_id(self) -> int:
        """The newest entry that the answer rests on."""
        return max(int(result.action_id or 0) for result in self.results)


class Load:
    """Clients in threads of their own."""

    def __init__(self, cluster: Cluster, *, clients: int = 4) -> None:
        self.answered: list[Answered] = []
        self.errors: list[BaseException] = []
        self._cluster = cluster
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(number, random.Random(number)))
            for number in range(1, clients + 1)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()
        if failure is None and self.errors:
            raise AssertionError(f"a client got an error: {self.errors[0]!r}") from self.errors[0]

    def stop(self) -> None:
        """Let every client finish its call; return when they have."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int, *, at_most: float | None = None) -> None:
        """Wait for `answers` more; with `at_most` (seconds) they need not come. No error may come."""
        with self._news:
            goal = len(self.answered) + answers
            there = self._news.wait_for(lambda: len(self.answered) >= goal or self.errors, at_most or _WAIT_S)
        assert not self.errors, f"a client got an error: {self.errors[0]!r}"
        assert there or at_most is not None, f"in {_WAIT_S:g} s there were not {answers} more answers"

    # -- clients ---------------------------------------------------------------------------------

    def _work(self, number: int, chance: random.Random) -> None:
        bank = self._cluster.client(timeout=_WAIT_S)
        try:
            sequence = 0
            while not self._stop.wait(chance.random() * 0.004):
                sequence += 1
                answered = self._one_call(bank, f"client{number}:{sequence}", chance)
                with self._news:
                    self.answered.append(answered)
                    self._news.notify_all()
        except BaseException as error:
            with self._news:
                self.errors.append(error)
                self._news.notify_all()

    @staticmethod
    def _one_call(bank: BankClient, request_id: str, chance: random.Random) -> Answered:
        operations = _operations(chance)
        results: tuple[Receipt | Refused, ...]
        sent_as: str | None = request_id
        began = time.monotonic()
        try:
            if not operations:
                sent_as, results = None, (bank.balance(chance.randint(1, 5)),)
            elif len(operations) > 1:
                results = tuple(bank.submit(operations, request_id=request_id))
            elif isinstance(operations[0], Withdraw):
                results = (bank.withdraw(operations[0].account, operations[0].amount, request_id=request_id),)
            else:
                results = (bank.deposit(operations[0].account, operations[0].amount, request_id=request_id),)
        except tuple(_STATUS) as declined:
            assert isinstance(declined, Refused)
            results = (declined,)
        return Answered(
            began=began, ended=time.monotonic(), request_id=sent_as, operations=operations, results=results
        )

    # -- the verdict -----------------------------------------------------------------------------

    def check_disks(self) -> list[Copy]:
        """Wait until all servers are in sync, kill them, and judge their disks; return these."""
        self.stop()
        cluster = self._cluster
        cluster.wait_until_in_sync()
        cluster.kill(*cluster.servers)
        copies = [cluster.copy(name) for name in cluster.servers]
        for copy in copies:
            check_copy(copy, cluster.ledger)
            self.check(copy)
        check_agreement(*copies)
        assert len({copy.tip for copy in copies}) == 1
        return copies

    def check(self, copy: Copy) -> None:
        """Everything that was answered stands in this journal, once, and in an order that clients saw."""
        requests: dict[str, list[int]] = {}
        for entry in copy.entries:
            requests.setdefault(f"{entry.session}:{entry.sequence}", []).append(entry.action_id)
        balances = _Balances(copy, self._cluster.ledger)
        for answered in self.answered:
            if answered.request_id is None:
                balances.check(answered)
            else:
                _check_answer(answered, copy, requests.get(answered.request_id, []))
        self._check_order()

    def _check_order(self) -> None:
        """What was answered before a call began is older than what this call was told (linearizable)."""
        newest, ended = 0, sorted(self.answered, key=lambda one: one.ended)
        position = 0
        for answered in sorted(self.answered, key=lambda one: one.began):
            while ended[position].ended < answered.began:
                newest = max(newest, ended[position].action_id)
                position += 1
            if answered.request_id is None:
                assert answered.action_id >= newest, f"a stale look-up: {answered}, after {newest}"
            else:
                assert answered.action_id > newest, f"{answered} has its place before {newest}"


def _operations(chance: random.Random) -> tuple[Withdraw | Deposit, ...]:
    """Return what to do next; nothing for a look-up."""
    what = chance.random()
    if what < 0.2:
        return ()
    count = 1 if what < 0.85 else chance.randint(2, 12)
    return tuple(_operation(chance) for _ in range(count))


def _operation(chance: random.Random) -> Withdraw | Deposit:
    account = NO_SUCH_ACCOUNT if chance.random() < 0.05 else chance.randint(1, 5)
    kind = Withdraw if chance.random() < 0.5 else Deposit
    return kind(account, chance.randint(0, 60))


def _check_answer(answered: Answered, copy: Copy, action_ids: list[int]) -> None:
    assert len(action_ids) == len(answered.operations), f"{copy.server} has {action_ids} of {answered}"
    for action_id, operation, result in zip(action_ids, answered.operations, answered.results, strict=True):
        entry = copy.entries[action_id - 1]
        kind = "withdraw" if isinstance(operation, Withdraw) else "deposit"
        wanted = {"kind": kind, "account": operation.account, "amount": operation.amount}
        assert described(entry.operation) == wanted, f"{entry} is not what {answered} asked for"
        assert result.action_id == action_id, f"{result!r} does not stand at {action_id}"
        status = "done" if isinstance(result, Receipt) else _STATUS[type(result)]
        assert (entry.status, entry.result) == (status, result.balance), f"{result!r} is not {entry}"


class _Balances:
    """Balances after each entry, of accounts that changed there."""

    def __init__(self, copy: Copy, ledger: dict[int, int]) -> None:
        self._ledger = ledger
        self._changes: dict[int, list[tuple[int, int]]] = {}
        for entry in copy.entries:
            if entry.status == "done" and isinstance(entry.result, int):
                account = described(entry.operation)["account"]
                self._changes.setdefault(account, []).append((entry.action_id, entry.result))

    def check(self, answered: Answered) -> None:
        result = answered.results[0]
        assert isinstance(result, Receipt)
        balance = self._ledger[result.account]
        for action_id, after in self._changes.get(result.account, []):
            if action_id > result.action_id:
                break
            balance = after
        assert result.balance == balance, f"{result} should have been {balance}"
