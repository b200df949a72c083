"""How long nobody is answered by a class, under load: as `failover`, with one of its methods.

That method is the first one that a call was written for, else the first update whose arguments can be made
up. An exception of it is an answer, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.methods import drawn_arguments
from bankrmi.bench.load.order import LoadOrder
from bankrmi.bench.rows.failover import FAILOVER_KINDS, failovers
from bankrmi.bench.rows.row import BESIDE, FOR_EVER_S
from bankrmi.client.service_client import ServiceClient
from bankrmi.errors import BankError, OperationFailed, ServiceError
from bankrmi.service.loading import load_services
from bankrmi.service.method_names import find_method

if TYPE_CHECKING:
    from bankrmi.bench.class_plan import ClassPlan, MethodCalled
    from bankrmi.bench.rows.of_classes import ClassRowOptions

__all__ = ["class_failover"]

_TIMEOUT_S = 20.0


def class_failover(asked: ClassRowOptions) -> Iterator[Finding]:
    """Yield the milliseconds without an answer, kind by kind."""
    called = asked.plan.usual_method()
    if called is None:
        raise OperationFailed("no arguments can be made up for any method: write a call, with --call")
    for kind in asked.parts:
        taken = failovers(_OneMethod(asked.plan, called), kind, asked)
        what = f"{FAILOVER_KINDS[kind][0]} ({called.method})"
        yield Finding(row="failover", what=what, unit="ms", values=tuple(taken))


class _OneMethod:
    """One method of the class (a `FailoverSubject`)."""

    def __init__(self, plan: ClassPlan, called: MethodCalled) -> None:
        self._plan = plan
        self._called = called

    def running(self, servers: int) -> AbstractContextManager[MeasuredBank]:
        return running_bank(servers=servers, modules=Path(self._plan.folder), **self._plan.settings())  # type: ignore[arg-type]

    def beside(self, bank: MeasuredBank) -> LoadOrder:
        where = {
            "configuration": str(bank.configuration.path),
            **self._plan.ordered([self._called]).where(),
        }
        return LoadOrder(kind="background-methods", where=where, shape=BESIDE, seconds=FOR_EVER_S)

    @contextmanager
    def calling(self, bank: MeasuredBank) -> Iterator[Callable[[], object]]:
        services = load_services(self._plan.services, Path(self._plan.folder))
        found = find_method(services, self._called.method)
        arguments = cycle(drawn_arguments(found.method, self._called.call))
        several = found.service if bank.configuration.has_several else None
        with ServiceClient(
            found.description, bank.configuration, timeout=_TIMEOUT_S, service=several
        ) as client:
            ask = client.update if found.method.is_update else client.query

            def call() -> None:
                args, kwargs = next(arguments)
                try:
                    ask(found.method.name, args, kwargs)
                except Exception as error:  # What the class raises is an answer.
                    if isinstance(error, BankError) and not isinstance(error, ServiceError):
                        raise

            yield call
