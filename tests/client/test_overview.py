"""The overview works with everything up, with anything down, and with nothing up at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.exit_codes import HealthCode
from bankrmi.cli.explanation import explain
from bankrmi.cli.health import health
from bankrmi.client import export, history, overview, switchover
from bankrmi.config import Configuration
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import OperationFailed, Unreached
from bankrmi.replication.view import View
from bankrmi.rmi import Call, Exposed, PlainObject, RemoteObject
from tests.client.doubles import Account, Running, free_address

VIEW = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1").letting_in("s2", "disk-s2")


def status(server: str, **more: object) -> dict[str, object]:
    return {
        "server": server,
        "role": "primary" if server == "s1" else "standby",
        "pid": 7,
        "history": "h1",
        "epoch": 2,
        "action_id": 5,
        "primary": "s1",
        "in_sync": ["s1", "s2"],
        "address": "where it believes to be",
        **more,
    }


def view_found(epoch: int, primary: str, in_sync: list[str]) -> dict[str, object]:
    """A view of whose change nobody noted the cause."""
    what = {"history": "h1", "epoch": epoch, "primary": primary, "in_sync": in_sync}
    return {**what, "cause": None, "paused": None, "retired_for": None, "written_us": None}


class Witness:
    def __init__(self) -> None:
        self.holds: View | None = VIEW

    def read(self, service: str) -> dict[str, Any] | None:
        return self.holds.to_wire() if service == "account" and self.holds is not None else None


class Names:
    def ping(self) -> None:
        pass


class Operator:
    """Hands over; gives its ledger in two pages."""

    def __init__(self) -> None:
        self.action_ids = [5, 5]
        self.rows: list[object] = [[1, 100]]

    def switchover(self, target: str | None) -> dict[str, Any]:
        return {"before": VIEW.to_wire(), "after": VIEW.handed_over_to(target or "s2", "b").to_wire()}

    def export(self, cursor: object = None, _leading: object = None) -> dict[str, Any]:
        page = 0 if cursor is None else 1
        balances = [self.rows, [[2, 300]]][page]
        following = "next" if page == 0 else None
        return {"action_id": self.action_ids[page], "history": "h1", "balances": balances, "next": following}


class Parts:
    """Each part of a bank, started where it is wanted."""

    def __init__(self, folder: Path) -> None:
        self.configuration = Configuration(
            path=folder / "config.yaml",
            nameserver=free_address(),
            witness=free_address(),
            servers={"s1": free_address(), "s2": free_address()},
        )
        self.operator = Operator()
        self.witness = Witness()
        self.told: dict[str, dict[str, object]] = {}
        self.settings: dict[str, object] = {}
        """What everybody states of his configuration in the handshake."""
        self._running: list[Running] = []

    def start(self, *parts: str) -> None:
        settings = self.configuration
        for part in parts:
            if part == "witness":
                self._run(str(settings.witness), {WITNESS_ID: PlainObject(self.witness, ("read",))})
            elif part == "nameserver":
                self._run(settings.nameserver, {"Pyro.NameServer": PlainObject(Names(), ("ping",))})
            else:
                self._run(settings.servers[part], self._server(part))

    def run_server(self, name: str, address: str) -> None:
        """Run one that the configuration does not name."""
        self._run(address, self._server(name))

    def _server(self, name: str) -> dict[str, RemoteObject]:
        return {
            f"bankrmi.account.{name}": Account(
                lambda call: call.answer(status(name, **self.told.get(name, {})))
            ),
            f"bankrmi.operator.{name}": PlainObject(self.operator, ("switchover", "export")),
        }

    def _run(self, address: str, objects: dict[str, RemoteObject]) -> None:
        self._running.append(Running(address, objects, {"settings": self.settings}))

    def run_another_process(self, address: str) -> None:
        """Run one that knows nothing of what it is asked for."""
        self._run(address, {"another": PlainObject(Names(), ("ping",))})

    def run_silent(self, address: str, object_id: str) -> None:
        class Silent:
            exposed = Exposed(methods=frozenset({"status"}))

            def invoke(self, call: Call) -> None:
                pass

        self._run(address, {object_id: Silent()})

    def run_slow(self, name: str, seconds: float) -> None:
        def answer_late(call: Call) -> None:
            asyncio.get_running_loop().call_later(seconds, call.answer, status(name))

        self._run(self.configuration.servers[name], {f"bankrmi.account.{name}": Account(answer_late)})

    def close(self) -> None:
        for one in self._running:
            one.stop()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def test_with_everything_up_the_view_is_the_witnesss(parts: Parts) -> None:
    parts.start("witness", "nameserver", "s1", "s2")
    found = overview(parts.configuration)
    assert found["service"] == "account"
    assert found["view"] == view_found(2, "s1", ["s1", "s2"])
    assert found["view_from"] == "witness"
    assert [(one["server"], one["reachable"], one["role"]) for one in found["servers"]] == [
        ("s1", True, "primary"),
        ("s2", True, "standby"),
    ]
    assert [one["in_sync"] for one in found["servers"]] == [True, True]
    assert found["servers"][0]["address"] == parts.configuration.servers["s1"]
    assert found["witness"]["reachable"]
    assert found["nameserver"]["reachable"]


def test_without_witness_and_names_the_primary_tells_the_view(parts: Parts) -> None:
    parts.start("s1")
    found = overview(parts.configuration)
    assert found["view"] == view_found(2, "s1", ["s1", "s2"])
    assert found["view_from"] == "s1"
    assert not found["witness"]["reachable"]
    assert not found["nameserver"]["reachable"]
    away = found["servers"][1]
    assert (away["reachable"], away["role"], away["in_sync"]) == (False, None, True)
    assert "nobody listens" in away["reason"]
    assert not away["silent"]


def test_without_the_witness_the_newest_view_that_anybody_of_the_same_history_knows_counts(
    parts: Parts,
) -> None:
    """Whoever leads may have been deposed without a word of it; another history is not news."""
    newer = {"primary": "s2", "in_sync": ["s2"], "view_epoch": 3}
    parts.told["s2"] = newer
    parts.start("s1", "s2")
    found = overview(parts.configuration)
    assert found["view"] == view_found(3, "s2", ["s2"])
    assert found["view_from"] == "s2"
    parts.told["s2"] = newer | {"history": "h0"}
    assert overview(parts.configuration)["view"]["epoch"] == 2


def test_without_the_witness_a_leader_that_the_file_does_not_name_is_found_by_what_a_standby_knows(
    parts: Parts,
) -> None:
    """It was added after the file was written (V12), and has taken over."""
    third = free_address()
    newer = {"primary": "s3", "in_sync": ["s1", "s3"], "view_epoch": 4, "role": "standby"}
    parts.told["s1"] = newer | {"servers": {**parts.configuration.servers, "s3": third}}
    parts.told["s2"] = {"view_epoch": 3, "servers": dict(parts.configuration.servers)}
    parts.told["s3"] = newer | {"role": "primary", "epoch": 4}
    parts.start("s1", "s2")
    assert overview(parts.configuration)["view"] is None, "it does not answer"
    parts.run_server("s3", third)
    found = overview(parts.configuration)
    assert found["view"] == view_found(4, "s3", ["s1", "s3"])
    assert found["view_from"] == "s3"
    assert [one["server"] for one in found["servers"]] == ["s1", "s2", "s3"]
    assert switchover(parts.configuration, None)["before"]["primary"] == "s1", (
        "s3 was asked, which is made up"
    )


def test_a_keeper_that_the_servers_do_not_run_with_has_lost_nothing(parts: Parts) -> None:
    """It is that of a file to which the view is still to be moved, or of another bank's."""
    parts.witness.holds = None
    parts.settings = {"witness": "10.0.0.9:9090", "witness_id": "0a"}
    parts.start("witness", "nameserver", "s1", "s2")
    found = overview(parts.configuration)
    reason = f"the witness at {parts.configuration.witness} holds no view, and s1, s2 run with another keeper"
    assert found["witness"]["reason"] == f"{reason} (10.0.0.9:9090)"
    assert (found["view_from"], found["view"]["primary"]) == ("s1", "s1")
    code, sentence = health(found)
    assert (code, sentence.partition(" (")[0]) == (HealthCode.NOBODY_COULD_TAKE_OVER, reason)
    assert sentence.endswith(": ask with the configuration that names that keeper")
    assert "the view is kept elsewhere by now" in explain(found).successors["s2"]
    assert "lost its memory" not in " ".join(
        [sentence, *explain(found).now, *explain(found).if_it_died.values()]
    )


@pytest.mark.parametrize("settings", [{}, {"witness_id": None}, {"witness": None}, {"witness": "ours"}, 7])
def test_one_that_nobody_knows_to_be_another_has_lost_its_memory(parts: Parts, settings: Any) -> None:
    """Its servers are not connected to any, or to one at that very place, or say nothing of it."""
    parts.witness.holds = None
    parts.settings = settings
    if isinstance(settings, dict) and settings.get("witness") == "ours":
        parts.settings = {"witness": str(parts.configuration.witness), "witness_id": "0a"}
    parts.start("witness", "nameserver", "s1", "s2")
    found = overview(parts.configuration)
    assert found["witness"]["reachable"]
    assert found["view"] is None
    assert "lost its memory" in health(found)[1]


def test_a_witness_that_denies_us_alone_is_there_as_long_as_no_server_misses_it(parts: Parts) -> None:
    """Its list of revoked certificates may be newer than theirs, or its own certificate of no use to us."""
    parts.run_another_process(str(parts.configuration.witness))
    parts.told["s1"] = {"witness_silent_ms": 0, "acknowledges": True, "connected": ["s2"], "copies": 2}
    parts.start("nameserver", "s1", "s2")
    found = overview(parts.configuration)
    assert found["witness"]["reachable"]
    assert (found["view_from"], found["view"]["primary"]) == ("s1", "s1")
    [denial] = found["denials"]
    assert (denial["who"], denial["why"]) == (["witness"], "it denied the connection: unknown object")
    assert health(found)[0] == 0, health(found)
    assert explain(found).successors["s2"].startswith("s2 may take over")
    assert explain(found).if_it_died["witness"].startswith("there is no handshake with it now; ")
    with pytest.raises(Unreached, match=r"the witness at .* tells us nothing, and .*: unknown object"):
        history(parts.configuration, limit=5)
    parts.told["s1"] |= {"witness_silent_ms": 700}
    found = overview(parts.configuration)
    assert not found["witness"]["reachable"]
    assert health(found)[1].startswith("the witness cannot be reached")


def test_with_nothing_up_it_says_so_at_once(parts: Parts) -> None:
    found = overview(parts.configuration)
    assert found["view"] is None
    assert not any(one["reachable"] for one in found["servers"])
    assert {one["in_sync"] for one in found["servers"]} == {None}


def test_a_silent_server_keeps_nobody_waiting(parts: Parts) -> None:
    parts.start("witness", "nameserver", "s1")
    parts.run_silent(parts.configuration.servers["s2"], "bankrmi.account.s2")
    began = time.monotonic()
    found = overview(parts.configuration)
    assert time.monotonic() - began < 10
    assert [one["reachable"] for one in found["servers"]] == [True, False]
    assert found["servers"][1]["silent"]
    assert "no answer from" in found["servers"][1]["reason"]


def test_a_server_with_much_to_do_is_slow_and_not_away(parts: Parts) -> None:
    """What takes longer than usual is an answer all the same."""
    parts.start("witness", "nameserver", "s1")
    parts.run_slow("s2", 0.7)
    found = overview(parts.configuration)
    s1, s2 = found["servers"]
    assert (s1["reachable"], s1["slow_ms"]) == (True, None)
    assert (s2["reachable"], s2["role"]) == (True, "standby")
    assert s2["slow_ms"] >= 700


def test_the_primary_is_asked_to_hand_over(parts: Parts) -> None:
    parts.start("witness", "s1", "s2")
    changed = switchover(parts.configuration, "s2")
    assert (changed["before"]["primary"], changed["after"]["primary"]) == ("s1", "s2")


def test_an_export_is_all_pages_of_one_state(parts: Parts) -> None:
    parts.start("witness", "s1", "s2")
    for server, name in ((None, "s1"), ("s2", "s2")):
        with export(parts.configuration, server) as copy:
            assert (copy.server, copy.action_id, copy.history) == (name, 5, "h1")
            assert list(copy.balances) == [(1, 100), (2, 300)]
    parts.operator.action_ids = [5, 6]
    with export(parts.configuration, "s1") as copy, pytest.raises(OperationFailed, match="different states"):
        list(copy.balances)


@pytest.mark.parametrize("row", [[1], [1, -1], [1, 2**63], ["1", 2], [1, True], 7, [0, 5]])
def test_what_is_no_account_is_never_written_to_a_ledger(parts: Parts, row: object) -> None:
    """[0, 5] is one, behind account 1: twice, or out of order."""
    parts.start("witness", "s1", "s2")
    parts.operator.rows = [[1, 100], row]
    with pytest.raises(OperationFailed, match=r"cannot be read|out of order"):  # noqa: SIM117
        with export(parts.configuration, "s1") as copy:
            list(copy.balances)


def test_without_a_primary_there_is_nobody_to_ask(parts: Parts) -> None:
    with pytest.raises(Unreached, match="nobody knows of a primary"):
        switchover(parts.configuration, None)
    with pytest.raises(Unreached), export(parts.configuration, "s1"):
        pass
