"""Whom the daemon refuses or cuts is counted by why, whatever they send."""

from __future__ import annotations

from contextlib import ExitStack
from typing import get_args

import pytest

from bankrmi.rmi import ConnectDenied, Limits, connect, handshake
from bankrmi.rmi.frames import CONNECT, MSGPACK
from bankrmi.rmi.refusals import REASONS, Reason, refusals
from bankrmi.rmi.values import write_value

from .account import RawCaller, until
from .conftest import Serving
from .test_crowds import announced


class Tally:
    """How often each reason has been counted since this was made."""

    def __init__(self) -> None:
        self._before = dict(refusals.by_reason)

    def grown(self) -> dict[str, int]:
        return {
            reason: count - self._before[reason]
            for reason, count in refusals.by_reason.items()
            if count != self._before[reason]
        }


@pytest.fixture
def tally() -> Tally:
    return Tally()


def test_the_reasons_are_a_closed_set() -> None:
    assert get_args(Reason) == REASONS
    assert tuple(refusals.by_reason) == REASONS


def test_a_handshake_that_is_denied(serving: Serving, tally: Tally) -> None:
    daemon = serving.daemon()
    with RawCaller(daemon, greet=False) as caller:
        caller.send(CONNECT, write_value(MSGPACK, {"handshake": "hello", "object": "nobody"}))
        caller.receive()
    assert tally.grown() == {"handshake": 1}


def test_a_message_that_is_none(serving: Serving, tally: Tally) -> None:
    with RawCaller(serving.daemon(), greet=False) as caller:
        caller.socket.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(40))
        assert caller.is_cut()
    assert tally.grown() == {"bad_message": 1}


def test_a_message_that_does_not_come(serving: Serving, tally: Tally) -> None:
    with RawCaller(serving.daemon(Limits(message_deadline_ms=100, sweep_ms=20)), greet=False) as caller:
        caller.socket.sendall(b"PYRO")
        assert caller.is_cut()
    assert tally.grown() == {"slow_message": 1}


def test_who_finds_no_seat_and_who_makes_room(serving: Serving, tally: Tally) -> None:
    daemon = serving.daemon(Limits(connections=2))
    with ExitStack() as holders:
        busy = holders.enter_context(RawCaller(daemon))
        busy.call("keep")
        holders.enter_context(RawCaller(daemon))
        holders.enter_context(RawCaller(daemon)).call("keep")
        until(lambda: tally.grown() == {"makes_room": 1})
        with pytest.raises(ConnectDenied):
            connect(daemon.address, "acc", handshake("client"), 5)
    assert tally.grown() == {"makes_room": 1, "no_seat": 1}


def test_who_has_sent_too_much_in_part(serving: Serving, tally: Tally) -> None:
    daemon = serving.daemon(Limits(held_bytes=2 << 20, sweep_ms=20))
    with ExitStack() as holders:
        for _ in range(3):
            holder = holders.enter_context(RawCaller(daemon))
            holder.socket.sendall(announced(600_000) + bytes(500_000))
        until(lambda: tally.grown() == {"held_bytes": 1})
        until(lambda: 900_000 < serving.do(lambda: daemon.held_bytes) <= 1 << 20)
        assert serving.do(lambda: daemon.held_for_servers_bytes) == 0
