"""The channels of a client that no call uses now: kept for some seconds, for bursts of calls come again.

Rule 1: the one that was used last is used next; so those that are too many fall idle, and go.
Rule 2: kept by time; there are never more than calls at once.
Assumption: several threads may take and give back at once (`deque` is atomic at its ends).
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from bankrmi.client.channel import Channel

__all__ = ["IDLE_MS", "Idle"]

IDLE_MS = 10_000
"""So long an unused channel is kept."""


OfAKind = TypeVar("OfAKind", bound=Channel)


class Idle(Generic[OfAKind]):
    """A stack of channels."""

    __slots__ = ("_channels",)

    def __init__(self) -> None:
        self._channels: deque[OfAKind] = deque()

    def __len__(self) -> int:
        return len(self._channels)

    def take(self) -> OfAKind | None:
        """Return the channel that was used last, if there is one."""
        try:
            return self._channels.pop()
        except IndexError:
            return None

    def give_back(self, channel: OfAKind, now_ms: int) -> None:
        """Keep it for the next call; let those go that nobody has used for long."""
        channel.used_ms = now_ms
        self._channels.append(channel)
        self.close_unused(now_ms)

    def close_unused(self, now_ms: int) -> None:
        """Close those whose time is over."""
        try:
            while now_ms - self._channels[0].used_ms >= IDLE_MS:
                self._channels.popleft().close()
        except IndexError:
            return

    def close(self) -> None:
        """Close all."""
        while (channel := self.take()) is not None:
            channel.close()

    def abandon(self) -> None:
        """Let go of all without a word (see `Link.abandon`)."""
        while (channel := self.take()) is not None:
            channel.abandon()
