"""The process of name server and witness: what stock Pyro5 finds in it, and what is left after kill -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import Pyro5.api
import Pyro5.core
import pytest

from bankrmi.client.asking import ask_once
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BrokenInvariant, InvalidRequest, OperationFailed, Unreached
from bankrmi.replication.view import View
from bankrmi.rmi import NotConnected, look_up
from tests import warm
from tests.client.doubles import free_address
from tests.nameserver.callers import register_server
from tests.nameserver.conftest import Place, PlaceMaker

FIRST = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
BOTH = FIRST.letting_in("s2", "disk-s2")


def ask_witness(place: Place, method: str, *args: object) -> Any:
    return ask_once(place.witness, WITNESS_ID, method, ["account", *args], seconds=5)


def propose(place: Place, expected: View | None, view: View) -> Any:
    follows = None if expected is None else [expected.history, expected.epoch]
    return ask_witness(place, "propose", follows, view.to_wire())


def register_servers(place: Place) -> None:
    for server, start_id in (("s1", "a"), ("s2", "b")):
        register_server(place.nameserver, server, start_id, f"disk-{server}")


def primaries(place: Place) -> list[str]:
    return [one.name for one in look_up(place.nameserver, ["service:account", "role:primary"], 5)]


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Ask until it holds; each question is a round trip, which is pause enough."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"


def test_it_says_when_it_is_ready_and_ends_in_good_order(place: Place) -> None:
    server = place.start()
    assert server.ready == {"pid": server.process.pid, "server": "nameserver", "address": place.nameserver}
    began = time.monotonic()
    code, log = server.terminate()
    assert time.monotonic() - began < 2
    assert code == 0
    ready, stopped = log.splitlines()
    assert f"nameserver[{server.process.pid}] ready addresses={place.nameserver} witness=here" in ready
    assert stopped.endswith("stopped")


def test_a_host_that_there_is_not_is_told_from_one_that_is_elsewhere(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    servers = "servers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}"
    config.write_text(f"nameserver: nosuch.invalid:9090\nwitness: 192.0.2.1:9090\n{servers}\n")
    ended = warm.run(["--insecure", "--config", str(config), "nameserver"], timeout=20)
    assert ended.returncode == 1
    assert "nothing to serve here: the name 'nosuch.invalid' does not resolve (" in ended.stderr
    assert ended.stderr.endswith("), and 192.0.2.1:9090 is not an address of this machine, or not yet\n")


def test_ctrl_c_ends_it_too(place: Place) -> None:
    server = place.start()
    server.process.send_signal(signal.SIGINT)
    assert server.wait()[0] == 0


def test_the_view_outlives_kill_9(place: Place) -> None:
    server = place.start()
    assert propose(place, None, FIRST)["won"]
    assert propose(place, FIRST, BOTH)["won"]
    server.kill()
    with pytest.raises(Unreached):
        ask_witness(place, "read")
    place.start()
    assert View.from_wire(ask_witness(place, "read")) == BOTH
    assert [View.from_wire(form) for form in ask_witness(place, "history")] == [FIRST, BOTH]


def test_of_many_that_propose_at_once_one_wins(place: Place) -> None:
    place.start()
    propose(place, None, FIRST)
    propose(place, FIRST, BOTH)
    answers: list[Any] = []

    def try_it(number: int) -> None:
        answers.append(propose(place, BOTH, BOTH.taken_over_by("s2", f"start-{number}")))

    threads = [threading.Thread(target=try_it, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    winners = [answer for answer in answers if answer["won"]]
    assert len(winners) == 1
    assert {str(answer["view"]) for answer in answers} == {str(winners[0]["view"])}


@pytest.mark.parametrize("late", ["witness", "nameserver"])
def test_an_address_that_this_machine_gets_later_is_served_from_then_on(
    make_place: PlaceMaker, late: str
) -> None:
    """The network comes up while everything starts; nobody has to start anything again."""
    place = make_place(witness=free_address())
    address = place.witness if late == "witness" else place.nameserver
    server = place.start(elsewhere=address)
    with pytest.raises(Unreached):
        ask_once(address, WITNESS_ID if late == "witness" else "Pyro.NameServer", "ping", [], seconds=5)
    place.config.with_name("here").touch()
    if late == "witness":
        eventually(lambda: bool(attempt(lambda: propose(place, None, FIRST)["won"])))
    register_servers_when_possible(place)
    if late == "nameserver":
        propose(place, None, FIRST)
    eventually(lambda: primaries(place) == ["bankrmi.account.s1"])
    code, log = server.terminate()
    assert code == 0
    assert f"serving another address address={address}" in log


def attempt(what: Callable[[], Any]) -> Any:
    try:
        return what()
    except (Unreached, NotConnected):
        return None


def register_servers_when_possible(place: Place) -> None:
    eventually(lambda: attempt(lambda: look_up(place.nameserver, ["x"], 5) == []) is True)
    register_servers(place)


def test_an_illegal_view_is_refused_over_the_wire_as_well(place: Place) -> None:
    place.start()
    with pytest.raises(InvalidRequest, match="first one has epoch 1"):
        propose(place, None, BOTH)


def test_clients_may_not_touch_the_view(place: Place) -> None:
    place.start()
    with pytest.raises(Unreached, match="for operators and servers only"):
        ask_once(place.witness, WITNESS_ID, "read", ["account"], seconds=5, role="client")


def test_the_primary_is_found_by_its_tags_and_a_new_one_at_once(place: Place) -> None:
    place.start()
    register_servers(place)
    assert primaries(place) == []
    propose(place, None, FIRST)
    assert primaries(place) == ["bankrmi.account.s1"]
    propose(place, FIRST, BOTH)
    propose(place, BOTH, BOTH.taken_over_by("s2", "b"))
    assert primaries(place) == ["bankrmi.account.s2"]


def test_a_restarted_name_server_knows_the_roles_of_whoever_registers_again(place: Place) -> None:
    server = place.start()
    propose(place, None, FIRST)
    server.kill()
    place.start()
    register_servers(place)
    assert primaries(place) == ["bankrmi.account.s1"]


def test_name_server_and_witness_on_two_machines(make_place: PlaceMaker) -> None:
    """Each serves its own address; the name server asks the witness for the roles, also when it was away."""
    place = make_place(witness=free_address())
    witness = place.start(elsewhere=place.nameserver)
    place.start(elsewhere=place.witness)
    register_servers(place)
    propose(place, None, FIRST)
    eventually(lambda: primaries(place) == ["bankrmi.account.s1"])
    witness.kill()
    place.start(elsewhere=place.nameserver)
    propose(place, FIRST, BOTH)
    propose(place, BOTH, BOTH.taken_over_by("s2", "b"))
    eventually(lambda: primaries(place) == ["bankrmi.account.s2"])


def test_on_two_machines_each_shows_what_it_has(make_place: PlaceMaker) -> None:
    place = make_place(witness=free_address())
    shown = {"nameserver": free_address(), "witness": free_address()}
    place.config.write_text(f"{place.config.read_text()}metrics: {json.dumps(shown)}\n")
    place.start(elsewhere=place.nameserver)
    place.start(elsewhere=place.witness)
    propose(place, None, FIRST)
    eventually(lambda: b"\nbankrmi_view_epoch 1.0\n" in asked(shown["nameserver"], "/metrics"))
    assert b"\nbankrmi_witness 0.0\n" in asked(shown["nameserver"], "/metrics")
    page = asked(shown["witness"], "/metrics")
    assert b"\nbankrmi_witness 1.0\n" in page
    assert b'\nbankrmi_view_changes_total{cause="unknown"} 1.0\n' in page
    assert asked(shown["nameserver"], "/ready").endswith(b"epoch 1, primary s1\n")


def asked(address: str, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
        return bytes(answer.read())


def test_two_addresses_of_one_machine_are_served_by_one_process(make_place: PlaceMaker) -> None:
    place = make_place(witness=free_address())
    place.start()
    register_servers(place)
    propose(place, None, FIRST)
    assert primaries(place) == ["bankrmi.account.s1"]


def test_a_taken_port_is_one_sentence_and_exit_code_1(make_place: PlaceMaker) -> None:
    first = make_place(name="first")
    first.start()
    second = make_place(nameserver=first.nameserver, name="second").start()
    code, log = second.wait()
    assert code == 1
    assert len(log.splitlines()) == 1
    assert f"cannot listen on {first.nameserver}: another process has taken this port" in log


def test_a_second_process_on_the_same_data_is_one_sentence_and_exit_code_1(place: Place) -> None:
    first = place.start()
    code, log = place.start().wait()
    assert code == 1
    assert len(log.splitlines()) == 1
    assert f"another witness (pid {first.process.pid})" in log


def test_a_data_directory_that_cannot_be_is_exit_code_2(place: Place) -> None:
    (place.config.parent / "data").write_text("a file in the way")
    code, log = place.start().wait()
    assert code == 2
    assert len(log.splitlines()) == 1


def test_a_full_disk_ends_the_process_and_takes_nothing_back(place: Place) -> None:
    """What was answered stays; the proposal that failed is open, and the restarted witness settles it."""
    server = place.start(file_limit="131072")
    told: list[Any] = []

    def fill_the_disk() -> None:
        before, view = None, FIRST
        while True:
            told.append(propose(place, before, view)["view"])
            before, view = view, view.started_again(f"start-{view.epoch}")

    with pytest.raises((BrokenInvariant, OperationFailed, Unreached)):
        fill_the_disk()
    code, log = server.wait()
    assert code == 1
    assert "the witness cannot use" in log.splitlines()[-1]
    assert "Traceback" not in log
    assert told, "the disk was full before anything was told"
    place.start()
    history = ask_witness(place, "history")
    assert history[: len(told)] == told
    assert len(history) - len(told) in (0, 1)
    newest = View.from_wire(history[-1])
    assert propose(place, newest, newest.started_again("x"))["won"]


# -- unmodified Pyro5 -------------------------------------------------------------------------------


@pytest.fixture
def stock(place: Place) -> Iterator[Any]:
    place.start()
    host, port = place.nameserver.split(":")
    with Pyro5.core.locate_ns(host, int(port)) as names:
        yield names


def run_nsc(place: Place, *command: str) -> subprocess.CompletedProcess[str]:
    host, port = place.nameserver.split(":")
    program = [sys.executable, "-m", "Pyro5.nsc", "-n", host, "-p", port, *command]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=30)


def test_pyro5_nsc_lists_the_bank(place: Place) -> None:
    place.start()
    register_servers(place)
    propose(place, None, FIRST)
    listed = run_nsc(place, "list").stdout
    assert "bankrmi.account.s1 --> PYRO:bankrmi.account.s1@127.0.0.1:9" in listed
    assert "role:primary" in listed
    assert "Pyro.NameServer" in listed
    assert "bankrmi.account.s1" in run_nsc(place, "yplookup_all", "role:primary").stdout
    assert "Name server ping ok." in run_nsc(place, "ping").stdout
    assert "no regular expressions" in run_nsc(place, "listmatching", ".*").stdout


@Pyro5.api.expose
class Greeter:
    """Somebody else's object."""

    def greet(self, name: str) -> str:
        return f"hello {name}"


def test_somebody_elses_object_can_be_registered_and_found(place: Place, stock: Any) -> None:
    with Pyro5.api.Daemon() as daemon:
        stock.register("their.greeter", daemon.register(Greeter()), metadata={"kind:greeter"})
        threading.Thread(target=daemon.requestLoop, daemon=True).start()
        uri, tags = stock.lookup("their.greeter", return_metadata=True)
        assert set(tags) == {"kind:greeter"}
        with Pyro5.api.Proxy(uri) as greeter:
            assert greeter.greet("bank") == "hello bank"
        for way in ("PYRONAME:their.greeter", "PYROMETA:kind:greeter"):
            with Pyro5.api.Proxy(f"{way}@{place.nameserver}") as greeter:
                assert greeter.greet("bank") == "hello bank"
        assert stock.remove("their.greeter") == 1
        with pytest.raises(Pyro5.errors.NamingError):
            stock.lookup("their.greeter")
        daemon.shutdown()


@pytest.mark.parametrize("serializer", ["serpent", "json", "msgpack"])
def test_the_name_server_speaks_all_three_serializers(
    place: Place, stock: Any, serializer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pyro5.config, "SERIALIZER", serializer)
    with Pyro5.api.Proxy(f"PYRO:Pyro.NameServer@{place.nameserver}") as names:
        names.register("a.name", "PYRO:object@127.0.0.1:9", metadata=["kind:x"])
        assert str(names.lookup("a.name")) == "PYRO:object@127.0.0.1:9"
        assert list(names.yplookup(meta_all=["kind:x"])) == ["a.name"]
        with pytest.raises(Pyro5.errors.NamingError, match="unknown name"):
            names.lookup("nobody")
        with pytest.raises(Pyro5.errors.PyroError, match="no regular expressions"):
            names.list(regex=".*")
