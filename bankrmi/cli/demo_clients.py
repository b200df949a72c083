"""Clients of a demonstration: they move small amounts about, and know how that went.

Rule 1: they are clients like any other, by the public client: what they are told, anybody would be.
Rule 2: what was declined (an account is empty) was answered; what has no certain outcome is told as that.
Rule 3: they do not keep the end of the bank waiting.
"""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType

from bankrmi.client import BankClient, connect
from bankrmi.config import Configuration
from bankrmi.errors import BankError, Refused

__all__ = ["DemoClients"]

_CLIENTS = 2
_PAUSE_S = 0.1
_LARGEST = 5
_END_S = 2.0
"""Who still waits for an answer then is left to it: the process is about to end."""

_ACCOUNTS = range(1, 11)
"""Of the sample ledger."""


class DemoClients:
    """All of them; they work as long as the context lasts."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._answers = self._failures = 0
        self._slowest_s = self._slowest_lately_s = 0.0
        self._failures_told = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"client {number}", daemon=True)
            for number in range(1, _CLIENTS + 1)
        ]

    def __enter__(self) -> DemoClients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        deadline_s = time.monotonic() + _END_S
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def told(self) -> str:
        """Return what the clients noticed since this was asked before, as a sentence."""
        with self._lock:
            slowest_s, self._slowest_lately_s = self._slowest_lately_s, 0.0
            failed, self._failures_told = self._failures - self._failures_told, self._failures
        how = f"calls without a certain outcome: {failed}" if failed else "no error"
        return f"The clients saw {how}; their slowest answer took {1000 * slowest_s:.0f} ms."

    def told_at_the_end(self) -> str:
        """Return what became of all that they asked for, as a sentence."""
        with self._lock:
            how = f"calls without a certain outcome: {self._failures}" if self._failures else "none failed"
            slowest_ms = 1000 * self._slowest_s
            return f"The clients got {self._answers} answers, {how}; the slowest took {slowest_ms:.0f} ms."

    def _work(self) -> None:
        with connect(self._configuration) as bank:
            while not self._over.wait(random.uniform(0, 2 * _PAUSE_S)):
                giver, taker = random.sample(_ACCOUNTS, 2)
                amount = random.randint(1, _LARGEST)
                if self._call(bank, "withdraw", giver, amount):
                    self._call(bank, "deposit", taker, amount)

    def _call(self, bank: BankClient, operation: str, account: int, amount: int) -> bool:
        """Return whether it was done."""
        began_s, done, answered = time.monotonic(), False, True
        try:
            getattr(bank, operation)(account, amount)
            done = True
        except Refused:
            pass
        except BankError:
            answered = False
        took_s = time.monotonic() - began_s
        if not self._over.is_set():  # What the end of the bank does to a call is no news.
            with self._lock:
                self._answers += answered
                self._failures += not answered
                self._slowest_s = max(self._slowest_s, took_s)
                self._slowest_lately_s = max(self._slowest_lately_s, took_s)
        return done
