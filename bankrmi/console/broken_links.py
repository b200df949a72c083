"""What is done to the links of the bank, by the relays of `up`: cut or slow, one way or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bankrmi.console.bank_here import BankHere
from bankrmi.console.felt import Done, Felt, FeltFaults
from bankrmi.errors import InvalidRequest

__all__ = ["EVERYBODY", "BrokenLinks"]

EVERYBODY = "everybody"
"""Toward whom a link leads, if not to one."""
SLOW_MS = 200
SLOWEST_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    source: str
    toward: str
    both_ways: bool
    ends: tuple[str, ...]

    @property
    def ways(self) -> list[tuple[str, str]]:
        """All that are meant."""
        there = [(self.source, end) for end in self.ends]
        return there + ([(end, self.source) for end in self.ends] if self.both_ways else [])


class BrokenLinks:
    """Of one bank."""

    def __init__(self, bank: BankHere, felt: FeltFaults) -> None:
        self._bank = bank
        self._felt = felt

    async def cut(self, source: str, asked: Mapping[str, Any]) -> Done:
        """Let nothing pass, until it is healed."""
        link = self._link(source, asked)
        number = await self._bank.control.hold("cut", ways=link.ways)
        if link.both_ways:
            words = f"{source} is cut off from {link.toward}"
        else:
            words = f"nothing passes from {source} to {link.toward}"
        return self._held(link, number, words, "cut", "Heal")

    async def slow(self, source: str, asked: Mapping[str, Any]) -> Done:
        """Let everything be late, until it is made fast again."""
        link, late_ms = self._link(source, asked), asked.get("late_ms", SLOW_MS)
        if type(late_ms) is not int or not 1 <= late_ms <= SLOWEST_MS:
            raise InvalidRequest(f"a slow link is late by 1 to {SLOWEST_MS} ms")
        number = await self._bank.control.hold("slow", ways=link.ways, late_ms=late_ms)
        way = f"between {source} and {link.toward}" if link.both_ways else f"from {source} to {link.toward}"
        words = f"all that goes {way} is {late_ms} ms late"
        return self._held(link, number, words, f"slow --late-ms {late_ms}", "Make it fast", late_ms=late_ms)

    def _held(self, link: _Link, number: int, words: str, verb: str, label: str, **more: int) -> Done:
        async def release() -> str:
            await self._bank.control.release(number)
            return f"no longer so: {words}"

        return self._felt.add(
            Felt(
                what=verb.partition(" ")[0],
                whom=link.source,
                words=words,
                command=self._command(verb, link),
                undo=release,
                undo_label=label,
                more={"toward": link.toward, "both_ways": link.both_ways, **more},
            )
        )

    def _link(self, source: str, asked: Mapping[str, Any]) -> _Link:
        toward, both = asked.get("toward"), asked.get("both_ways", True)
        others = [name for name in self._bank.relayed if name != source]
        if type(toward) is not str or toward not in (*others, EVERYBODY) or type(both) is not bool:
            raise InvalidRequest(f"a link leads to {', '.join((*others, EVERYBODY))}, one way or both")
        ends = others if toward == EVERYBODY else [toward]
        return _Link(source=source, toward=toward, both_ways=both, ends=tuple(ends))

    def _command(self, verb: str, link: _Link) -> str:
        """One for each link: each lasts as long as it runs."""
        one_way = "" if link.both_ways else " --one-way"
        command = self._bank.command
        return " & ".join(command(f"misfortune {verb} {link.source} {end}{one_way}") for end in link.ends)
