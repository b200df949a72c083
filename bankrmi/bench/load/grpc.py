"""etcd's messages, and a withdrawal by them: one transaction, if what is known of the balance is still true.

Rule 1: "if it is still so, write the new balance and the request; else tell how it is": one trip as a rule.
Rule 2: what is known is shared by the clients of a process; two that meet on an account cost a second trip.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence

from bankrmi.bench.load.http2 import Grpc, open_grpc
from bankrmi.bench.load.order import OPENING, LoadOrder
from bankrmi.bench.load.protobuf import field, fields, first, number

__all__ = ["LARGEST_BATCH", "fill", "grpc", "leader_and_self"]

LARGEST_BATCH = 100
"""A transaction holds 128 operations at most, unless etcd is told otherwise."""

_FILLED_TOGETHER = 120
_TXN = "/etcdserverpb.KV/Txn"
_RANGE = "/etcdserverpb.KV/Range"
_STATUS = "/etcdserverpb.Maintenance/Status"
_CREATED, _VALUE = 1, 3
"""What a comparison may be about."""


class _EtcdCaller:
    def __init__(self, connection: Grpc, known: dict[int, int]) -> None:
        self._connection = connection
        self._known = known
        self._session = secrets.token_hex(8).encode()
        self._sequence = 0

    async def withdraw(self, account: int) -> object:
        return await self._withdraw({account: 1})

    async def withdraw_each(self, accounts: Sequence[int]) -> object:
        return await self._withdraw(Counter(accounts))

    async def balance(self, account: int) -> object:
        return await self._connection.ask(_RANGE, field(1, _key(account)))

    async def _withdraw(self, amounts: Mapping[int, int]) -> object:
        self._sequence += 1
        request = b"r/%s:%d" % (self._session, self._sequence)
        while True:
            known = {account: self._known.get(account, OPENING) for account in amounts}
            after = {account: known[account] - amount for account, amount in amounts.items()}
            if min(after.values()) < 0:
                return None  # Refused; never so with what accounts open with.
            answer = await self._connection.ask(_TXN, _transaction(request, known, after))
            if first(answer, 2) == 1:
                self._known.update(after)
                return after
            self._known.update(_told(answer))


def _transaction(request: bytes, known: Mapping[int, int], after: Mapping[int, int]) -> bytes:
    new_request = field(1, number(2, _CREATED), field(3, request), number(5, 0))
    still = [
        field(1, number(2, _VALUE), field(3, _key(account)), field(7, b"%d" % balance))
        for account, balance in known.items()
    ]
    puts = [field(2, _put(_key(account), b"%d" % balance)) for account, balance in after.items()]
    outcome = field(2, _put(request, b"done"))
    looks = [field(3, field(1, field(1, _key(account)))) for account in known]
    return b"".join((new_request, *still, *puts, outcome, *looks))


def _put(key: bytes, value: bytes) -> bytes:
    return field(2, field(1, key), field(2, value))


def _key(account: int) -> bytes:
    return b"a/%d" % account


def _told(answer: bytes) -> dict[int, int]:
    """Return the balances in the answer to a transaction that was not carried out."""
    found = {}
    for place, operation in fields(answer):
        if place == 3 and isinstance(operation, bytes):
            looked = first(operation, 1)
            pair = first(looked, 2) if isinstance(looked, bytes) else None
            if isinstance(pair, bytes):
                key, value = first(pair, 1), first(pair, 5)
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                found[int(key[2:])] = int(value)
    return found


async def grpc(order: LoadOrder) -> list[_EtcdCaller]:
    """Connect each client to the leader."""
    host, port = order.where["host"], int(order.where["port"])
    known: dict[int, int] = {}
    return [_EtcdCaller(await open_grpc(host, port), known) for _ in range(order.shape.clients)]


async def fill(host: str, port: int, accounts: int) -> None:
    """Open the accounts."""
    connection = await open_grpc(host, port)
    for start in range(1, accounts + 1, _FILLED_TOGETHER):
        some = range(start, min(start + _FILLED_TOGETHER, accounts + 1))
        puts = (field(2, _put(_key(account), b"%d" % OPENING)) for account in some)
        await connection.ask(_TXN, b"".join(puts))
    connection.close()


async def leader_and_self(host: str, port: int) -> tuple[int, int]:
    """Return the id of the leader, as a member sees it, and the member's own; 0 for nobody."""
    connection = await open_grpc(host, port)
    try:
        status = await connection.ask(_STATUS, b"")
    finally:
        connection.close()
    header = first(status, 1)
    leader = first(status, 4) or 0
    own = first(header, 2) if isinstance(header, bytes) else 0
    assert isinstance(leader, int)
    assert isinstance(own, int)
    return leader, own
