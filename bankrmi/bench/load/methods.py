"""Calls of methods of classes: by our wire protocol, spoken directly; or by our own clients, for ever.

Rule 1: arguments are drawn before anything is measured, and used in turn: drawing them costs nothing.
Rule 2: an exception of the method is an answer like another; how many there were is told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bankrmi.bench.load.links import LinkCaller, opened_links
from bankrmi.bench.load.loop import measured
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.client.async_service_client import AsyncServiceClient
from bankrmi.config import load
from bankrmi.errors import BankError, ServiceError
from bankrmi.rmi import Link
from bankrmi.service import Method
from bankrmi.service.drawn_arguments import any_arguments, drawn_call
from bankrmi.service.loading import load_services
from bankrmi.service.method_names import NamedMethod, find_method
from bankrmi.service.written_values import read_call

__all__ = ["RAISED", "OrderedCalls", "drawn_arguments", "keep_calling_methods", "measured_methods"]

RAISED = "raised"
"""The note that says how many of the calls have raised an exception."""
_DRAWN = 1000
_PAUSE_S = 0.01
_TIMEOUT_S = 20.0

_Arguments = tuple[list[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedCalls:
    """Which methods are to be called how, in what a load process is told: clients take them in turn."""

    services: Mapping[str, str]
    """Classes by their services."""
    folder: str
    calls: tuple[tuple[str, str], ...]
    """A method by its name, and its call as it was written; nothing: its arguments are made up."""

    def where(self) -> dict[str, str]:
        """Return it as a part of `LoadOrder.where`."""
        calls = json.dumps([list(call) for call in self.calls])
        return {"services": json.dumps(dict(self.services)), "folder": self.folder, "calls": calls}

    @classmethod
    def of(cls, order: LoadOrder) -> OrderedCalls:
        """Read it."""
        where = order.where
        calls = tuple((method, written) for method, written in json.loads(where["calls"]))
        return cls(services=json.loads(where["services"]), folder=where["folder"], calls=calls)

    def found(self) -> list[_Callable]:
        """Return what is called, and with what."""
        services = load_services(self.services, Path(self.folder))
        return [
            _Callable(one := find_method(services, method), drawn_arguments(one.method, written))
            for method, written in self.calls
        ]


class _Callable(NamedTuple):
    called: NamedMethod
    arguments: list[_Arguments]

    def from_place(self, place: int) -> Iterator[_Arguments]:
        """Return the arguments in turn, another first one for another place."""
        return islice(cycle(self.arguments), place % len(self.arguments), None)


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


async def measured_methods(order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Measure the methods that are ordered, each client one of them."""
    ordered = OrderedCalls.of(order)
    found = ordered.found()
    home = next(iter(ordered.services))
    objects = [_object_of(order.where["object"], one.called.service, home) for one in found]
    callers = []
    for place, link in enumerate(await opened_links(order, objects)):
        one = found[place % len(found)]
        callers.append(_MethodCaller(link, one.called.method, one.from_place(place)))

    def begin_counting() -> None:
        for caller in callers:
            caller.raised = 0
        begin()

    answer = await measured([caller.call for caller in callers], order, begin_counting)
    return replace(answer, notes={RAISED: sum(caller.raised for caller in callers)})


def _object_of(home_object: str, service: str, home: str) -> str:
    return home_object if service == home else f"{home_object}.{service}"


async def keep_calling_methods(order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Call for ever, whatever becomes of servers; whoever started it ends it."""
    configuration = load(Path(order.where["configuration"]))
    found = OrderedCalls.of(order).found()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                AsyncServiceClient(
                    one.called.description,
                    configuration,
                    timeout=_TIMEOUT_S,
                    service=one.called.service if configuration.has_several else None,
                )
            )
            for one in found
        ]
        begin()

        async def keep_calling(
            client: AsyncServiceClient, method: Method, calls: Iterable[_Arguments]
        ) -> None:
            ask = client.update if method.is_update else client.query
            for args, kwargs in calls:
                try:
                    await ask(method.name, args, kwargs)
                except Exception as error:  # What the class raises is an answer.
                    if isinstance(error, BankError) and not isinstance(error, ServiceError):
                        await asyncio.sleep(_PAUSE_S)

        async with asyncio.TaskGroup() as tasks:
            for place in range(order.shape.clients):
                one = found[place % len(found)]
                calls = one.from_place(place)
                tasks.create_task(keep_calling(clients[place % len(found)], one.called.method, calls))
    raise AssertionError("nobody ends it but a signal")


def drawn_arguments(method: Method, written: str) -> list[_Arguments]:
    """Return arguments for many calls: those that are written, or so many that are made up."""
    if written:
        _, args, kwargs = read_call(written)
        return [method.bound(args, kwargs, whole=False)]
    draw, chance = any_arguments(method), Random()
    return [drawn_call(method, draw, chance) for _ in range(_DRAWN)]
