"""Services of one pair whose classes name the ones before are migrated in the simulator, each by itself, in
an order of each seed; a model follows with its own objects."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from bankrmi.errors import ConfigurationError
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.made_up_several import made_up_several
from bankrmi.robustness.services.releases import releases_of
from bankrmi.service import ServedServices, described
from bankrmi.testing import SeedFailed, simulate
from bankrmi.testing.served import services_of
from tests.testing.changed.orders import Orders
from tests.testing.changed.stock import Stock
from tests.testing.changed_shop import (
    Dearer,
    PlainOrders1,
    PlainShop,
    PlainShop1,
    PlainStock,
    PlainStock1,
    shopping,
)

SHOP = {"stock": Stock, "orders": Orders}
SERVICES = services_of(SHOP)


@pytest.mark.parametrize("model", [None, PlainShop], ids=["themselves", "plain"])
def test_each_is_migrated_once_and_calls_go_across_before_and_after(
    model: Callable[[], object] | None,
) -> None:
    """Also to a method that the other one has in its next version only: that raises there, and changes
    nothing."""
    done = simulate(SHOP, shopping, model=model, seeds=(1, 2, 7))
    assert done.methods["migrate_1_to_2"].returned == 3
    assert done.methods["orders.migrate_1_to_2"].returned == 3
    assert done.methods["keep"].returned > 0
    assert done.methods["orders.place"].returned > 0
    assert done.methods["orders.place"].raised["AttributeError"] > 0


def test_what_a_migration_of_one_leaves_is_held_against_the_model() -> None:
    with pytest.raises(SeedFailed, match="Dearer by itself"):
        simulate(SHOP, shopping, model=Dearer, seeds=range(10))


def test_a_model_without_one_before_stands_for_the_newest_versions() -> None:
    class Alone(PlainShop):
        previous = None  # type: ignore[assignment]

    assert releases_of(SERVICES, Alone, 1) == [SERVICES]


def test_a_model_that_knows_one_of_them_as_it_was_has_that_one_changed() -> None:
    class OrdersAsTheyAre:
        def __init__(self) -> None:
            self.stock, self.orders = PlainStock1(), PlainShop().orders

    class Half(PlainShop):
        previous = OrdersAsTheyAre

    releases = releases_of(SERVICES, Half, 1)
    assert [ServedServices.of(one).opening_version for one in releases] == [
        (1, (("orders", 2),)),
        (2, (("orders", 2),)),
    ]


def test_every_seed_has_an_order_of_its_own_and_a_release_can_start() -> None:
    """Also where a class uses another one by its newest class, which the first servers do not have."""
    orders = set()
    for seed in range(20):
        releases = releases_of(SERVICES, None, seed)
        versions = [ServedServices.of(one).opening_version for one in releases]
        assert versions[0] == (1, (("orders", 1),))
        assert versions[-1] == (2, (("orders", 2),))
        orders.add(tuple(versions))
        for release in releases:
            assert isinstance(release, ServedServices)
            release.check_uses()
    assert len(orders) == 3, "the one first, the other first, both at once"


def test_a_made_up_service_that_comes_later_is_used_by_nobody_before() -> None:
    later = 0
    for seed in range(40):
        releases = made_up_several(seed)
        for release in releases:
            release.check_uses()
        later += len({len(release.beside) for release in releases}) > 1
        known = [len(one.of_version) for _, one in releases[-1].each()]
        assert max(known) > 1 or len(releases) > 1
    assert later > 5


def test_a_model_that_cannot_be_migrated_is_refused_in_a_sentence() -> None:
    class Stays(PlainStock1):
        def keep(self, name: str, count: int) -> int:
            raise NotImplementedError

    class Unmigrated(PlainShop):
        def __init__(self) -> None:
            self.stock = Stays()
            self.orders = PlainShop().orders

    with pytest.raises(ConfigurationError, match="has no method migrate_1_to_2, and Stock has"):
        simulate(SHOP, shopping, model=Unmigrated, seeds=range(1))


def test_a_model_whose_objects_cannot_become_the_next_ones_is_refused_in_a_sentence() -> None:
    class Slots:
        __slots__ = ("items",)

    class AsSlots:
        def __init__(self) -> None:
            self.stock, self.orders = Slots(), PlainOrders1(None)

    class Unlike(PlainShop):
        previous = AsSlots

    with pytest.raises(ConfigurationError, match=r"Slots cannot become one of .*PlainStock.*migrated"):
        simulate(SHOP, shopping, model=Unlike, seeds=range(1))


def test_a_model_that_cannot_be_made_is_refused_in_a_sentence() -> None:
    class Fails(PlainShop1):
        def __init__(self) -> None:
            raise KeyError("shelf")

    class After(PlainShop):
        previous = Fails

    def calls(chance: random.Random, shop: Any) -> Any:
        return shop.stock.left("pear")

    with pytest.raises(ConfigurationError, match=r"Fails cannot be made: KeyError: 'shelf'"):
        simulate(SHOP, calls, model=After, seeds=range(1))
    assert PlainStock().kept == {}


class OrdersAlone(Orders):
    previous = None  # type: ignore[assignment]
    stock = None


@pytest.mark.parametrize(
    ("kind", "model", "why"),
    [
        (Stock, None, ""),
        (Stock, PlainStock, "PlainStock knows nothing of version 1: name the model"),
        (OrdersAlone, None, "OrdersAlone knows nothing of version 1, with which this begins"),
    ],
)
def test_what_began_before_all_that_is_known_is_refused_in_a_sentence(
    kind: Any, model: Callable[[], object] | None, why: str
) -> None:
    """As `check` does with a journal in which a class was migrated."""
    if not why:
        assert ServiceByItself(described(kind), model, begins_at=1).version_of("") == 1
        return
    with pytest.raises(ConfigurationError, match=why):
        ServiceByItself(described(kind), model, begins_at=1)
