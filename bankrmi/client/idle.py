"""The channels of a client that no call uses now: kept for some seconds, for bursts of calls come again.

Rule 1: the one that was used last is used next; so those that are too many fall idle, and go.
Rule 2: kept by time; there are never more than calls at once.
Assumption: several threads may take and give back at once (`deque` is atomic at its ends).
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from bankrmi.client.channel import Channel

__all__ = ["IDLE_MS", "Idle"]

IDLE_MS = 10_000
"""So long an unused channel is kept."""


class Idle:
    """A stack of channels."""

    __slots__ = ("_channels",)

    def __init__(self) -> None:
        self._channels: deque[Channel] = deque()

    def __len__(self) -> int:
        return len(self._channels)

    def take(self) -> Channel | None:
        """Return the channel that was used last, if there is one."""
        with suppress(IndexError):
            return self._channels.pop()
        return None

    def give_back(self, channel: Channel, now_ms: int) -> None:
        """Keep it for the next call; let those go that nobody has used for long."""
        channel.used_ms = now_ms
        self._channels.append(channel)
        self.close_unused(now_ms)

    def close_unused(self, now_ms: int) -> None:
        """Close those whose time is over."""
        with suppress(IndexError):
            while now_ms - self._channels[0].used_ms >= IDLE_MS:
                self._channels.popleft().close()

    def close(self) -> None:
        """Close all."""
        while (channel := self.take()) is not None:
            channel.close()

    def abandon(self) -> None:
        """Let go of all without a word (see `Link.abandon`)."""
        while (channel := self.take()) is not None:
            channel.abandon()
