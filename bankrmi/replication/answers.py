"""Answers that wait until what they rest on is acknowledged, and confirmed for a read.  Rules A1, R2, R4."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from bankrmi.replication.effects import Answer, Read, Reply

__all__ = ["Answers", "PendingAnswer"]


class PendingAnswer(NamedTuple):
    """An answer that rests on the entry `action_id`, and on the confirmation of message `number`.

    A read rests on what changed it last, and its reply bears the newest action id of when it was read.
    """

    action_id: int
    number: int
    token: Any
    reply: Reply


class Answers:
    """The answers of a primary that may not leave yet."""

    def __init__(self) -> None:
        self._waiting: list[PendingAnswer] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, action_id: int, token: Any, reply: Reply, *, number: int = 0) -> None:
        """Keep an answer until `action_id` is acknowledged, and message `number` confirmed."""
        self._waiting.append(PendingAnswer(action_id, number, token, reply))

    def released(self, acknowledged: int, confirmed: int, *, reads: bool) -> Iterator[Answer]:
        """Take out, in their order, the answers that may leave now; reads only if `reads`."""
        still: list[PendingAnswer] = []
        for waiting in self._waiting:
            reply = waiting.reply
            if waiting.action_id > acknowledged or waiting.number > confirmed:
                still.append(waiting)
            elif type(reply) is not Read:
                yield Answer(waiting.token, reply)
            elif reads:
                yield Answer(waiting.token, reply.at_most(acknowledged))
            else:
                still.append(waiting)
        self._waiting = still

    def drop(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers any more."""
        self._waiting = [waiting for waiting in self._waiting if waiting.token not in tokens]

    @property
    def await_confirmation(self) -> bool:
        """Whether a round of confirmation is on its way."""
        return any(waiting.number for waiting in self._waiting)

    def take_unconfirmed(self) -> list[PendingAnswer]:
        """Take out those whose confirmation was asked for in an epoch that is over."""
        unconfirmed = [waiting for waiting in self._waiting if waiting.number]
        self._waiting = [waiting for waiting in self._waiting if not waiting.number]
        return unconfirmed

    def take_all(self) -> list[PendingAnswer]:
        """Take out everything."""
        waiting, self._waiting = self._waiting, []
        return waiting
