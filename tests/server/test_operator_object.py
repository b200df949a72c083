"""Every outcome of an operator's wish is told, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.replication.effects import NotLeading, Refusal
from bankrmi.rmi import Peer
from bankrmi.server.operator_object import OperatorObject

NOTHING: Any = None
"""Of what is not asked for here."""


class Asked:
    """A call of an operator, as far as its object looks at it."""

    peer = Peer(address="127.0.0.1:5")

    def __init__(self, method: str, *args: object) -> None:
        self.method, self.args = method, args
        self.kwargs: dict[str, Any] = {}
        self.told: list[str] = []

    def fail(self, error: Exception) -> None:
        self.told.append(str(error))


@pytest.mark.parametrize(
    ("call", "refused", "not_leading"),
    [
        (Asked("switchover", "s2"), "no switchover: so; nothing was changed", "no switchover here: s2 leads"),
        (Asked("pause"), "no pause: so; nothing was changed", "no pause here: s2 leads"),
        (Asked("server_add", "s3", "h:1"), "so", "no change of the servers here: s2 leads"),
        (Asked("server_remove", "s3"), "so", "no change of the servers here: s2 leads"),
    ],
)
def test_what_is_not_done_is_told(call: Any, refused: str, not_leading: str) -> None:
    wishes: list[Any] = []
    OperatorObject(wishes.append, NOTHING, {}).invoke(call)
    (wish,) = wishes
    wish.token.reply(Refusal("so"))
    wish.token.reply(NotLeading("s2"))
    assert call.told == [refused, not_leading]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("localhost:9101", "127.0.0.1:9101"),
        ("[::0:1]:9102", "[::1]:9102"),
        ("localhost:9103", "localhost:9103"),
    ],
)
@pytest.mark.parametrize("method", ["server_add", "server_move"])
def test_an_address_that_is_known_in_other_letters_is_that_one(method: str, asked: str, meant: str) -> None:
    wishes: list[Any] = []
    known = {"s1": "127.0.0.1:9101", "s2": "[::1]:9102"}
    call: Any = Asked(method, "s3", asked)
    OperatorObject(wishes.append, NOTHING, known).invoke(call)
    assert wishes[0].address == meant
