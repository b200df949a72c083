"""A class of anybody's, or several in one pair, on servers of ours, as `Ours` is a bank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bankrmi.bench.children import Children
from bankrmi.bench.class_plan import ClassPlan, MethodCalled, MethodShape
from bankrmi.bench.figures import Sample
from bankrmi.bench.load.methods import RAISED
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.ours import Ours

__all__ = ["OurClass"]


class OurClass(Ours):
    """What is served in one run."""

    def __init__(self, folder: Path, plan: ClassPlan) -> None:
        self._plan = plan
        modules = Path(plan.folder)
        super().__init__(folder, servers=plan.servers, modules=modules)
        self.children = Children(folder, modules=modules)
        self._calls: Counter[str] = Counter()
        self._raised: Counter[str] = Counter()
        self._method = ""

    def _settings(self, servers: int) -> Mapping[str, object]:
        del servers
        return self._plan.settings()

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        assert isinstance(shape, MethodShape)
        self._method = shape.called.method
        return self.order_of([shape.called], shape, seconds)

    def order_of(self, called: Sequence[MethodCalled], shape: Shape, seconds: float) -> LoadOrder:
        """Return an order for clients that call these, each one of them."""
        where = {
            "address": self._bank.configuration.servers[self._primary],
            "object": f"bankrmi.account.{self._primary}",
            **self._plan.ordered(called).where(),
        }
        plain = Shape(name=shape.name, clients=shape.clients)
        return LoadOrder(kind="methods", where=where, shape=plain, seconds=seconds)

    def sample(self, answer: LoadResult, spent: Mapping[str, float], number: int) -> Sample:
        self._calls[self._method] += answer.operations
        self._raised[self._method] += int((answer.notes or {}).get(RAISED, 0))
        return super().sample(answer, spent, number)

    def raised(self) -> Iterator[tuple[str, str]]:
        """Yield of which methods how many calls have raised an exception, in words."""
        for method, count in self._raised.items():
            if count:
                share = 100 * count / max(1, self._calls[method])
                yield method, f"{share:.3g} % of its calls raised an exception, and changed nothing"
