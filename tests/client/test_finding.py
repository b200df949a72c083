"""Whom a client asks: names are a hint among configured servers, or all that it has, and never a result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bankrmi
import bankrmi.aio
from bankrmi import config
from bankrmi.client.decisions import Candidate
from bankrmi.client.finding import learned, named_primary, service_beside, service_called
from bankrmi.config import Configuration, load
from bankrmi.errors import AccessDenied, Busy, ConfigurationError, InsufficientFunds, NotPrimary, Unreached
from bankrmi.rmi import Call, NamedObject
from tests.client.doubles import (
    Account,
    DoubleBank,
    Ledger,
    Running,
    free_address,
    name_server,
    named,
)

S1, S2 = Candidate("s1", "127.0.0.1:9101"), Candidate("s2", "127.0.0.1:9102")


def name_of(server: str, address: str, *tags: str) -> NamedObject:
    account = f"bankrmi.account.{server}"
    return NamedObject(name=account, object_id=account, address=address, tags=frozenset(tags))


# -- what is made of names --------------------------------------------------------------------------


def test_a_name_is_a_hint_among_the_configured_servers_at_their_addresses() -> None:
    elsewhere = name_of("s2", "10.6.6.6:6666", "role:primary")
    assert named_primary((S1, S2), [elsewhere]) == S2


def test_one_that_has_moved_is_asked_where_it_lives_now() -> None:
    """It is known at both addresses; and asking where it was may take a patience each time."""
    moved = Candidate("s2", "127.0.0.1:9109")
    named_there = name_of("s2", moved.address, "role:primary")
    assert named_primary((S1, S2, moved), [named_there]) == moved
    assert named_primary((S1, S2, moved), [name_of("s2", S2.address, "role:primary")]) == S2


def test_a_server_that_is_not_configured_is_nobody() -> None:
    assert named_primary((S1, S2), [name_of("s3", "127.0.0.1:9103", "role:primary")]) is None


def test_a_strangers_name_for_a_servers_object_is_no_hint() -> None:
    stranger = NamedObject(
        name="aaa",
        object_id="bankrmi.account.s1",
        address="127.0.0.1:9101",
        tags=frozenset({"role:primary"}),
    )
    assert named_primary((S1, S2), [stranger]) is None
    assert learned([stranger], insecure=True) == ((), "")


def test_servers_are_learned_from_names_that_only_servers_can_hold() -> None:
    names = [name_of("s1", S1.address), name_of("s2", S2.address, "role:primary")]
    others = [NamedObject(name="x", object_id="x", address="127.0.0.1:1")]
    assert learned([*names, *others], insecure=False) == ((S1, S2), "")


def test_an_address_that_others_can_reach_is_learned_only_if_that_is_meant() -> None:
    names = [name_of("s1", "10.0.0.1:9101"), name_of("s2", S2.address), name_of("s3", "bank.example:1")]
    assert learned(names, insecure=True)[0] == (
        Candidate("s1", "10.0.0.1:9101"),
        S2,
        Candidate("s3", "bank.example:1"),
    )
    servers, why = learned(names, insecure=False)
    assert servers == (S2,)
    assert why.startswith("s1 is at 10.0.0.1:9101, which can be reached by others")
    assert why.endswith("say --insecure if that is meant")


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("s1", "0.0.0.0:1"),
        ("s1", "127.0.0.1:0"),
        ("s1", "127.0.0.1"),
        ("s1", "[::1:1"),
        ("s 1", "127.0.0.1:1"),
        ("", "127.0.0.1:1"),
        ("witness", "127.0.0.1:1"),
    ],
)
def test_what_no_configuration_could_name_is_not_learned(server: str, address: str) -> None:
    servers, why = learned([name_of(server, address)], insecure=True)
    assert servers == ()
    assert why


def test_not_more_servers_are_learned_than_a_bank_has() -> None:
    many = [name_of(f"s{number}", "127.0.0.1:1") for number in range(200)]
    assert len(learned(many, insecure=False)[0]) == 64


# -- both clients -----------------------------------------------------------------------------------


def blocking(*where: Any, **options: Any) -> int:
    with bankrmi.connect(*where, **options) as client:
        return int(client.withdraw(2, 10).balance)


def in_event_loop(*where: Any, **options: Any) -> int:
    async def withdraw() -> int:
        async with await bankrmi.aio.connect(*where, **options) as client:
            return int((await client.withdraw(2, 10)).balance)

    return asyncio.run(withdraw())


Withdrawing = Callable[..., int]


@pytest.fixture(params=[blocking, in_event_loop])
def withdraw(request: pytest.FixtureRequest) -> Withdrawing:
    chosen: Withdrawing = request.param
    return chosen


def test_an_address_that_only_the_name_server_knows_is_never_asked(
    bank: DoubleBank, withdraw: Withdrawing
) -> None:
    bank.start("s1", Ledger({2: 300}))
    impostor = Account(Ledger({2: 999}))
    elsewhere = free_address()
    running = Running(elsewhere, {"bankrmi.account.s1": impostor, "bankrmi.account.s9": impostor})
    answer = named({"s1": (elsewhere, "primary"), "s9": (elsewhere, "primary")})
    with name_server(bank.configuration.nameserver, answer) as names:
        assert withdraw(bank.configuration) == 290
    running.stop()
    assert names.asked
    assert impostor.asked == []


def never(call: Call) -> None:
    """Keep whoever asks waiting."""


def too_long(call: Call) -> None:
    call.answer("x" * (2 << 20))


ODD: list[object] = [
    Busy("later"),
    AccessDenied("not you"),
    InsufficientFunds("as if it were an answer", balance=5),
    NotPrimary("s2 leads", primary="s2"),
    KeyError("x"),
    None,
    [],
    5,
    "x" * 1000,
    {"bankrmi.account.s1": "PYRO:bankrmi.account.s1@127.0.0.1:1"},
    {"bankrmi.account.s1": ["PYRO:bankrmi.account.s1@nowhere:1", ["role:primary"]], "b": 5},
    {"bankrmi.account.s1": [["PYRO"], {"role:primary": 1}]},
    {str(number): ["PYRO:x@h:1", []] for number in range(5000)},
    never,
    too_long,
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_whatever_the_name_server_answers_is_not_the_result_of_an_operation(
    bank: DoubleBank, withdraw: Withdrawing, odd: object
) -> None:
    bank.start("s1", Ledger({2: 300}))
    with name_server(bank.configuration.nameserver, odd) as names:
        assert withdraw(bank.configuration) == 290
    assert names.asked


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_with_the_name_server_alone_a_false_one_leads_to_nobody(withdraw: Withdrawing, odd: object) -> None:
    address = free_address()
    with name_server(address, odd), pytest.raises(Unreached, match="nothing was done") as refused:
        withdraw(nameserver=address, timeout=0.4)
    assert "xxxx" not in refused.value.message


# -- the name server alone --------------------------------------------------------------------------


def servers_of(bank: DoubleBank, primary: str = "s1") -> dict[str, object]:
    return named(
        {
            server: (address, "primary" if server == primary else "standby")
            for server, address in bank.configuration.servers.items()
        }
    )


def test_a_client_can_be_told_the_name_server_alone(bank: DoubleBank, withdraw: Withdrawing) -> None:
    bank.start("s2", Ledger({2: 300}))
    with name_server(bank.configuration.nameserver, servers_of(bank, "s2")) as names:
        assert withdraw(nameserver=bank.configuration.nameserver) == 290
    assert names.asked == [{"service:account"}]


def test_it_may_also_stand_alone_in_a_file(bank: DoubleBank, withdraw: Withdrawing, tmp_path: Path) -> None:
    file = tmp_path / "client.yaml"
    file.write_text(f"nameserver: {bank.configuration.nameserver}\n")
    bank.start("s1", Ledger({2: 300}))
    with name_server(bank.configuration.nameserver, servers_of(bank)):
        assert withdraw(file) == 290


def test_a_learned_server_that_dies_is_replaced_by_another_that_was_learned(bank: DoubleBank) -> None:
    ledger = Ledger({2: 300})
    bank.start("s1", ledger)
    with (
        name_server(bank.configuration.nameserver, servers_of(bank)) as names,
        bankrmi.connect(nameserver=bank.configuration.nameserver) as client,
    ):
        assert client.withdraw(2, 10).balance == 290
        bank.stop("s1")
        bank.start("s2", ledger)
        assert client.withdraw(2, 10).balance == 280
        assert len(names.asked) == 1


def test_when_nobody_is_left_who_answers_the_servers_are_learned_anew(bank: DoubleBank) -> None:
    """All of them have moved; it is noticed within the call that finds nobody."""
    ledger = Ledger({2: 300})
    bank.start("s1", ledger)
    moved = free_address()
    with (
        name_server(bank.configuration.nameserver, servers_of(bank)) as names,
        bankrmi.connect(nameserver=bank.configuration.nameserver) as client,
    ):
        assert client.withdraw(2, 10).balance == 290
        bank.stop("s1")
        names.answer = named({"s1": (moved, "primary")})
        running = Running(moved, {"bankrmi.account.s1": Account(ledger)})
        assert client.withdraw(2, 10).balance == 280
        running.stop()


def test_a_name_server_that_starts_later_is_found_within_the_call(
    bank: DoubleBank, withdraw: Withdrawing
) -> None:
    """It knows nobody at first; so does one that has just been restarted."""
    bank.start("s1", Ledger({2: 300}))
    asked = iter([{}, {}, servers_of(bank)])
    with name_server(bank.configuration.nameserver, lambda call: call.answer(next(asked))):
        assert withdraw(nameserver=bank.configuration.nameserver) == 290


def test_what_was_learned_is_not_forgotten_when_the_name_server_is_gone(bank: DoubleBank) -> None:
    ledger = Ledger({2: 300})
    bank.start("s1", ledger)
    with bankrmi.connect(nameserver=bank.configuration.nameserver) as client:
        with name_server(bank.configuration.nameserver, servers_of(bank)):
            assert client.withdraw(2, 10).balance == 290
        bank.stop("s1")
        bank.start("s1", ledger)
        assert client.withdraw(2, 10).balance == 280


def test_what_was_learned_is_not_forgotten_for_a_name_server_that_knows_nobody(bank: DoubleBank) -> None:
    """So it is for a moment after its restart: nobody has registered again yet."""
    ledger = Ledger({2: 300})
    bank.start("s1", ledger)
    with (
        name_server(bank.configuration.nameserver, servers_of(bank)) as names,
        bankrmi.connect(nameserver=bank.configuration.nameserver) as client,
    ):
        assert client.withdraw(2, 10).balance == 290
        bank.stop("s1")
        names.answer = {}
        waiting = threading.Thread(target=client.withdraw, args=(2, 10))
        waiting.start()
        while len(names.asked) < 3:
            assert waiting.is_alive()
            waiting.join(0.01)
        bank.start("s1", ledger)
        waiting.join(20)
    assert ledger.balances[2] == 280


def test_many_tasks_at_once_ask_the_name_server_once(bank: DoubleBank) -> None:
    bank.start("s1", Ledger({2: 300}))

    async def work() -> None:
        async with await bankrmi.aio.connect(nameserver=bank.configuration.nameserver) as client:
            await asyncio.gather(*(client.withdraw(2, 1) for _ in range(50)))

    with name_server(bank.configuration.nameserver, servers_of(bank)) as names:
        asyncio.run(work())
    assert 1 <= len(names.asked) < 10  # Again only when that took longer than a quarter of a second.


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, "knows no server of service:account"),
        (
            named({"s1": ("10.0.0.1:9101", "primary")}),
            "s1 is at 10.0.0.1:9101, which can be reached by others",
        ),
        (Busy("later"), "does not say who the servers are: it answered with an error"),
    ],
)
def test_where_no_server_is_learned_the_error_says_why(
    withdraw: Withdrawing, answer: object, why: str
) -> None:
    address = free_address()
    with name_server(address, answer), pytest.raises(Unreached) as refused:
        withdraw(nameserver=address, timeout=0.3)
    assert why in refused.value.message


def test_without_a_name_server_the_error_says_so(withdraw: Withdrawing) -> None:
    address = free_address()
    with pytest.raises(Unreached, match=f"the name server at {address} does not say .*: refused"):
        withdraw(nameserver=address, timeout=0.3)


@pytest.mark.parametrize("wrong", ["localhost", "127.0.0.1:0", "0.0.0.0:9090", "10.0.0.1:9090"])
def test_an_address_that_a_file_could_not_have_is_refused(withdraw: Withdrawing, wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        withdraw(nameserver=wrong)


def test_a_configuration_and_a_name_server_are_one_too_many(bank: DoubleBank, withdraw: Withdrawing) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        withdraw(bank.configuration, nameserver="127.0.0.1:9090")


def test_what_is_insecure_is_said_once_for_the_name_server_and_what_is_learned() -> None:
    told: Configuration = config.of_nameserver("10.0.0.1:9090", insecure=True)
    assert told.insecure
    assert told.servers == {}


class Stock:
    """By its name alone it is looked for."""


class Orders:
    """Likewise."""


@pytest.mark.parametrize(
    ("kind", "service", "found"),
    [
        (Orders, None, "orders"),
        (Orders, "orders", "orders"),
        (Stock, "north", "north"),
        (Stock, None, "serves Stock as north, south: say which, with connect(Stock, ..., service='north')"),
        (Stock, "orders", "serves shop:Orders as orders, and not Stock"),
        (Stock, "west", "and nothing that is called 'west'"),
        (object, None, "and not object"),
        (None, None, "and no accounts: say connect(Class, ...), with one of these classes"),
        (None, "north", "a service is called by its class"),
    ],
)
def test_a_service_is_found_by_its_class_and_by_its_name(
    tmp_path: Path, kind: type | None, service: str | None, found: str
) -> None:
    file = tmp_path / "shop.yaml"
    served = "serves:\n  north: shop:Stock\n  orders: shop:Orders\n  south: shop:Stock\n"
    file.write_text(f"{served}nameserver: 127.0.0.1:1\nservers:\n  s1: 127.0.0.1:2\n")
    configuration = load(file)
    if " " not in found:
        assert service_called(configuration, kind, service) == found
        return
    with pytest.raises(ConfigurationError) as refused:
        service_called(configuration, kind, service)
    assert found in refused.value.message


def test_the_object_of_a_service_is_known_or_learned() -> None:
    names = [name_of("s1.orders", "127.0.0.1:9101", "role:primary"), name_of("s2.orders", "127.0.0.1:9102")]
    assert learned(names, insecure=False) == ((S1, S2), "")
    assert named_primary((S1, S2), names) == S1
    assert service_beside(names, "") == "orders"
    assert service_beside([name_of("s1", "127.0.0.1:9101")], "orders") == ""
    assert service_beside([], "orders") == "orders"
