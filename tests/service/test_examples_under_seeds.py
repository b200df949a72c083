"""The classes of examples/ in worlds where everything fails, held against what they are in plain Python."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.testing import simulate
from job_queue import JobQueue
from key_value import KeyValue
from replicated_names import Names
from shop import Shop
from tests.service.plain_examples import (
    WAREHOUSE,
    PlainJobQueue,
    PlainKeyValue,
    PlainNames,
    PlainShop,
    PlainWarehouse,
    use_jobs,
    use_keys,
    use_names,
    use_shop,
    use_warehouse,
)

EXAMPLES: list[tuple[Any, Any, Any, tuple[str, str]]] = [
    (KeyValue, use_keys, PlainKeyValue, ("keep_alive", "LeaseEnded")),
    (JobQueue, use_jobs, PlainJobQueue, ("done", "NotYours")),
    (Names, use_names, PlainNames, ("register", "NamingError")),
    (Shop, use_shop, PlainShop, ("order", "SoldOut")),
    (WAREHOUSE, use_warehouse, PlainWarehouse, ("purchases.buy", "TooFewPoints")),
]


@pytest.mark.parametrize(
    ("kind", "workload", "model", "raised"), EXAMPLES, ids=lambda one: getattr(one, "__name__", "")
)
def test_an_example_is_what_it_is_in_plain_python_whatever_fails(
    kind: Any, workload: Any, model: Any, raised: tuple[str, str]
) -> None:
    _simulate(kind, workload, model, raised, range(2), seconds=5.0)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "workload", "model", "raised"), EXAMPLES, ids=lambda one: getattr(one, "__name__", "")
)
def test_and_under_more_seeds(kind: Any, workload: Any, model: Any, raised: tuple[str, str]) -> None:
    _simulate(kind, workload, model, raised, range(2, 40))


def _simulate(
    kind: Any, workload: Any, model: Any, raised: tuple[str, str], seeds: range, seconds: float = 10.0
) -> None:
    done = simulate(kind, workload, model=model, seeds=seeds, seconds=seconds)
    method, error = raised
    assert done.methods[method].raised[error] > 0
    assert done.methods[method].returned > 3
