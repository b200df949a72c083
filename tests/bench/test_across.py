"""Which method calls which of another service is seen by trying, whatever comes of the call."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.bench.class_plan import ClassPlan, class_plan
from bankrmi.bench.rows.across import inner_calls
from bankrmi.service import Description, ServedServices, described
from tests.console.odd_class import Errands, Odd
from warehouse import Points, Purchases, Shelf

MORE: dict[str, Any] = {"rows": None, "rounds": 1, "seconds": 1.0, "servers": 2}
WAREHOUSE = {"points": described(Points), "purchases": described(Purchases)}


@pytest.mark.parametrize("home", ["shelf", "purchases"])
def test_all_methods_that_are_called_within_a_call_are_found(home: str) -> None:
    """Whichever service is the first one, whose methods have plain names in the journal."""
    of: dict[str, Description] = {"shelf": described(Shelf), **WAREHOUSE}
    services = ServedServices(of.pop(home), of, home_name=home)
    called = ['shelf.put("mug", 100, 9)', 'purchases.buy("Ann", "mug", 1)', 'purchases.overview("mug")']
    found = inner_calls(services, plan_of(services, *called))
    assert found["purchases.buy"] == ("shelf.take", "points.earn")
    assert found["purchases.overview"] == ("shelf.left",)
    assert not any(name.startswith(("shelf", "points", "purchases.bought")) for name in found)


def test_a_call_that_raises_has_called_what_raised() -> None:
    services = ServedServices(described(Odd), {"errands": described(Errands)}, home_name="odd")
    assert inner_calls(services, plan_of(services)) == {"errands.fetch": ("odd.take",)}


def plan_of(services: ServedServices, *calls: str) -> ClassPlan:
    named = {services.called(name): one.name for name, one in services.each()}
    return class_plan(services, named, "/nowhere", calls=calls, **MORE)
