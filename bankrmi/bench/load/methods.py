"""Calls of one method of a class, by our wire protocol, spoken directly.

Rule 1: arguments are drawn before anything is measured, and used in turn: drawing them costs nothing.
Rule 2: an exception of the method is an answer like another; how many there were is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from bankrmi.bench.load.links import LinkCaller, opened_links
from bankrmi.bench.load.loop import measured
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.errors import ServiceError
from bankrmi.rmi import Link
from bankrmi.service import Method, load
from bankrmi.service.drawn_arguments import any_arguments, drawn_call
from bankrmi.service.written_values import read_call

__all__ = ["RAISED", "measured_method"]

RAISED = "raised"
"""The note that says how many of the calls have raised an exception."""
_DRAWN = 1000

_Arguments = tuple[list[Any], dict[str, Any]]


class _MethodCaller(LinkCaller):
    """One client that calls one method."""

    def __init__(self, link: Link, method: Method, arguments: Iterator[_Arguments]) -> None:
        super().__init__(link)
        self._method = method
        self._arguments = arguments
        self.raised = 0

    async def call(self) -> None:
        """Call it once."""
        args, kwargs = next(self._arguments)
        try:
            if self._method.is_update:
                await self.ask("update", [self._method.name, args, kwargs, self.next_id()])
            else:
                await self.ask("query", [self._method.name, args, kwargs])
        except ServiceError:
            self.raised += 1


async def measured_method(order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Measure the method that `where` names, called as it says there."""
    where = order.where
    description = load(where["serves"], Path(where["folder"]))
    method = description.methods[where["method"]]
    known = _arguments(method, where["call"])
    callers = [
        _MethodCaller(link, method, cycle(known[place % len(known) :] + known[: place % len(known)]))
        for place, link in enumerate(await opened_links(order))
    ]

    def begin_counting() -> None:
        for caller in callers:
            caller.raised = 0
        begin()

    found = await measured([caller.call for caller in callers], order, begin_counting)
    return replace(found, notes={RAISED: sum(caller.raised for caller in callers)})


def _arguments(method: Method, written: str) -> list[_Arguments]:
    if written:
        _, args, kwargs = read_call(written)
        return [method.bound(args, kwargs, whole=False)]
    draw, chance = any_arguments(method), Random()
    return [drawn_call(method, draw, chance) for _ in range(_DRAWN)]
