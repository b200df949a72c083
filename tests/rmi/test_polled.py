"""Links without an event loop: one thread, several connections, one wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from bankrmi.errors import ConfigurationError, InsufficientFunds
from bankrmi.rmi import (
    ConnectDenied,
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    Limits,
    NotConnected,
    PolledLink,
    PolledLinks,
    handshake,
)
from tests.rmi.conftest import Serving

from .account import Account, until
from .strange_servers import Behaviour, closes, free_address, resets, says, strange_server


class Caller:
    """Links of one thread, and what they told."""

    def __init__(self) -> None:
        self.links = PolledLinks()
        self.told: list[object] = []

    def open(self, address: str, object_id: str = "acc") -> PolledLink:
        up: Callable[[object], None] = lambda _: self.told.append("up")  # noqa: E731
        link = PolledLink(
            self.links, address, object_id, handshake("client"), up, self.told.append, limits=Limits()
        )
        link.open()
        return link

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, self.told
            self.links.wait(0.1)

    def up(self, address: str, object_id: str = "acc") -> PolledLink:
        link = self.open(address, object_id)
        self.until(lambda: link.up)
        return link

    def answer(self, link: PolledLink, method: str, *args: object) -> Any:
        answers: list[object] = []
        link.call(method, args, answers.append)
        self.until(lambda: answers)
        return answers[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_call_is_answered_with_a_value_or_an_error_of_ours(serving: Serving, host: str) -> None:
    caller, daemon = Caller(), serving.daemon()
    link = caller.up(f"{host}:{daemon.address.rpartition(':')[2]}")
    assert caller.answer(link, "echo", 5) == 5
    assert isinstance(caller.answer(link, "withdraw"), InsufficientFunds)
    link.close()
    assert caller.told == ["up", "closed"]


def test_what_does_not_fit_into_the_sockets_buffers_goes_in_pieces_both_ways(serving: Serving) -> None:
    caller = Caller()
    link = caller.up(serving.daemon().address)
    large = b"x" * 900_000
    assert caller.answer(link, "echo", large) == large
    assert link.unsent_bytes == 0
    link.close()


def test_several_links_are_waited_for_at_once(serving: Serving) -> None:
    caller, account = Caller(), Account()
    daemon = serving.daemon(objects={"other": account})
    slow, quick = caller.up(daemon.address, "other"), caller.up(daemon.address)
    late: list[object] = []
    slow.call("keep", (), late.append)
    assert caller.answer(quick, "echo", 1) == 1
    assert late == []
    caller.until(lambda: account.kept)
    serving.do(lambda: account.kept[0].answer("late"))
    caller.until(lambda: late)
    assert late == ["late"]
    slow.close()
    quick.close()


def test_a_ping_is_answered_while_the_call_waits(serving: Serving) -> None:
    caller, account = Caller(), Account()
    link = caller.up(serving.daemon(objects={"other": account}).address, "other")
    answers: list[object] = []
    link.call("keep", (), answers.append)
    for pongs in range(1, 4):
        heard: list[int] = []
        link.ping(lambda heard=heard, pongs=pongs: heard.append(pongs))  # type: ignore[misc]
        caller.until(lambda heard=heard: heard)  # type: ignore[misc]
    assert answers == []
    serving.do(lambda: account.kept[0].answer(1))
    caller.until(lambda: answers)
    link.close()


def test_who_only_pings_gets_no_second_call_in_progress(serving: Serving) -> None:
    """What stands behind a call that waits, waits, too: pings or not."""
    caller, account = Caller(), Account()
    link = caller.up(serving.daemon(objects={"other": account}).address, "other")
    link.call("keep", (), lambda _: None)
    link.call("echo", (1,), lambda _: None)
    heard: list[int] = []
    link.ping(lambda: heard.append(1))
    caller.until(lambda: account.kept)
    caller.links.wait(0.1)
    assert account.invoked == ["keep"]
    assert heard == []
    serving.do(lambda: account.kept[0].answer(1))
    caller.until(lambda: heard)
    link.close()


def test_an_idle_link_that_the_other_side_closed_has_news(serving: Serving) -> None:
    caller, daemon = Caller(), serving.daemon()
    link = caller.up(daemon.address)
    news = [link.has_news]
    serving.run(daemon.close())
    until(lambda: link.has_news)
    caller.until(lambda: not link.up)
    assert [*news, link.has_news] == [False, True]
    with pytest.raises(NotConnected):
        link.ping(lambda: None)


@pytest.mark.parametrize(
    ("behave", "kind", "reason"),
    [
        (closes, ConnectFailed, "reset"),
        (resets, ConnectFailed, "reset"),
        (says(b"HTTP/1.1 "), ConnectFailed, "reset"),
    ],
)
def test_a_connection_that_does_not_come_about_says_why(
    behave: Behaviour, kind: type[Exception], reason: str
) -> None:
    caller = Caller()
    with strange_server(behave) as address:
        link = caller.open(address)
        caller.until(lambda: caller.told)
    assert caller.told == [reason]
    assert isinstance(link.failure, kind)


def test_nobody_there_and_nobody_of_that_name_are_told_apart(serving: Serving) -> None:
    caller = Caller()
    refused = caller.open(free_address())
    unknown = caller.open("no-such-host.invalid:1")
    denied = caller.open(serving.daemon().address, "nothing of this name")
    caller.until(lambda: len(caller.told) == 3)
    assert isinstance(refused.failure, ConnectRefused)
    assert isinstance(unknown.failure, ConnectFailed)
    assert isinstance(denied.failure, ConnectDenied)
    with pytest.raises(ConfigurationError):
        caller.open("no address")


def test_a_call_that_is_cut_off_is_answered_once(serving: Serving) -> None:
    caller, account = Caller(), Account()
    daemon = serving.daemon(objects={"other": account})
    link = caller.up(daemon.address, "other")
    answers: list[object] = []
    link.call("keep", (), answers.append)
    caller.until(lambda: account.kept)
    serving.run(daemon.close())
    caller.until(lambda: not link.up)
    assert [type(one) for one in answers] == [ConnectionLost]
    assert caller.told == ["up", "reset"]
