"""What a row is handed, and what several of them do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bankrmi.bench.bank import Bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import ACCOUNTS, Answer, Order
from bankrmi.bench.load_process import LOAD, LoadProcess
from bankrmi.bench.shapes import Shape
from bankrmi.bench.telling import Progress

__all__ = ["Asked", "Row", "link_order", "load", "own_order", "rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How much of it, and where to tell how far it is."""

    seconds: float
    rounds: int
    failovers: int
    progress: Progress


Row = Callable[[Asked], Iterator[Finding]]


def link_order(bank: Bank, shape: Shape, seconds: float, *, accounts: int = ACCOUNTS) -> Order:
    """Return an order for the leanest client, at whoever leads now."""
    primary = bank.primary()
    where = {"address": bank.configuration.servers[primary], "object": f"bankrmi.account.{primary}"}
    return Order(kind="link", where=where, shape=shape, seconds=seconds, accounts=accounts)


def own_order(bank: Bank, shape: Shape, seconds: float, kind: str = "own") -> Order:
    """Return an order for our own clients, which find out by themselves who leads."""
    where = {"configuration": str(bank.configuration.path)}
    return Order(kind=kind, where=where, shape=shape, seconds=seconds)


def load(bank: Bank, order: Order, name: str = LOAD) -> Answer:
    """Have an order carried out, and return what was found."""
    with LoadProcess(bank.children, order, name) as process:
        return process.finish()


def rates(answers: Iterable[Answer]) -> tuple[float, ...]:
    """Return operations a second of each."""
    return tuple(answer.operations / answer.seconds for answer in answers)
