"""What was done to the bank from here: told from when until when it was felt, and how it is undone.

Rule 1: whatever was done is told again when it is over, or can be undone no more.
Rule 2: what lasts is over when it is undone; all else when the bank is well again, by a look that began after
        it was done.
Rule 3: what was done for a while, or lasts when the console ends, is undone all the same.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bankrmi.console.feed import Feed
from bankrmi.errors import BankError, OperationFailed

__all__ = ["Done", "Felt", "FeltFaults"]

LONGEST_S = 600.0
"""What is still felt then, and cannot be undone, is shown as over: nobody waits for it any more."""

Done = dict[str, Any]
"""What is answered to whoever did it: what is `said`, which `command` does the same, and by which `id`."""
State = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Felt:
    """One thing that was done.

    `undo` does what its label says, and returns a sentence; `is_well` says when it is over. Without that it
    is over as soon as it is undone, and with neither at once.
    """

    what: str
    whom: str
    words: str
    command: str
    undo: Callable[[], Awaitable[str]] | None = None
    undo_label: str = ""
    is_well: Callable[[State], bool] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is told of it: `toward`, `both_ways`, `late_ms` of a link."""
    number: int = 0
    since_ms: int = 0
    until_ms: int | None = None

    def told(self) -> dict[str, Any]:
        """Return it as the page gets it."""
        return {
            "id": self.number,
            "what": self.what,
            "whom": self.whom,
            **self.more,
            "words": self.words,
            "command": self.command,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "undo": self.undo_label if self.undo is not None else None,
        }


class FeltFaults:
    """All that is felt of one console's doings."""

    def __init__(self, feed: Feed, now_ms: Callable[[], int]) -> None:
        self._feed = feed
        self._now_ms = now_ms
        self._numbers = itertools.count(1)
        self._felt: dict[int, Felt] = {}
        self._later: set[asyncio.Task[None]] = set()

    def add(self, felt: Felt) -> Done:
        """Tell that it was done; return what to answer to whoever did it."""
        felt.number, felt.since_ms = next(self._numbers), self._now_ms()
        if felt.undo is None and felt.is_well is None:
            felt.until_ms = felt.since_ms
        else:
            self._felt[felt.number] = felt
        self._feed.put("fault", **felt.told())
        return {"said": felt.words, "command": felt.command, "id": felt.number}

    def lasting(self, what: str, whom: str) -> list[Felt]:
        """Return what of this kind was done to somebody, and can be undone."""
        return [one for one in self._of(what) if one.whom == whom and one.undo is not None]

    def _of(self, what: str) -> list[Felt]:
        return [one for one in self._felt.values() if one.what == what]

    async def undo(self, number: object) -> str:
        """Undo it; return what is said of it.  Raises OperationFailed, InvalidRequest."""
        felt = self._felt.get(number) if type(number) is int else None
        if felt is None or felt.undo is None:
            raise OperationFailed("that is undone already, or passes by itself")
        undo, felt.undo = felt.undo, None  # Nobody does it twice.
        try:
            said = await undo()
        except BankError:
            felt.undo = undo
            raise
        if felt.is_well is None:
            self._is_over(felt)
        else:
            self._feed.put("fault", **felt.told())
        return said

    def undo_after(self, number: int, seconds: float) -> None:
        """Undo it in a while, if nobody does so before."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            felt = self._felt.get(number)
            if felt is not None and felt.undo is not None:
                await self._try_to_undo(felt)

        task = asyncio.get_running_loop().create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def undo_all(self) -> list[str]:
        """Undo everything that lasts, the newest first; return the sentences."""
        lasting = [one for one in reversed(self._felt.values()) if one.undo is not None]
        return [await self._try_to_undo(one) for one in lasting]

    async def _try_to_undo(self, felt: Felt) -> str:
        try:
            return await self.undo(felt.number)
        except BankError as error:
            self._feed.put("note", level="warning", text=error.message)
            return error.message

    async def close(self) -> None:
        """Undo everything: nobody would, later."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await self.undo_all()

    def see(self, state: State, began_ms: float) -> None:
        """Note how the bank is, by a look that began then."""
        for felt in list(self._felt.values()):
            if felt.is_well is None or felt.undo is not None or felt.since_ms >= began_ms:
                continue
            if felt.is_well(state) or self._now_ms() - felt.since_ms > 1000 * LONGEST_S:
                self._is_over(felt)

    def is_over(self, what: str) -> None:
        """All of this kind has ended by itself."""
        for felt in self._of(what):
            self._is_over(felt)

    def _is_over(self, felt: Felt) -> None:
        self._felt.pop(felt.number, None)
        felt.undo, felt.until_ms = None, self._now_ms()
        self._feed.put("fault", **felt.told())
