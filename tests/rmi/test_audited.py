"""What an operator does is a line of the log, whatever comes of it, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from bankrmi.errors import InsufficientFunds
from bankrmi.rmi import Audited, Daemon, arguments, connect, handshake

from .account import Account, until
from .conftest import Serving


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as kept:
        yield kept


@pytest.fixture
def audited(serving: Serving) -> Daemon:
    kept = Audited(Account(), dict.fromkeys(("echo", "withdraw", "crash", "keep"), arguments("which")))
    return serving.daemon(objects={"operator": kept})


def told(lines: list[Any]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "operator"]


def test_what_an_operator_does_is_told_with_what_came_of_it(audited: Daemon, lines: list[Any]) -> None:
    with connect(audited.address, "operator", handshake("operator"), 5) as operator:
        operator.call("echo", ["s2"], timeout=5)
        with pytest.raises(InsufficientFunds):
            operator.call("withdraw", ["s3"], timeout=5)
        operator.call("note", ["nothing"], timeout=5)
    done, refused = told(lines)
    assert (done["what"], done["which"], done["outcome"]) == ("echo", "s2", "done")
    assert (refused["what"], refused["outcome"]) == ("withdraw", "refused")
    assert refused["reason"] == "the amount exceeds the balance"
    assert done["peer"].startswith("127.0.0.1:")
    assert done["who"] == "(no certificate)"


def test_what_went_wrong_unexpectedly_has_a_line_without_its_words(audited: Daemon, lines: list[Any]) -> None:
    with (
        connect(audited.address, "operator", handshake("operator"), 5) as operator,
        pytest.raises(Exception, match="went wrong"),
    ):
        operator.call("crash", timeout=5)
    [line] = told(lines)
    assert line["outcome"] == "refused"
    assert "secret" not in line["reason"]


def test_others_and_what_is_not_to_be_told_have_no_line(audited: Daemon, lines: list[Any]) -> None:
    with connect(audited.address, "operator", handshake("client"), 5) as client:
        assert client.call("echo", ["s2"], timeout=5) == "s2"
    assert told(lines) == []


def test_an_operator_who_leaves_before_his_answer_has_a_line_all_the_same(
    serving: Serving, lines: list[Any]
) -> None:
    account = Account()
    daemon = serving.daemon(objects={"operator": Audited(account, {"keep": arguments("which")})})
    with connect(daemon.address, "operator", handshake("operator"), 5) as operator:
        with pytest.raises(Exception, match="no answer"):
            operator.call("keep", ["s2"], timeout=0.05)
        until(lambda: account.kept)
    until(lambda: account.kept[0].connection_lost)
    serving.do(lambda: account.kept[0].answer("done"))
    [line] = told(lines)
    assert (line["which"], line["outcome"], line["heard"]) == ("s2", "done", False)


@pytest.mark.parametrize(
    ("sent", "told_as"),
    [
        ("s2", "s2"),
        (True, True),
        (7, 7),
        (["s1", "s3"], "s1, s3"),
        ("two\nlines", "two\\nlines"),
        ("x" * 1000, "x" * 200 + "… (800 more)"),
        (list("abcdefghijklmnop"), "a, b, c, d, e, f, g, h, i, j, k, l"),
        ({"balance": 5}, "(unreadable)"),
        ([["deep"]], "(unreadable)"),
        (1.5, "(unreadable)"),
    ],
)
def test_what_was_asked_is_told_on_one_line_of_bounded_length(
    serving: Serving, lines: list[Any], sent: Any, told_as: Any
) -> None:
    daemon = serving.daemon(objects={"operator": Audited(Account(), {"echo": arguments("which", "more")})})
    with connect(daemon.address, "operator", handshake("operator"), 5) as operator:
        assert operator.call("echo", [sent], timeout=5) == sent
    [line] = told(lines)
    assert line["which"] == told_as
    assert "more" not in line


def test_whatever_names_it_is_asked_by_the_line_stays_ours(serving: Serving, lines: list[Any]) -> None:
    kept = Audited(
        Account(),
        {"echo": lambda call: {"who": "nobody", "outcome": "all is well", "which": call.args[0]}},
        came_to_nothing=lambda answer: answer == "s2",
    )
    daemon = serving.daemon(objects={"operator": kept})
    with connect(daemon.address, "operator", handshake("operator"), 5) as operator:
        operator.call("echo", ["s2"], timeout=5)
    [line] = told(lines)
    assert (line["who"], line["which"], line["outcome"]) == ("(no certificate)", "s2", "not done")
