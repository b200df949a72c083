"""What services of one pair cost each other: a method of one, alone, and while the others are called, too.

There is one thread for all of them, and one journal. Eight clients call the method; eight more call the
others, each one of those. With and without take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bankrmi.bench.figures import Finding, Sample
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import BESIDE, FOR_EVER_S

if TYPE_CHECKING:
    from bankrmi.bench.class_plan import MethodCalled
    from bankrmi.bench.rows.of_classes import ClassRowOptions

__all__ = ["beside"]

_SHAPE = "8x1"


def beside(asked: ClassRowOptions) -> Iterator[Finding]:
    """Yield operations a second and the median of a method of each service, without and with the others."""
    plan = asked.plan
    for called in _measured(asked):
        others = [
            one for name in plan.services if name != called.service and (one := plan.usual_method(name))
        ]
        alone, together = _in_turn(asked, called, others)
        for how, samples in (("alone", alone), (f"while {_in_words(others)} too", together)):
            what = f"{called.method} {how}"
            yield Finding(
                row="beside", what=what, unit="op/s", values=tuple(sample.rate for sample in samples)
            )
            medians = tuple(sample.median_us for sample in samples)
            yield Finding(row="beside", what=f"{what}: median", unit="us", values=medians)


def _measured(asked: ClassRowOptions) -> list[MethodCalled]:
    plan = asked.plan
    if asked.parts:
        return [plan.methods[name] for name in asked.parts]
    return [one for name in plan.services if (one := plan.usual_method(name)) is not None]


def _in_turn(
    asked: ClassRowOptions, called: MethodCalled, others: list[MethodCalled]
) -> tuple[list[Sample], list[Sample]]:
    plan, system = asked.plan, asked.system
    shape = plan.shape(called.method, _SHAPE)
    order = system.order_of(others, BESIDE, FOR_EVER_S)
    alone, together = [], []
    for number in range(1, plan.rounds + 1):
        asked.progress.show(f"beside: {called.method}, round {number} of {plan.rounds}")
        alone.append(system.measure(shape, plan.seconds, number))
        with LoadProcess(system.children, order, "beside"):
            together.append(system.measure(shape, plan.seconds, number))
    return alone, together


def _in_words(others: list[MethodCalled]) -> str:
    first, *more = others[: BESIDE.clients]
    return f"{first.method} is called" if not more else f"{first.method} and {len(more)} more are called"
