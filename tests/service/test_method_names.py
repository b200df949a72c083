"""A method is meant by its name, or by that of its service and its own; what is ambiguous is refused."""

from __future__ import annotations

import pytest

from bankrmi.errors import InvalidRequest
from bankrmi.service import ServedServices, described
from bankrmi.service.method_names import every_method, find_method
from warehouse import Points, Purchases, Shelf

ONE = ServedServices(described(Shelf), home_name="shelf")
TWICE = ServedServices(
    described(Shelf), {"north-shelf": described(Shelf), "points": described(Points)}, home_name="shelf"
)
THREE = ServedServices(
    described(Shelf), {"points": described(Points), "purchases": described(Purchases)}, home_name="shelf"
)


def test_what_is_shown_can_be_written() -> None:
    assert [one.name for one in every_method(ONE)] == ["put", "take", "left"]
    assert [one.name for one in every_method(THREE)][:4] == [
        "shelf.put",
        "shelf.take",
        "shelf.left",
        "points.earn",
    ]
    for services in (ONE, TWICE, THREE):
        for one in every_method(services):
            assert find_method(services, one.name) == one


def test_a_plain_name_will_do_where_one_service_alone_has_it() -> None:
    assert find_method(THREE, "buy").service == "purchases"
    assert find_method(THREE, "left").name == "shelf.left"
    assert find_method(TWICE, "balance").service == "points"
    assert find_method(ONE, "shelf.put") == find_method(ONE, "put")


@pytest.mark.parametrize(
    ("services", "written", "said"),
    [
        (TWICE, "put", "put is a method of more than one service: say shelf.put or north-shelf.put"),
        (THREE, "stock.put", "there is no service 'stock': there are shelf, points, purchases"),
        (THREE, "points.put", "Points has no method 'put': there are points.earn, points.balance"),
        (THREE, "sell", "Shelf and Points and Purchases have no method 'sell': there are shelf.put, "),
        (ONE, "sell", "Shelf has no method 'sell': there are put, take, left"),
        (THREE, "a.b.put", "there is no service 'a.b'"),
        (THREE, "", "have no method ''"),
    ],
)
def test_what_is_not_there_or_not_meant_by_one_name_is_said(
    services: ServedServices, written: str, said: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        find_method(services, written)
    assert said in refused.value.message
