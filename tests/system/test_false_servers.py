"""Whoever says that it is a server sends what no server would: nobody stops, nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError, InvalidRequest
from bankrmi.rmi import ConnectDenied, Connection, Failure, connect, handshake
from bankrmi.server.operator_object import OPERATOR_ID
from bankrmi.server.peer_network import STANDBY_ID
from tests.system.cluster import NAMESERVER, Cluster

FAR = 1 << 52
ODD: list[Any] = [
    None, True, -1, 2**63, 2**64 - 1, -(2**63), 0.5, float("nan"), "", "s9", "x" * 300, "\x1b[2J\u202e",
    b"s2", [], [[]], ["s2"], {}, {"s2": []}, [1, 2, 3], [0, 0, b""],
]  # fmt: skip
CONTRADICTIONS: list[dict[str, Any]] = [{"in_sync": ["s2"]}, {"incarnations": {}}, {"primary": "s9"}]
METHODS = {
    "checkpoint": 12, "join": 6, "leave": 2, "view_news": 1, "census": 1, "begin_copy": 0, "read_copy": 2,
    "end_copy": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For those after whom the bank is as it was."""
    with Cluster(tmp_path_factory.mktemp("bank")) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster
        cluster.show_logs()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def false_server(cluster: Cluster, at: str, name: object = "s2", start_id: object = "false") -> Connection:
    address = cluster.configuration.servers[at]
    return connect(address, STANDBY_ID + at, handshake("server", server=name, start_id=start_id), 5.0)


def view_of(cluster: Cluster) -> dict[str, Any]:
    return cluster.until(cluster.view, "the witness tells the view") or {}


def checkpoint(view: dict[str, Any], **other: Any) -> list[Any]:
    """A well-formed heartbeat in s2's name."""
    place = [0, 0, b"d" * 16]
    form = {
        "history": view["history"], "epoch": view["epoch"], "primary": "s2", "start_id": "false", "number": 1,
        "previous": place, "base": place, "acknowledged": 0, "lease_ms": 1000, "drift_ms": 20, "entries": [],
        "needs_protocol": 1,
    }  # fmt: skip
    return list({**form, **other}.values())


def test_odd_arguments_are_refused_and_the_bank_goes_on(shared: Cluster) -> None:
    bank = shared.client()
    balance = bank.deposit(1, 10).balance
    before = view_of(shared)
    refused = 0
    at, name = shared.primary(), shared.standby()
    with false_server(shared, at, name) as caller:
        for method, count in METHODS.items():
            forms = [[odd] * number for odd in ODD for number in {0, 1, count, count + 1}]
            well = checkpoint(before) if method == "checkpoint" else [None] * count
            forms += [[*well[:place], odd, *well[place + 1 :]] for place in range(count) for odd in ODD]
            for form in forms:
                if method == "begin_copy" and not form:
                    continue
                try:
                    caller.call(method, form, timeout=5.0)
                except InvalidRequest:
                    refused += 1
    assert refused > 500
    assert bank.deposit(1, 10).balance == balance + 10
    assert view_of(shared) == before
    assert len(shared.log(at)) < 200_000


def test_who_is_no_configured_server_is_not_listened_to(shared: Cluster) -> None:
    strangers: list[object] = ["s1", "s9", None, [], 5, "x" * 500]
    for name in strangers:
        with pytest.raises(ConnectDenied, match="the servers of its configuration only"):
            false_server(shared, "s1", name)
    with false_server(shared, "s1") as caller:
        for form in (checkpoint(view_of(shared), primary="s1"), checkpoint(view_of(shared), start_id="x")):
            with pytest.raises(InvalidRequest, match="speaks for another"):
                caller.call("checkpoint", form, timeout=5.0)
        for method, *args in (("leave", "s2", "x"), ("census", "s1"), ("leave", "s1", "false")):
            with pytest.raises(InvalidRequest, match="speaks for another"):
                caller.call(method, tuple(args), timeout=5.0)


def test_a_second_leader_and_a_far_epoch_change_nothing(cluster: Cluster) -> None:
    """Each of these ended a process, or was adopted on the disk so that the bank could never lead again."""
    bank = cluster.client()
    bank.withdraw(1, 10)
    before = view_of(cluster)
    for at, name in (("s1", "s2"), ("s2", "s1")):
        with false_server(cluster, at, name) as caller:
            with pytest.raises(InvalidRequest, match="two processes lead epoch"):
                caller.call("checkpoint", checkpoint(before, primary=name), timeout=5.0)
            far = checkpoint(before, primary=name, epoch=FAR)
            assert caller.call("checkpoint", far, timeout=5.0) is None
            news = {**before, "epoch": FAR, "primary": "s1", "start_id": "false"}
            assert caller.call("view_news", [news], timeout=5.0) is None
            assert caller.call("leave", [name, "false"], timeout=5.0) is None
            for contradiction in CONTRADICTIONS:
                with pytest.raises(InvalidRequest):
                    caller.call("view_news", [{**before, **contradiction}], timeout=5.0)
    assert bank.withdraw(1, 10).balance == 80
    assert view_of(cluster) == before
    cluster.kill(*cluster.servers)
    adopted = [cluster.copy(name).adopted for name in cluster.servers]
    assert [one.epoch for one in adopted if one is not None] == [before["epoch"]] * 2


def test_an_odd_proposal_leaves_the_witness_as_it_was(cluster: Cluster) -> None:
    """One with an epoch over 2^63 left a transaction open, and the next change of the view ended it."""
    before = view_of(cluster)
    expected = [before["history"], before["epoch"]]
    with connect(str(cluster.configuration.witness), WITNESS_ID, handshake("server"), 5.0) as witness:
        for odd in ODD:
            for key in before:
                with suppress(BankError):
                    witness.call("propose", ["account", expected, {**before, key: odd}], timeout=5.0)
            whole: list[list[Any]] = [
                ["account", odd, before],
                ["account", [before["history"], odd], before],
                [odd, None, before],
            ]
            for args in whole:
                with suppress(BankError):
                    witness.call("propose", args, timeout=5.0)
        for service in ("new", "account"):
            with pytest.raises(InvalidRequest):
                witness.call(
                    "propose", [service, None, {**before, "epoch": 2**63, "forced": True}], timeout=5.0
                )
    assert view_of(cluster) == before
    cluster.kill(cluster.primary())
    assert cluster.client(timeout=20).withdraw(1, 10).balance == 90
    assert cluster.is_running(NAMESERVER)


def test_odd_wishes_of_operators_are_refused(shared: Cluster) -> None:
    balance = shared.client().balance(1).balance
    at = shared.primary()
    address = shared.configuration.servers[at]
    with connect(address, OPERATOR_ID + at, handshake("operator"), 5.0) as operator:
        for odd in [one for one in ODD if one not in (None, "s9")]:
            for method in ("switchover", "export", "fence"):
                with pytest.raises((InvalidRequest, Failure)):
                    operator.call(method, [odd], timeout=5.0)
        for page in ("x", "x+", "x+²", "x+-1", "x+" + "9" * 5000, "x+9999999999999999999"):
            with pytest.raises(InvalidRequest):
                operator.call("export", [page], timeout=5.0)
    assert shared.client().deposit(1, 10).balance == balance + 10
