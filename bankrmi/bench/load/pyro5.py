"""The stock Pyro5 that a bank is compared with: its server, with a bank in memory, and its proxy.

    python -m bankrmi.bench.load.pyro5 [thread|multiplex]

Nothing is durable here, and there is one copy: it is the bare cost of a call. Writes `begun URI` when it
serves.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import Pyro5.api
import Pyro5.server
from Pyro5 import config

from bankrmi.bench.load.order import ACCOUNTS, BEGUN, OPENING

__all__ = ["OBJECT", "main", "proxy"]

OBJECT = "bench.account"


@Pyro5.server.expose
class StockBank:
    """The same methods as an account object has."""

    def __init__(self) -> None:
        self._balances = [OPENING] * (ACCOUNTS + 1)
        self._outcomes: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()

    def withdraw(self, account: int, amount: int, request_id: str) -> int:
        """Withdraw, unless it would be too much; the same request again gets the same answer."""
        with self._one_at_a_time:
            outcome = self._outcomes.get(request_id)
            if outcome is None:
                outcome = self._outcomes[request_id] = self._decide(account, amount)
            return int(outcome)

    def submit(self, operations: Sequence[Sequence[Any]], request_id: str) -> list[int]:
        """Do all of them, in order."""
        with self._one_at_a_time:
            outcome = self._outcomes.get(request_id)
            if outcome is None:
                outcome = [self._decide(account, amount) for _, account, amount in operations]
                self._outcomes[request_id] = outcome
            return list(outcome)

    def balance(self, account: int) -> int:
        """Return what is on an account."""
        return self._balances[account]

    def echo(self, *args: object) -> tuple[object, ...]:
        """Return what it was given."""
        return args

    def _decide(self, account: int, amount: int) -> int:
        if self._balances[account] < amount:
            return -1
        self._balances[account] -= amount
        return self._balances[account]


def proxy(uri: str) -> Any:
    """Return a stock proxy, set to the serializer that both sides read fastest."""
    config.SERIALIZER = "msgpack"
    return Pyro5.api.Proxy(uri)


def main() -> None:
    """Serve until killed."""
    config.SERVERTYPE = sys.argv[1] if len(sys.argv) > 1 else "thread"
    config.THREADPOOL_SIZE = 512
    with Pyro5.server.Daemon("127.0.0.1", 0) as daemon:
        uri = daemon.register(StockBank(), OBJECT)
        sys.stdout.write(f"{BEGUN} {uri}\n")
        sys.stdout.flush()
        daemon.requestLoop()


if __name__ == "__main__":
    main()
