"""What a row is handed, and what several of them do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from bankrmi.bench.bank import MeasuredBank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import ACCOUNTS, LoadOrder, LoadResult
from bankrmi.bench.load_process import LOAD, LoadProcess
from bankrmi.bench.shapes import Shape, shape_called
from bankrmi.bench.telling import ProgressDisplay

__all__ = [
    "BESIDE",
    "FOR_EVER_S",
    "Row",
    "RowOptions",
    "link_order",
    "load",
    "own_order",
    "rates",
    "shapes_of",
]


BESIDE = Shape(name="beside", clients=8)
"""The load while something else is measured."""

FOR_EVER_S = 86_400.0
"""For a load that is ended when it is not needed any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """How much of it, and where to tell how far it is."""

    seconds: float
    rounds: int
    failovers: int
    records: int
    servers: int
    engine: str | None
    parts: tuple[str, ...]
    """Of a row that has several; never empty there."""
    progress: ProgressDisplay


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a row measures, and of what parts: `crowds:idle` asks for one of them."""

    measure: Callable[[RowOptions], Iterator[Finding]]
    parts: tuple[str, ...] = ()
    """Those that are measured if none is named."""
    shapes: bool = False
    """Whether its parts are shapes of load: then any other one can be named, too."""
    missing: Callable[[], str | None] = field(default=lambda: None)
    """What has to be installed, in a sentence with the command."""

    def has_part(self, name: str) -> bool:
        """Whether there is such a part."""
        return name in self.parts or (self.shapes and shape_called(name) is not None)


def shapes_of(asked: RowOptions) -> Iterator[Shape]:
    """Yield the shapes of load that a row's parts are."""
    for name in asked.parts:
        shape = shape_called(name)
        assert shape is not None
        yield shape


def link_order(bank: MeasuredBank, shape: Shape, seconds: float, *, accounts: int = ACCOUNTS) -> LoadOrder:
    """Return an order for the leanest client, at whoever leads now."""
    primary = bank.primary()
    where = {"address": bank.configuration.servers[primary], "object": f"bankrmi.account.{primary}"}
    return LoadOrder(kind="link", where=where, shape=shape, seconds=seconds, accounts=accounts)


def own_order(bank: MeasuredBank, shape: Shape, seconds: float, kind: str = "own") -> LoadOrder:
    """Return an order for our own clients, which find out by themselves who leads."""
    where = {"configuration": str(bank.configuration.path)}
    return LoadOrder(kind=kind, where=where, shape=shape, seconds=seconds)


def load(bank: MeasuredBank, order: LoadOrder, name: str = LOAD) -> LoadResult:
    """Have an order carried out, and return what was found."""
    with LoadProcess(bank.children, order, name) as process:
        return process.finish()


def rates(answers: Iterable[LoadResult]) -> tuple[float, ...]:
    """Return operations a second of each."""
    return tuple(answer.operations / answer.seconds for answer in answers)
