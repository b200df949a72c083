"""Without a workload, what annotations allow is drawn, and nothing else; the same for the same chance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

import bankrmi
from bankrmi.robustness.services.any_calls import any_calls
from bankrmi.robustness.services.conversations import Conversation
from bankrmi.service import described


@dataclass
class Place:
    shelf: Literal["low", "high"]
    number: int = 1
    marks: list[str] = field(default_factory=list)


class Takes(bankrmi.Service):
    """Methods with all kinds of arguments."""

    @bankrmi.update
    def numbers(self, one: int, part: float, maybe: int | None, flag: bool) -> None: ...

    @bankrmi.update
    def texts(self, name: str, raw: bytes, nothing: None = None, *more: str) -> None: ...

    @bankrmi.update
    def several(
        self, words: list[str], pairs: dict[str, int], point: tuple[int, str], many: set[int]
    ) -> None: ...

    @bankrmi.query
    def place(
        self,
        where: Place,
        size: Annotated[int, Field(strict=True)],
        anything: Any,
        bare: list,  # type: ignore[type-arg]
    ) -> None: ...


def drawn(seed: int, count: int) -> list[str]:
    description = described(Takes)
    conversation = Conversation(description, any_calls(description), random.Random(seed))
    return [str(conversation.next()) for _ in range(count)]


def test_every_method_is_called_with_what_it_takes() -> None:
    """`bound` has checked each of them."""
    calls = drawn(1, 200)
    assert {call.partition("(")[0] for call in calls} == {"numbers", "texts", "several", "place"}
    assert any("None" in call for call in calls if call.startswith("numbers"))
    assert any("'shelf': 'low'" in call for call in calls if call.startswith("place"))


def test_the_same_chance_draws_the_same() -> None:
    assert drawn(2, 50) == drawn(2, 50)
    assert drawn(2, 50) != drawn(3, 50)


def test_what_a_client_was_told_is_given_back() -> None:
    """Ids, wherever they are in what was returned; and what is refused, or in doubt, ends nothing."""
    description = described(Takes)
    conversation = Conversation(description, any_calls(description), random.Random(4))
    calls = []
    for number in range(200):
        calls.append(str(conversation.next()))
        if number % 3:
            conversation.returned([{"key": Place("low", marks=["an-id"])}, "x" * 100])
        else:
            conversation.raised(KeyError("refused"))
    assert any("'an-id'" in call for call in calls if call.startswith("texts"))
    assert not any("x" * 70 in call for call in calls)
