"""Who may ask the console: every way in that a page elsewhere, or a stranger, could try."""

from __future__ import annotations

import pytest

from bankrmi.console.guard import Guard, new_token

HERE = {"host": "127.0.0.1:9080"}
TOKEN = {"authorization": "Bearer the-token"}
OURS = {"origin": "http://127.0.0.1:9080"}


def guard() -> Guard:
    return Guard("the-token", 9080)


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        (HERE, False),
        ({"host": "LOCALHOST:9080"}, False),
        ({"host": "[::1]:9080"}, False),
        (HERE | OURS, False),
        (HERE | TOKEN, True),
        (HERE | TOKEN | OURS, True),
        (HERE | OURS | {"authorization": "bearer the-token"}, True),
    ],
)
def test_our_own_page_and_commands_with_the_token_may(headers: dict[str, str], changes: bool) -> None:
    assert guard().why_not(headers, changes=changes) is None


def test_an_invitation_is_good_once_and_for_nobody_who_guesses() -> None:
    inviting = guard()
    code = inviting.invite().rpartition("/")[2]
    assert inviting.accept(code) == "/#token=the-token"
    assert inviting.accept(code) is None
    assert inviting.invite() != inviting.invite()
    assert inviting.accept("a guess") is None
    older = inviting.invite()
    newer = inviting.invite()
    assert inviting.accept(older.rpartition("/")[2]) is None
    assert inviting.accept(newer.rpartition("/")[2]) is None, "who guessed has used it up"


@pytest.mark.parametrize(
    ("headers", "changes", "status"),
    [
        ({}, False, 421),
        ({"host": "evil.example"}, False, 421),
        ({"host": "evil.example:9080"}, False, 421),  # A name that was made to lead here.
        ({"host": "127.0.0.1"}, False, 421),
        ({"host": "127.0.0.1:9081"} | TOKEN, True, 421),
        (HERE | {"origin": "http://evil.example"}, False, 403),
        (HERE | TOKEN | {"origin": "http://evil.example:9080"}, True, 403),
        (HERE | TOKEN | {"origin": "null"}, True, 403),
        (HERE | TOKEN | {"origin": "https://127.0.0.1:9080"}, True, 403),
        (HERE | TOKEN | {"origin": ""}, True, 403),
        (HERE, True, 401),
        (HERE | OURS, True, 401),
        (HERE | {"authorization": "Bearer another"}, True, 401),
        (HERE | {"authorization": "Bearer "}, True, 401),
        (HERE | {"authorization": "Basic the-token"}, True, 401),
        (HERE | {"authorization": "Bearer thé-token"}, True, 401),
    ],
)
def test_nobody_else_may(headers: dict[str, str], changes: bool, status: int) -> None:
    refused = guard().why_not(headers, changes=changes)
    assert refused is not None
    assert refused[0] == status
    assert refused[1]


def test_tokens_differ_and_are_long() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) >= 24
