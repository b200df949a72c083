"""Programs that know Pyro5 and nothing of us use a running bank."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import Pyro5.api
import Pyro5.client
import Pyro5.errors
import pytest
from Pyro5 import config, protocol

from tests.system.cluster import Cluster

SERIALIZERS = ("serpent", "json", "msgpack")
NAME = "bankrmi.account.s1"
PRIMARY = "PYROMETA:service:account,role:primary"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("BANKRMI_CONFIG", raising=False)
        with Cluster(tmp_path_factory.mktemp("bank"), ledger={2: 10**9, 3: 10**9, 7: 0}) as cluster:
            cluster.start_all()
            cluster.wait_until_in_sync()
            yield cluster
            cluster.show_logs()


@pytest.fixture
def names(cluster: Cluster) -> str:
    return cluster.configuration.nameserver


def stock(uri: str, serializer: str = "serpent") -> Any:
    proxy = Pyro5.api.Proxy(uri)
    proxy._pyroSerializer = serializer
    proxy._pyroTimeout = 20
    return proxy


@pytest.fixture(params=SERIALIZERS)
def account(request: pytest.FixtureRequest, names: str) -> Iterator[Any]:
    with stock(f"{PRIMARY}@{names}", request.param) as proxy:
        yield proxy


def test_a_look_up_is_a_plain_dictionary(account: Any) -> None:
    told = account.balance(7)
    assert type(told) is dict
    assert (told["account"], told["balance"]) == (7, 0)
    assert set(told) == {"account", "balance", "action_id", "history"}


def test_money_is_taken_and_put(account: Any) -> None:
    before = account.balance(2)["balance"]
    taken = account.withdraw(2, 10)
    assert (taken["account"], taken["balance"]) == (2, before - 10)
    put = account.deposit(2, 100)
    assert put["balance"] == before + 90
    assert put["action_id"] == taken["action_id"] + 1
    assert put["request_id"] != taken["request_id"], "each got an id of its own"
    assert account.balance(2)["balance"] == before + 90


def test_a_request_id_makes_a_repetition_harmless(account: Any) -> None:
    request_id = f"stock-{account._pyroSerializer}:1"
    first = account.withdraw(3, 10, request_id)
    assert account.withdraw(3, 10, request_id=request_id) == first
    assert first["request_id"] == request_id
    outcome = account.outcome(request_id)
    assert [result["balance"] for result in outcome["results"]] == [first["balance"]]


def test_many_operations_are_one_request(account: Any) -> None:
    told = account.submit([["deposit", 2, 5], ["withdraw", 50, 1], ["withdraw", 2, 5]])
    assert [result.get("code") for result in told["results"]] == [None, "account_not_found", None]


def test_money_is_moved_and_nobody_is_told_what_the_other_has(account: Any) -> None:
    before = {number: account.balance(number)["balance"] for number in (2, 3)}
    total = account.total()
    moved = account.transfer(2, 3, 10)
    assert (moved["account"], moved["balance"]) == (2, before[2] - 10)
    assert account.balance(3)["balance"] == before[3] + 10
    assert set(moved) == {"account", "balance", "action_id", "request_id", "history"}
    told = account.submit([["transfer", 3, 2, 10], ["transfer", 2, 50, 1], ["transfer", 2, 3, 2**62]])
    assert [(one.get("code"), one["account"]) for one in told["results"]] == [
        (None, 3),
        ("account_not_found", 50),
        ("insufficient_funds", 2),
    ]
    assert account.outcome(told["request_id"])["results"] == told["results"]
    again = account.total()
    assert again["total"] == total["total"] == str(int(total["total"]))
    assert again["action_id"] > total["action_id"]


def test_an_account_comes_and_goes_and_has_a_statement(account: Any) -> None:
    number = {"serpent": 70, "json": 71, "msgpack": 72}[account._pyroSerializer]
    opened = account.open_account(number)
    assert (opened["account"], opened["balance"]) == (number, 0)
    account.deposit(number, 5)
    moved = account.transfer(number, 2, 5)
    closed = account.close_account(number)
    assert closed["balance"] == 0
    statement = account.statement(number, opened["action_id"] - 1)
    assert [one["kind"] for one in statement["entries"]] == [
        "open_account",
        "deposit",
        "transfer",
        "close_account",
    ]
    assert statement["entries"][2]["request_id"] == moved["request_id"]
    assert statement["balance"] is None
    [paid] = account.statement(2, moved["action_id"] - 1)["entries"]
    assert (paid["from"], paid["amount"], paid["status"]) == (number, 5, "done")
    account.withdraw(2, 5)


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("transfer", (7, 2, 1), "insufficient_funds"),
        ("transfer", (2, 50, 1), "account_not_found"),
        ("transfer", (2, 2, 1), "invalid_request"),
        ("open_account", (2,), "account_exists"),
        ("close_account", (2,), "account_not_empty"),
        ("statement", (2, -1), "invalid_request"),
        ("withdraw", (7, 1), "insufficient_funds"),
        ("withdraw", (50, 1), "account_not_found"),
        ("balance", (50,), "account_not_found"),
        ("deposit", (2, 2**63 - 1), "balance_too_large"),
        ("withdraw", (2, -1), "invalid_request"),
        ("withdraw", (2, 1.5), "invalid_request"),
        ("withdraw", ("2", 1), "invalid_request"),
        ("withdraw", (2,), "invalid_request"),
        ("deposit", (2, 1, "no request id"), "invalid_request"),
    ],
)
def test_an_error_says_what_it_is_and_that_it_did_not_happen(
    account: Any, method: str, args: tuple[object, ...], code: str
) -> None:
    account._pyroBind()
    with pytest.raises(Pyro5.errors.PyroError) as caught:
        account._pyroInvoke(method, args, {})
    assert type(caught.value) is Pyro5.errors.PyroError
    assert caught.value.code == code
    assert caught.value.happened is False
    assert account.balance(7)["balance"] == 0, "the connection goes on"


def test_batched_calls_are_answered_one_by_one_up_to_the_first_error(account: Any) -> None:
    before = account.balance(2)["balance"]
    batch = Pyro5.client.BatchProxy(account)
    batch.deposit(2, 1)
    batch.deposit(2, 1)
    batch.withdraw(7, 1)
    batch.deposit(2, 1)
    results = batch()
    assert [next(results)["balance"], next(results)["balance"]] == [before + 1, before + 2]
    with pytest.raises(Pyro5.errors.PyroError, match="exceeds the balance"):
        next(results)
    assert account.balance(2)["balance"] == before + 2


def test_a_ping_is_answered(account: Any) -> None:
    account._pyroBind()
    protocol.SendingMessage.ping(account._pyroConnection)
    assert account.balance(7)["balance"] == 0


def test_the_service_is_a_property(account: Any) -> None:
    assert account.service == "account"
    with pytest.raises(AttributeError):
        account.service = "other"


def test_a_oneway_call_is_carried_out_and_not_answered(account: Any, cluster: Cluster) -> None:
    before = account.balance(2)["balance"]
    account._pyroOneway.add("deposit")
    assert account.deposit(2, 7) is None
    cluster.until(lambda: account.balance(2)["balance"] == before + 7, "the deposit is there")


def test_a_server_is_found_by_its_name(names: str) -> None:
    with stock(f"PYRONAME:{NAME}@{names}") as account:
        assert account.status()["server"] == "s1"


def test_a_standby_names_the_primary(cluster: Cluster, names: str) -> None:
    cluster.until(lambda: "role:standby" in nsc(names, "list"), "the standby has its role")
    with (
        stock(f"PYROMETA:service:account,role:standby@{names}") as account,
        pytest.raises(Pyro5.errors.PyroError, match=r"s1 .*leads") as caught,
    ):
        account.withdraw(2, 10)
    assert (caught.value.code, caught.value.happened, caught.value.primary) == ("not_primary", None, "s1")


def nsc(names: str, *command: str) -> str:
    host, _, port = names.rpartition(":")
    tool = Path(sys.executable).with_name("pyro5-nsc")
    ended = subprocess.run(
        [tool, "-n", host, "-p", port, *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_pyro5_nsc_lists_the_servers_with_their_roles(names: str) -> None:
    listed = nsc(names, "list")
    lines = {line.split(" ")[0]: line for line in listed.splitlines() if "-->" in line}
    assert {"Pyro.NameServer", NAME, "bankrmi.account.s2"} <= set(lines)
    assert "role:primary" in listed
    assert "role:standby" in listed
    assert "service:account" in listed


def test_pyro5_nsc_finds_by_attributes(names: str) -> None:
    assert NAME in nsc(names, "yplookup_all", "service:account", "role:primary")
    assert NAME in nsc(names, "lookup", NAME)


class Greeter:
    @Pyro5.api.expose  # type: ignore[untyped-decorator]
    def greet(self, name: str) -> str:
        return f"hello {name}"


def test_somebody_elses_object_lives_beside_the_bank(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "POLLTIMEOUT", 0.1)
    host, _, port = names.rpartition(":")
    with Pyro5.api.Daemon("127.0.0.1", 0) as daemon, Pyro5.api.locate_ns(host, int(port)) as there:
        there.register("their.greeter", daemon.register(Greeter()))
        serving = threading.Thread(target=daemon.requestLoop)
        serving.start()
        try:
            with stock(f"PYRONAME:their.greeter@{names}") as greeter:
                assert greeter.greet("you") == "hello you"
            assert there.remove("their.greeter") == 1
        finally:
            daemon.shutdown()
            serving.join()


def test_the_name_of_the_primary_leads_to_its_successor(tmp_path: Path) -> None:
    """A stock client that looks the attributed name up again after a crash goes on."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        uri = f"{PRIMARY}@{cluster.configuration.nameserver}"
        with stock(uri) as account:
            assert account.withdraw(2, 50, "stock:1")["balance"] == 150
            victim = account.status()["server"]
        cluster.kill(victim)
        survivor = cluster.primary()
        assert survivor != victim
        cluster.until(lambda: (cluster.view() or {}).get("primary") == survivor, "the witness knows")
        with stock(uri) as account:
            assert account.withdraw(2, 50, "stock:1")["balance"] == 150, "it is remembered"
            assert account.withdraw(2, 50, "stock:2")["balance"] == 100
