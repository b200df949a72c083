"""The clients of a class: what they send, what they believe, what they raise; servers do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import bankrmi
import bankrmi.aio
from bankrmi.config import Configuration
from bankrmi.errors import ConfigurationError, InDoubt, InvalidRequest, ServiceError
from bankrmi.rmi import Call, Exposed
from tests.client.doubles import Account, DoubleBank


class OutOfStock(Exception):
    """There are fewer."""


class Spoilt(Exception):
    """Wants more than can be known of it."""

    def __init__(self, name: str, *, since: float) -> None:
        super().__init__(name, since)


@dataclass(frozen=True)
class Item:
    """How many there are of what."""

    name: str
    count: int


class Shelf(bankrmi.Service):
    """A service of which nothing is run here."""

    @bankrmi.update(raises=[OutOfStock, Spoilt])
    def put(self, name: str, count: int = 1) -> int:
        """Put some there."""
        raise AssertionError(name, count)

    @bankrmi.query(raises=[KeyError])
    def get(self, name: str) -> Item:
        """Return what there is."""
        raise AssertionError(name)


Method = tuple[str, tuple[Any, ...], dict[str, Any]]
Perform = Callable[[Configuration, list[Method]], list[Any]]


def blocking(configuration: Configuration, calls: list[Method]) -> list[Any]:
    """Return what each call came to, one after the other, with one client."""
    came: list[Any] = []
    with bankrmi.connect(Shelf, configuration, timeout=2) as client:
        for method, args, kwargs in calls:
            try:
                came.append(getattr(client, method)(*args, **kwargs))
            except Exception as error:
                came.append(error)
    return came


def asynchronous(configuration: Configuration, calls: list[Method]) -> list[Any]:
    """Return the same with the asyncio client."""

    async def work() -> list[Any]:
        came: list[Any] = []
        async with await bankrmi.aio.connect(Shelf, configuration, timeout=2) as client:
            for method, args, kwargs in calls:
                try:
                    came.append(await getattr(client, method)(*args, **kwargs))
                except Exception as error:
                    came.append(error)
        return came

    return asyncio.run(work())


both = pytest.mark.parametrize("perform", [blocking, asynchronous])

PUT: Method = ("put", ("pear",), {"count": 3})
GET: Method = ("get", ("pear",), {})


def serve(bank: DoubleBank, value: Any, server: str = "s1", **more: Any) -> Account:
    """Start a server that answers every call so; an error is raised."""

    def answer(call: Call) -> None:
        if isinstance(value, Exception):
            call.fail(value)
            return
        request_id = {"request_id": call.args[3]} if call.method == "update" else {}
        call.answer({"value": value, "action_id": 4, "history": "h", **request_id} | more)

    account = bank.start(server, answer)
    account.exposed = Exposed(methods=frozenset({"update", "query", "outcome", "status"}))
    return account


@both
def test_what_is_sent_is_the_method_and_all_its_arguments(bank: DoubleBank, perform: Perform) -> None:
    account = serve(bank, 3)
    own: Method = ("update", ("put", ["pear", 1]), {"request_id": "mine:1"})
    assert perform(bank.configuration, [PUT, own, PUT]) == [3, 3, 3]
    (method, first), (_, second), (_, third) = account.asked
    assert (method, list(first[:3])) == ("update", ["put", ["pear", 3], {}])
    assert [first[3].rpartition(":")[2], second[3], third[3].rpartition(":")[2]] == ["1", "mine:1", "2"]
    assert [first[4], list(third[4])] == [None, ["h", 4]]


@both
def test_a_result_comes_back_as_what_the_annotation_says(bank: DoubleBank, perform: Perform) -> None:
    account = serve(bank, {"name": "pear", "count": 3})
    by_name: Method = ("query", ("get",), {"kwargs": {"name": "pear"}})
    assert perform(bank.configuration, [GET, by_name]) == [Item("pear", 3)] * 2
    assert [(method, list(args[:3])) for method, args in account.asked] == [
        ("query", ["get", ["pear"], {}])
    ] * 2


@both
@pytest.mark.parametrize(
    ("value", "more"),
    [
        ("three", {}),
        ({"name": "pear"}, {}),
        (3, {"request_id": "other:1"}),
        (3, {"history": None}),
        (3, {"action_id": "4"}),
        (3, {"action_id": 0}),
    ],
)
def test_what_cannot_be_the_answer_settles_nothing(
    bank: DoubleBank, perform: Perform, value: Any, more: dict[str, Any]
) -> None:
    serve(bank, value, **more)
    [came] = perform(bank.configuration, [PUT])
    assert isinstance(came, InDoubt)  # Why, depends on which of its attempts ended last.


def raised(
    error: str, *, module: str = __name__, words: str = "", arguments: str | None = None
) -> ServiceError:
    return ServiceError("put raised it", error=error, module=module, words=words, arguments=arguments)


@both
@pytest.mark.parametrize("module", [__name__, "elsewhere"])
def test_a_declared_error_is_raised_as_itself(bank: DoubleBank, perform: Perform, module: str) -> None:
    serve(bank, raised("OutOfStock", module=module, arguments='["pear", 3]'))
    [came] = perform(bank.configuration, [PUT])
    assert type(came) is OutOfStock
    assert came.args == ("pear", 3)
    assert isinstance(came.__cause__, ServiceError)


@both
def test_without_arguments_its_words_are_all_that_there_is(bank: DoubleBank, perform: Perform) -> None:
    serve(bank, raised("OutOfStock", words="only 3", arguments="no JSON"))
    [came] = perform(bank.configuration, [PUT])
    assert (type(came), came.args) == (OutOfStock, ("only 3",))


@both
@pytest.mark.parametrize("error", ["KeyError", "Spoilt", "Nothing", "SystemExit"])
def test_what_is_not_declared_or_cannot_be_made_is_told_as_it_is(
    bank: DoubleBank, perform: Perform, error: str
) -> None:
    """`get` declares KeyError, and `put` does not."""
    serve(bank, raised(error, module="builtins", words="so"))
    [came] = perform(bank.configuration, [PUT])
    assert (type(came), came.error) == (ServiceError, error)


@both
def test_the_next_server_is_asked_with_the_same_request_id(bank: DoubleBank, perform: Perform) -> None:
    def break_off(call: Call) -> None:
        bank.accounts["s1"].answering = lambda _: None
        bank.stop("s1")

    first = bank.start("s1", break_off)
    first.exposed = Exposed(methods=frozenset({"update", "status"}))
    second = serve(bank, 3, "s2")
    assert perform(bank.configuration, [PUT]) == [3]
    ids = [args[3] for account in (first, second) for method, args in account.asked if method == "update"]
    assert len(ids) == 2
    assert len(set(ids)) == 1


@both
def test_where_a_bank_is_served_that_is_said_at_once(bank: DoubleBank, perform: Perform) -> None:
    account = bank.start("s1", lambda call: call.answer(None))
    [came] = perform(bank.configuration, [PUT])
    assert isinstance(came, InvalidRequest)
    assert "the server serves something else: the object has no exposed method 'update'" in str(came)
    assert account.asked == []


def test_which_class_is_served_is_known_before_anything_is_sent(bank: DoubleBank) -> None:
    served = bank.configuration.model_copy(update={"serves": "shop:Basket"})
    blockingly: Any = bankrmi.connect  # Which is called here as it is not to be.
    for connect in (blockingly, lambda *what: asyncio.run(bankrmi.aio.connect(*what))):
        with pytest.raises(ConfigurationError, match="serves shop:Basket, and not Shelf"):
            connect(Shelf, served)
        with pytest.raises(ConfigurationError, match=r"say connect\(Basket, \.\.\.\), with that class"):
            connect(served)
        with pytest.raises(ConfigurationError, match="int is not a service"):
            connect(int, bank.configuration)
        with pytest.raises(ConfigurationError, match="say which class it is first"):
            connect("inventory.yaml", bank.configuration)


def test_a_client_shows_what_can_be_called(bank: DoubleBank) -> None:
    with bankrmi.connect(Shelf, bank.configuration) as client:
        assert {"put", "get", "outcome", "close"} <= set(dir(client))
        assert client.put.__doc__ == "Put some there."
        assert repr(client) == "<client of the service Shelf>"
        for name in ("pout", "create", "db"):
            with pytest.raises(AttributeError, match=f"the service Shelf has no method '{name}'"):
                getattr(client, name)
