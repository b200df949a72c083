"""Servers whose bytes are none of our protocol, or end too early: for both clients.

Rule: whatever leaves a client is one of our errors, and says truly whether it happened.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bankrmi.bank.operations import Receipt
from bankrmi.errors import BankError, Busy, InDoubt, Unreached
from bankrmi.rmi.frames import CONNECT_OK, EXCEPTION, MSGPACK, PING, RESULT, frame_bytes
from bankrmi.rmi.values import write_value
from tests.client.both_clients import BALANCE, WITHDRAW, Perform, asynchronous, blocking, replace_servers
from tests.client.doubles import DoubleBank, Ledger
from tests.rmi.strange_servers import strange_server

pytestmark = pytest.mark.parametrize("perform", [blocking, asynchronous])


GREETING = frame_bytes(CONNECT_OK, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": {}, "meta": {}}))
ENDLESS: object = []
for _ in range(400):
    ENDLESS = [ENDLESS]
ERRORS: list[object] = [
    {"attributes": {"code": "busy", "self": 1, "retry_ms": 2**70}, "args": ["x"]},
    {"attributes": {"code": "not_primary", **{f"d{n}": "x" * 2000 for n in range(50)}}, "args": [{"a": 1}]},
    {"__class__": "builtins.KeyError", "args": [ENDLESS]},
    {"attributes": {"code": "stale", 5: 6, "request_id": [1]}, "args": [ENDLESS]},
    ENDLESS,
    None,
    2**60,
]


def speaks(*pieces: bytes, done: Callable[[], None] = lambda: None) -> Callable[[socket.socket], None]:
    """Answer each message with the next piece, then close; call `done` when all were said."""

    def behave(connected: socket.socket) -> None:
        connected.settimeout(2)
        try:
            for piece in pieces:
                if not connected.recv(1 << 16):
                    return
                connected.sendall(piece)
        except OSError:
            return
        done()

    return behave


def ends_in(perform: Perform, bank: DoubleBank, pieces: tuple[bytes, ...]) -> BankError:
    with strange_server(speaks(*pieces)) as address:
        configuration = replace_servers(bank.configuration, {"s1": address})
        return one_of_ours(perform(configuration, [WITHDRAW], 0.15))


def hears_and_ends_in(perform: Perform, bank: DoubleBank, pieces: tuple[bytes, ...]) -> BankError:
    """The same, with as much time as it takes until all of this has been said."""
    said = threading.Event()
    with strange_server(speaks(*pieces, done=said.set)) as address:
        configuration = replace_servers(bank.configuration, {"s1": address})
        for doubled in range(8):
            error = one_of_ours(perform(configuration, [WITHDRAW], 0.15 * 2**doubled))
            if said.is_set():
                return error
    raise AssertionError(f"in 19 s it was not said to the end; at last {error}")


def one_of_ours(errors: list[Any]) -> BankError:
    (error,) = errors
    assert isinstance(error, BankError), error
    assert len(str(error)) < 3000
    return error


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_a_server_calls_an_error_becomes_one_of_ours(
    bank: DoubleBank, perform: Perform, error: object
) -> None:
    frame = frame_bytes(RESULT, MSGPACK, EXCEPTION, 1, write_value(MSGPACK, error))
    assert isinstance(hears_and_ends_in(perform, bank, (GREETING, frame)), InDoubt | Busy)


def test_closing_at_any_byte_is_honestly_told(bank: DoubleBank, perform: Perform) -> None:
    """Before the greeting is whole, nothing was sent; after it, the request was."""
    answer = {"account": 2, "balance": 290, "action_id": 1, "history": "h1", "request_id": "no"}
    frame = frame_bytes(RESULT, MSGPACK, 0, 1, write_value(MSGPACK, answer))
    for length in (0, 1, 7, 39, 40, len(GREETING) - 1):
        assert isinstance(hears_and_ends_in(perform, bank, (GREETING[:length],)), Unreached)
    for length in (0, 1, 7, 39, 40, len(frame) - 1, len(frame)):
        assert isinstance(hears_and_ends_in(perform, bank, (GREETING, frame[:length])), InDoubt)


def test_no_garbage_leaves_a_client_as_anything_but_an_error_of_ours(
    bank: DoubleBank, perform: Perform
) -> None:
    chance = random.Random(9)
    error = frame_bytes(RESULT, MSGPACK, EXCEPTION, 1, write_value(MSGPACK, ERRORS[1]))
    pong = frame_bytes(PING, MSGPACK, 0, 1, b"pong")
    for _ in range(25):
        pieces = []
        for piece in (GREETING, chance.choice([error, pong, GREETING])):
            garbled = bytearray(piece)
            for _ in range(chance.choice([0, 1, 1, 3])):
                garbled[chance.randrange(len(garbled))] = chance.randrange(256)
            pieces.append(bytes(garbled))
        ends_in(perform, bank, tuple(pieces))


def test_a_name_server_that_is_mad_costs_nothing(bank: DoubleBank, perform: Perform) -> None:
    bank.start("s1", Ledger({2: 300}))
    for said in (GREETING, b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        frame = frame_bytes(RESULT, MSGPACK, 0, 1, write_value(MSGPACK, {"a": 2**60, "b": ENDLESS}))
        with strange_server(speaks(said, frame)) as address:
            configuration = bank.configuration.model_copy(update={"nameserver": address})
            assert isinstance(perform(configuration, [BALANCE], 5)[0], Receipt)
