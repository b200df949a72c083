"""Unmodified Pyro5 clients get along with our daemon, in every serializer."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from typing import Any

import Pyro5.api
import Pyro5.client
import Pyro5.errors
import pytest
from Pyro5 import config, nsc, protocol
from Pyro5.callcontext import current_context
from Pyro5.core import NAMESERVER_NAME
from Pyro5.nameserver import MemoryStorage, NameServer

from bankrmi.errors import InvalidRequest
from bankrmi.rmi import Daemon, Limits, PlainObject

from .account import Account, until
from .conftest import Serving

SERIALIZERS = ("serpent", "json", "msgpack")


@contextmanager
def stock(daemon: Daemon, serializer: str = "serpent", object_id: str = "acc") -> Iterator[Any]:
    with Pyro5.api.Proxy(f"PYRO:{object_id}@{daemon.address}") as proxy:
        proxy._pyroSerializer = serializer
        proxy._pyroTimeout = 10
        yield proxy


@pytest.fixture(params=SERIALIZERS)
def proxy(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Any]:
    with stock(daemon, request.param) as made:
        yield made


def test_a_call_is_answered(proxy: Any) -> None:
    value = {"a": [1, 2.5, None, True, "ü"], "b": {"c": -(2**40)}}
    assert proxy.echo(value) == value
    assert proxy.echo(1, 2, more="x") == [[1, 2], {"more": "x"}]


def test_the_handshake_tells_methods_attributes_and_oneway(proxy: Any) -> None:
    proxy._pyroBind()
    assert proxy._pyroMethods == Account().exposed.methods
    assert proxy._pyroAttrs == {"owner"}
    assert proxy._pyroOneway == {"note"}


def test_a_property_is_read_and_cannot_be_set(proxy: Any) -> None:
    assert proxy.owner == "the owner"
    with pytest.raises(AttributeError, match="cannot be set"):
        proxy.owner = "me"


@pytest.mark.parametrize("method", ["exposed", "__class__", "invoke", "_private", "kept", "__getattr__"])
def test_what_is_not_exposed_cannot_be_called(proxy: Any, method: str) -> None:
    proxy._pyroBind()
    with pytest.raises(AttributeError):
        proxy._pyroInvoke(method, ("kept",), {})
    assert proxy.echo(1) == 1


def test_an_error_of_ours_arrives_with_code_and_whether_it_happened(proxy: Any) -> None:
    with pytest.raises(Pyro5.errors.PyroError, match="exceeds the balance") as caught:
        proxy.withdraw(2, 10)
    assert type(caught.value) is Pyro5.errors.PyroError
    expected = {"code": "insufficient_funds", "happened": False, "account": 2, "request_id": None}
    assert vars(caught.value) == expected


def test_an_unexpected_error_tells_nothing_but_that_it_was(proxy: Any, capsys: Any) -> None:
    with pytest.raises(Pyro5.errors.PyroError, match="something went wrong") as caught:
        proxy.crash()
    assert not isinstance(caught.value, Pyro5.errors.CommunicationError)
    assert vars(caught.value) == {}
    assert "secret" in capsys.readouterr().out, "it is in the log instead"


def test_an_answer_that_cannot_be_sent_is_an_error_and_not_silence(proxy: Any) -> None:
    with pytest.raises(Pyro5.errors.PyroError, match="something went wrong"):
        proxy.strange()
    assert proxy.echo(1) == 1


def test_a_oneway_call_is_executed_and_not_answered(serving: Serving, proxy: Any, daemon: Daemon) -> None:
    assert proxy.note("remember") is None
    assert proxy.echo("next") == "next"
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    assert account.noted == ["remember"]


def test_a_ping_is_answered(proxy: Any) -> None:
    proxy._pyroBind()
    protocol.SendingMessage.ping(proxy._pyroConnection)
    assert proxy.echo(1) == 1


def test_a_batch_gives_its_results_up_to_the_first_error(proxy: Any, daemon: Daemon) -> None:
    batch = Pyro5.client.BatchProxy(proxy)
    batch.echo(1)
    batch.echo({"a": 2})
    batch.withdraw(2, 10)
    batch.echo(3)
    results = batch()
    assert [next(results), next(results)] == [1, {"a": 2}]
    with pytest.raises(Pyro5.errors.PyroError, match="exceeds the balance"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    assert account.invoked == ["echo", "echo", "withdraw"]


def test_a_batch_whose_calls_are_answered_later_goes_on_then(serving: Serving, daemon: Daemon) -> None:
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)

    def call() -> list[object]:
        with stock(daemon) as proxy:
            batch = Pyro5.client.BatchProxy(proxy)
            batch.keep()
            batch.echo("between")
            batch.keep()
            return list(batch())

    with ThreadPoolExecutor(1) as caller:
        results = caller.submit(call)
        for _ in range(2):
            until(lambda: account.kept)
            serving.do(lambda: account.kept.pop().answer("later"))
        assert results.result(5) == ["later", "between", "later"]


def test_a_oneway_batch_is_executed_and_not_answered(proxy: Any, daemon: Daemon) -> None:
    batch = Pyro5.client.BatchProxy(proxy)
    for number in range(3):
        batch.note(number)
    batch(oneway=True)
    assert proxy.echo("next") == "next"
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    assert account.noted == [0, 1, 2]


def test_a_batch_that_asks_for_what_is_not_exposed_is_refused_whole(proxy: Any, daemon: Daemon) -> None:
    proxy._pyroBind()
    with pytest.raises(AttributeError):
        proxy._pyroInvokeBatch([("echo", (1,), {}), ("invoke", (1,), {})])
    with pytest.raises(Pyro5.errors.PyroError, match="a batch is a list"):
        proxy._pyroInvokeBatch([5])
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    assert account.invoked == []


def test_an_empty_batch_has_no_results(proxy: Any) -> None:
    proxy._pyroBind()
    assert proxy._pyroInvokeBatch([]) == []


def test_correlation_ids_and_sequence_numbers_come_back(proxy: Any) -> None:
    proxy._pyroBind()
    proxy._pyroRawWireResponse = True
    current_context.correlation_id = mine = uuid.uuid4()
    try:
        message = proxy._pyroInvoke("echo", (1,), {})
    finally:
        current_context.correlation_id = None
    assert uuid.UUID(bytes=message.corr_id) == mine
    assert message.flags & protocol.FLAGS_CORR_ID
    assert message.seq == proxy._pyroSeq


def test_annotations_do_no_harm(proxy: Any) -> None:
    current_context.annotations = {"NOTE": b"hello"}
    try:
        assert proxy.echo(1) == 1
    finally:
        current_context.annotations = {}


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_an_unknown_object_is_told_as_pyro_tells_it(daemon: Daemon, serializer: str) -> None:
    with (
        stock(daemon, serializer, "nobody") as proxy,
        pytest.raises(Pyro5.errors.CommunicationError, match="rejected: unknown object"),
    ):
        proxy._pyroBind()


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_daemon_object_answers(daemon: Daemon, serializer: str) -> None:
    with stock(daemon, serializer, "Pyro.Daemon") as proxy:
        assert proxy.ping() is None
        assert proxy.registered() == ["Pyro.Daemon", "acc"]
        assert "2 objects" in proxy.info()
        assert set(proxy.get_metadata("acc")["methods"]) == Account().exposed.methods
        with pytest.raises(Pyro5.errors.DaemonError, match="unknown object"):
            proxy.get_metadata("nobody")


def test_metadata_can_be_asked_for_on_any_connection(proxy: Any) -> None:
    proxy._pyroBind()
    proxy._pyroMethods = set()
    proxy._pyroAttrs = set()
    proxy._pyroGetMetadata()
    assert "echo" in proxy._pyroMethods


def test_marshal_is_refused_in_a_sentence(daemon: Daemon) -> None:
    with (
        stock(daemon, "marshal") as proxy,
        pytest.raises(Pyro5.errors.CommunicationError, match="marshal serializer is not accepted"),
    ):
        proxy._pyroBind()


def test_a_compressing_client_is_told_so(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    with stock(daemon) as proxy:
        proxy._pyroBind()
        monkeypatch.setattr(config, "COMPRESSION", True)
        with pytest.raises(Pyro5.errors.PyroError, match="compressed messages are not accepted"):
            proxy.echo("x" * 1000)


def test_a_message_that_is_too_large_is_told_so(serving: Serving, daemon: Daemon) -> None:
    with stock(daemon) as proxy, pytest.raises(Pyro5.errors.PyroError, match="over the limit of 65536"):
        proxy.echo("x" * 1_000_000)
    with stock(daemon, "msgpack") as proxy:
        assert len(proxy.echo("x" * 1_000_000)) == 1_000_000


def test_a_batch_over_the_limit_is_refused_whole(serving: Serving) -> None:
    daemon = serving.daemon(Limits(batched_calls=3))
    with stock(daemon) as proxy:
        proxy._pyroBind()
        with pytest.raises(Pyro5.errors.PyroError, match="over the limit of 3"):
            proxy._pyroInvokeBatch([("echo", (1,), {})] * 4)


# --- Pyro's own name server, on our daemon ------------------------------------------------------------


class SomebodysObject:
    pass


def refuse_regex(*args: object, regex: object = None, **_: object) -> None:
    if regex is not None or len(args) > 1:
        raise InvalidRequest("this name server runs no regular expressions")


@pytest.fixture
def naming(serving: Serving) -> Daemon:
    names = NameServer(MemoryStorage())
    methods = ["ping", "register", "lookup", "list", "remove", "yplookup", "count", "set_metadata"]
    guards = {"list": refuse_regex, "remove": refuse_regex}
    served = PlainObject(names, methods, guards=guards, shown=(TypeError, ValueError))
    return serving.daemon(objects={NAMESERVER_NAME: served})


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_somebody_elses_object_is_registered_the_stock_way(
    naming: Daemon, serializer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "SERIALIZER", serializer)
    host, _, port = naming.address.rpartition(":")
    with Pyro5.api.Daemon("127.0.0.1", 0) as theirs, Pyro5.api.locate_ns(host, int(port)) as names:
        uri = theirs.register(SomebodysObject)
        names.register("theirs", uri, metadata={"kind:other"})
        assert names.lookup("theirs") == uri
        assert names.lookup("theirs", return_metadata=True)[0] == uri
        assert names.count() == 1
        with pytest.raises(Pyro5.errors.NamingError, match="unknown name"):
            names.lookup("nobody")
        with pytest.raises(TypeError, match="only URIs"):
            names.register("broken", 5)


def test_attributed_names_lead_to_our_objects(naming: Daemon) -> None:
    host, _, port = naming.address.rpartition(":")
    with Pyro5.api.locate_ns(host, int(port)) as names:
        names.register(
            "the.account", f"PYRO:acc@{naming.address}", metadata={"service:account", "role:primary"}
        )
    for uri in ("PYRONAME:the.account", "PYROMETA:service:account,role:primary"):
        with Pyro5.api.Proxy(f"{uri}@{naming.address}") as proxy:
            assert proxy.echo(1) == 1


def test_the_name_server_control_tool_lists(naming: Daemon) -> None:
    host, _, port = naming.address.rpartition(":")
    printed = io.StringIO()
    with Pyro5.api.locate_ns(host, int(port)) as names, redirect_stdout(printed):
        names.register("the.account", f"PYRO:acc@{naming.address}", metadata={"service:account"})
        for command, args in {"list": [], "lookup": ["the.account"], "ping": []}.items():
            nsc.handle_command(names, command, args)
    assert "the.account --> PYRO:acc@" in printed.getvalue()
    assert "service:account" in printed.getvalue()


def test_a_guard_keeps_a_clients_regular_expression_from_being_run(naming: Daemon) -> None:
    host, _, port = naming.address.rpartition(":")
    with Pyro5.api.locate_ns(host, int(port)) as names:
        names.register("a" * 40, f"PYRO:acc@{naming.address}")
        for ask in (names.list, names.remove):
            with pytest.raises(Pyro5.errors.PyroError, match="no regular expressions"):
                ask(regex="(a+)+$b")
        assert len(names.list()) == 1
