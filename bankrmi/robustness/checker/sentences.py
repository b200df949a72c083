"""Violations in words: which client, when, what it asked, what it was told, what is true.

Rule: a run that went wrong from its beginning breaks every rule a million times; the first thousand
      sentences are kept, and all are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bankrmi.replication.record import CANCELLED
from bankrmi.robustness.checker.history import SHOWN, HistoryCall, RequestId
from bankrmi.verifying.model import Model

__all__ = ["Sentences", "Violations", "request_in_words", "result_in_words", "results_in_words"]

_KEPT = 1000


class Violations:
    """What was found."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.count = 0

    def add(self, sentence: str) -> None:
        """Keep a sentence, if there are not too many."""
        self.count += 1
        if len(self.sentences) < _KEPT:
            self.sentences.append(sentence)


class Sentences:
    """How to speak of calls; times count from `begin_ns`."""

    def __init__(self, model: Model, begin_ns: int) -> None:
        self._model = model
        self._begin_ns = begin_ns

    def who(self, call: HistoryCall) -> str:
        """Return client, time and request of a call."""
        return f"{self.when(call)}, {self._what(call)}"

    def when(self, call: HistoryCall) -> str:
        """Return client and time of a call."""
        return f"{call.client} at {(call.invoked_ns - self._begin_ns) / 1e9:.6f} s"

    def _what(self, call: HistoryCall) -> str:
        if call.request is None:
            return f"{call.kind} {call.query}"
        request = request_in_words(call.request)
        if not call.operations:
            return f"outcome of {request}"
        if len(call.operations) == 1:
            return f"{self._model.in_words(call.operations[0])} as {request}"
        return f"{len(call.operations)} operations as {request}"


def request_in_words(request: RequestId) -> str:
    """Return a request id as clients write it."""
    return f"{request[0]}:{request[1]}"


def results_in_words(told: Sequence[Any], true: Sequence[Any]) -> tuple[str, str]:
    """Return, of two answers that differ, the first result that does; or how many there are."""
    if len(told) != len(true):
        return (
            f"{len(told)} results from {result_in_words(told[0])}",
            f"{len(true)} from {result_in_words(true[0])}",
        )
    place = next(place for place in range(len(told)) if told[place] != true[place])
    which = f"operation {place + 1}: " if len(told) > 1 else ""
    return which + result_in_words(told[place]), result_in_words(true[place])


def result_in_words(result: tuple[int, str, Any]) -> str:
    """Return one result as a client would tell it."""
    action_id, status, value = result
    shown = status if status == CANCELLED else f"{value}" if status == SHOWN else f"{status} ({value})"
    return f"{shown} at action id {action_id}"
