"""A class of anybody's on servers of ours, as `Ours` is a bank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from bankrmi.bench.children import Children
from bankrmi.bench.class_plan import ClassPlan, MethodShape
from bankrmi.bench.figures import Sample
from bankrmi.bench.load.methods import RAISED
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.ours import Ours

__all__ = ["OurClass"]


class OurClass(Ours):
    """The class of one run."""

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
        return {"serves": self._plan.serves}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        assert isinstance(shape, MethodShape)
        self._method = shape.method
        where = {
            "address": self._bank.configuration.servers[self._primary],
            "object": f"bankrmi.account.{self._primary}",
            "serves": self._plan.serves,
            "folder": self._plan.folder,
            "method": shape.method,
            "call": shape.call,
        }
        plain = Shape(name=shape.name, clients=shape.clients)
        return LoadOrder(kind="method", where=where, shape=plain, seconds=seconds)

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
