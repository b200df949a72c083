"""Crowds, honest and idle: who comes gets in, who idles makes room, and none of it costs much."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from bankrmi.rmi import ConnectDenied, Connection, Daemon, Limits, connect, handshake, seats
from bankrmi.rmi.frames import CONNECT, CONNECT_OK, INVOKE, MSGPACK, ONEWAY, frame_bytes
from bankrmi.rmi.limits import serving_rules
from bankrmi.rmi.refusals import refusals
from bankrmi.rmi.rounds import now_ms
from bankrmi.rmi.serving import ServedConnection
from bankrmi.rmi.turn import Line
from bankrmi.rmi.values import write_call, write_value
from tests import warm

from .account import Account, RawCaller, until
from .conftest import Serving
from .test_limits import code_of

HELLO = frame_bytes(CONNECT, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": "hi", "object": "acc"}))


def announced(size: int) -> bytes:
    """Return a header of a call that announces `size` bytes; none of them follow."""
    header = bytearray(frame_bytes(INVOKE, MSGPACK, 0, 7, b""))
    header[12:16] = size.to_bytes(4, "big")
    return bytes(header)


@contextmanager
def greeted(
    daemon: Daemon, role: str = "client", object_id: str = "acc", **more: object
) -> Iterator[Connection]:
    with connect(daemon.address, object_id, handshake(role, **more), 5) as connection:
        yield connection


def answer_all(account: Account, value: object) -> None:
    for call in account.kept:
        call.answer(value)


def works(connection: Connection) -> bool:
    return bool(connection.call("echo", (1,), timeout=5) == 1)


# -- before the handshake ---------------------------------------------------------------------------


def test_who_says_nothing_keeps_nobody_out(serving: Serving) -> None:
    daemon = serving.daemon(Limits(unfinished=16))
    with ExitStack() as idlers:
        idle = [idlers.enter_context(RawCaller(daemon, greet=False)) for _ in range(50)]
        for _ in range(5):
            with greeted(daemon) as connection:
                assert works(connection)
        assert idle[0].is_cut()
        until(lambda: serving.do(lambda: daemon.connections) <= 16)


def test_a_crowd_that_arrives_at_once_gets_in(serving: Serving) -> None:
    daemon = serving.daemon(Limits(unfinished=64))
    with ExitStack() as crowd:
        callers: list[RawCaller] = []

        def arrive() -> None:  # In the loop's thread, so that it accepts none of them meanwhile.
            for _ in range(300):
                callers.append(crowd.enter_context(RawCaller(daemon, greet=False)))
                callers[-1].socket.sendall(HELLO)

        serving.do(arrive)
        assert [caller.receive().kind for caller in callers] == [CONNECT_OK] * 300


def test_a_crowd_that_is_slow_to_greet_gets_in(serving: Serving) -> None:
    """800 callers of one busy process: each connects at once, and says hello when its turn has come."""
    daemon = serving.daemon()
    with ExitStack() as crowd:
        callers = [crowd.enter_context(RawCaller(daemon, greet=False)) for _ in range(800)]
        until(lambda: serving.do(lambda: daemon.connections) == 800)
        serving.do(lambda: time.sleep(0.3))  # It has much to do, too.
        for caller in callers:
            caller.socket.sendall(HELLO)
        assert [caller.receive().kind for caller in callers] == [CONNECT_OK] * 800


def test_who_waits_to_be_accepted_is_not_turned_away(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no room, and nobody has idled for long: the others wait in the system's queue."""
    monkeypatch.setattr(seats, "IDLE_BEFORE_HANDSHAKE_S", 3600.0)
    daemon = serving.daemon(Limits(unfinished=8))
    with ExitStack() as crowd:
        callers = [crowd.enter_context(RawCaller(daemon, greet=False)) for _ in range(40)]
        until(lambda: serving.do(lambda: daemon.connections) == 8)
        for caller in callers:
            caller.socket.sendall(HELLO)
            assert caller.receive().kind == CONNECT_OK
            assert serving.do(lambda: daemon._seats.unfinished) <= 8


def test_a_storm_of_connections_leaves_nothing_behind(serving: Serving) -> None:
    daemon = serving.daemon(Limits(unfinished=32))
    for number in range(1500):
        with RawCaller(daemon, greet=False) as caller:
            if number % 2:
                caller.socket.sendall(HELLO[: number % 60])
    with greeted(daemon) as connection:
        assert works(connection)
        until(lambda: serving.do(lambda: daemon.connections) == 1)


# -- after the handshake ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", [None, "client"])
def test_idle_callers_keep_nobody_out(serving: Serving, role: str | None) -> None:
    daemon = serving.daemon(Limits(connections=20))
    daemon.register("operator", Account(), roles={"operator"})
    with ExitStack() as idlers:
        idle = [idlers.enter_context(RawCaller(daemon, role=role)) for _ in range(20)]
        came = time.monotonic()
        if role is not None:  # Ours: their first calls may be on their way.
            with pytest.raises(ConnectDenied, match="all 20 connections") as denied, greeted(daemon):
                pass
            assert denied.value.retry_ms == 1000
            until(lambda: time.monotonic() - came >= seats.FIRST_CALL_S)
        with greeted(daemon) as client, greeted(daemon, "operator", "operator") as operator:
            assert idle[0].is_cut()
            assert client.call("echo", (1,), timeout=5) == 1
            assert not operator.closed
            idle[-1].call("echo", 2)
            assert idle[-1].answer() == 2
            assert serving.do(lambda: daemon.connections) == 21


def test_a_call_in_progress_is_never_cut_for_somebody_else(serving: Serving) -> None:
    daemon = serving.daemon(Limits(connections=3))
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    with ExitStack() as all_of_them:
        busy = [all_of_them.enter_context(RawCaller(daemon)) for _ in range(3)]
        for caller in busy:
            before = len(account.kept)
            caller.call("keep")
            until(lambda: len(account.kept) > before)  # noqa: B023 - it is called here
        with pytest.raises(ConnectDenied, match="busy: all 3 connections of this server are in use"):
            connect(daemon.address, "acc", handshake("client"), 5)
        serving.do(lambda: account.kept.pop(0).answer("done"))
        assert busy[0].answer() == "done"
        with greeted(daemon) as connection:
            assert works(connection)
            assert busy[0].is_cut()
        serving.do(lambda: answer_all(account, "done"))
        assert [caller.answer() for caller in busy[1:]] == ["done", "done"]


def test_servers_that_are_known_get_in_and_false_ones_do_not_take_their_place(serving: Serving) -> None:
    daemon = serving.daemon(Limits(connections=3), servers=("s1", "s2"))
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    with ExitStack() as all_of_them:
        for _ in range(3):
            all_of_them.enter_context(RawCaller(daemon)).call("keep")
        until(lambda: len(account.kept) == 3)
        with pytest.raises(ConnectDenied, match="busy"):
            connect(daemon.address, "acc", handshake("server", server="s3"), 5)
        for _ in range(40):
            false = connect(daemon.address, "acc", handshake("server", server="s2"), 5)
            all_of_them.enter_context(false)
        with greeted(daemon, "server", server="s1") as s1, greeted(daemon, "server", server="s2") as s2:
            assert works(s1)
            assert works(s2)
        serving.do(lambda: answer_all(account, None))


def test_a_client_that_made_room_sees_that_it_has_to_connect_again(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent on the old connection, so its call is as certain as on any other."""
    monkeypatch.setattr(seats, "FIRST_CALL_S", 0.0)
    daemon = serving.daemon(Limits(connections=1))
    with greeted(daemon) as first, greeted(daemon) as second:
        assert works(second)
        until(lambda: first.closed)
        assert not second.closed


# -- memory -----------------------------------------------------------------------------------------


def held(serving: Serving, daemon: Daemon) -> int:
    return serving.do(lambda: sum(one.held_bytes for one in daemon._connections() if not one.lost))


def test_large_messages_that_nobody_finishes_do_not_add_up(serving: Serving) -> None:
    daemon = serving.daemon(Limits(held_bytes=2 << 20, sweep_ms=20))
    with ExitStack() as holders, RawCaller(daemon) as innocent:
        for _ in range(5):
            holder = holders.enter_context(RawCaller(daemon))
            holder.socket.sendall(announced(600_000) + bytes(500_000))
        until(lambda: serving.do(lambda: daemon.connections) == 3)
        assert held(serving, daemon) <= 1 << 20
        innocent.call("echo", 1)
        assert innocent.answer() == 1


def test_whole_messages_that_wait_count_too_and_their_callers_are_told_busy(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A definite answer, and the connection stays: they only came when others had sent too much as well."""
    turn_away = ServedConnection.turn_away
    freed: list[int] = []
    turned_away = refusals.by_reason["turned_away"]

    def noted(one: ServedConnection) -> int:
        freed.append(turn_away(one))
        return freed[-1]

    monkeypatch.setattr(ServedConnection, "turn_away", noted)
    daemon = serving.daemon(Limits(held_bytes=4 << 20, sweep_ms=20))
    serving.do(lambda: daemon.rounds.turn.charge(Line.STRANGERS, 60_000.0))  # So all of them have to wait.
    with ExitStack() as holders:
        callers = [holders.enter_context(RawCaller(daemon)) for _ in range(6)]
        for number, caller in enumerate(callers, 1):
            caller.call("echo", bytes(900_000))
            until(lambda: serving.do(lambda: len(waiting(daemon))) + len(freed) == number)  # noqa: B023
        until(lambda: held(serving, daemon) <= 2 << 20)
        assert (len(freed), min(freed) > 900_000) == (4, True)
        assert refusals.by_reason["turned_away"] - turned_away == 4
        serving.do(lambda: daemon.rounds.turn.charge(Line.STRANGERS, -60_000.0))
        serving.do(daemon.rounds._go)
        answers = [caller.answer() for caller in callers]
        assert answers.count(bytes(900_000)) == 2
        assert [code_of(answer) for answer in answers if answer != bytes(900_000)] == ["busy"] * 4
        for caller in callers:
            caller.call("echo", 1)
            assert caller.answer() == 1


def waiting(daemon: Daemon) -> list[ServedConnection]:
    return [one for one in daemon._connections() if one._frame is not None]


def test_a_call_of_ours_that_was_not_read_in_time_is_told_busy_unread(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's is read, however long he waited for his share; and who comes later is served."""
    daemon = serving.daemon(Limits(unread_ms=20))
    rounds = daemon.rounds
    with ExitStack() as holders:
        late = holders.enter_context(RawCaller(daemon, role="client"))
        silent = holders.enter_context(RawCaller(daemon, role="client"))
        stranger = holders.enter_context(RawCaller(daemon))
        soon = holders.enter_context(RawCaller(daemon, role="client"))
        with monkeypatch.context() as patch:
            patch.setattr(rounds, "_come_again", lambda _: None)  # No turn comes.
            serving.do(lambda: rounds.turn.spent(object(), Line.OURS, 1000.0))  # type: ignore[arg-type]
            late.call("echo", 1)
            stranger.call("echo", 2)
            silent.send(INVOKE, write_call("acc", "echo", (3,), {}), flags=ONEWAY)
            until(lambda: serving.do(lambda: len(waiting(daemon))) == 3)
            until(lambda: serving.do(lambda: min(now_ms() - one.waits_since for one in waiting(daemon))) > 20)
            soon.call("echo", 4)
            until(lambda: serving.do(lambda: len(waiting(daemon))) == 4)
            serving.do(lambda: setattr(waiting(daemon)[-1], "waits_since", now_ms()))
        serving.do(lambda: rounds.turn._dear.update(dict.fromkeys(waiting(daemon), 1)))
        for _ in range(20):  # After a dear message, some without one.
            serving.do(rounds._go)
        dear = [one for one in rounds.turn._dear if isinstance(one, ServedConnection)]
        assert len(dear) == 2, "only who was read can be light again"
        assert code_of(late.answer()) == "busy"
        assert stranger.answer() == 2
        assert soon.answer() == 4
        for caller in (late, silent):
            caller.call("echo", 5, seq=9)
            assert caller.answer() == 5, "the connection stays"


def test_messages_of_servers_that_nobody_finishes_do_not_add_up(serving: Serving) -> None:
    """Between two sweeps, too: the budget is looked after as bytes arrive."""
    limits = Limits(held_bytes=8 << 20, server_message_bytes=4 << 20, sweep_ms=3_600_000)
    daemon = serving.daemon(limits, servers=("s2", "s3"))
    daemon.register("standby", Account(), for_servers=True)
    most = 0
    with ExitStack() as holders:
        for server in ("s2", "s2", "s2", "s2", "s3", "s3", "s3", "s3"):
            holder = holders.enter_context(RawCaller(daemon, greet=False))
            said = {"handshake": handshake("server", server=server), "object": "standby"}
            holder.send(CONNECT, write_value(MSGPACK, said))
            assert holder.receive().kind == CONNECT_OK
            with suppress(ConnectionError):  # It is cut, or one of the others is.
                holder.socket.sendall(announced(4 << 20) + bytes(3 << 20))
            most = max(most, held(serving, daemon))
    assert most <= (8 << 20) + (2 << 20)


def test_strangers_do_not_take_up_the_memory_for_servers(serving: Serving) -> None:
    daemon = serving.daemon(Limits(held_bytes=4 << 20, sweep_ms=20), servers=("s2",))
    daemon.register("standby", Account(), for_servers=True)
    with ExitStack() as holders:
        server = holders.enter_context(RawCaller(daemon, greet=False))
        said = {"handshake": handshake("server", server="s2"), "object": "standby"}
        server.send(CONNECT, write_value(MSGPACK, said))
        assert server.receive().kind == CONNECT_OK
        message = frame_bytes(INVOKE, MSGPACK, 0, 7, write_call("standby", "echo", (bytes(1 << 20),), {}))
        server.socket.sendall(message[:-1])
        for _ in range(8):
            holder = holders.enter_context(RawCaller(daemon))
            holder.socket.sendall(announced(1 << 20) + bytes(900_000))
        until(lambda: serving.do(lambda: daemon.connections) == 3)
        server.socket.sendall(message[-1:])
        assert server.answer() == bytes(1 << 20)


def test_what_servers_may_send_fits_into_their_half_of_the_memory() -> None:
    limits = Limits()
    assert 2 * max(serving_rules(limits, for_servers=True).payload_bytes.values()) <= limits.held_bytes


# -- files ------------------------------------------------------------------------------------------


OUT_OF_FILES = """
import asyncio, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
from bankrmi.rmi import Daemon, Limits
from tests.rmi.account import Account

async def serve():
    daemon = Daemon(Limits(), dict, servers=("s1", "s2"))
    daemon.register("acc", Account())
    await daemon.listen("127.0.0.1:0")
    print(daemon.address, daemon.seats.total, flush=True)
    taken = []
    loop = asyncio.get_running_loop()
    while (line := await loop.run_in_executor(None, sys.stdin.readline)):
        if line == "take\\n":
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                print("taken", flush=True)
        else:
            for file in taken:
                os.close(file)
            print("given back", flush=True)
asyncio.run(serve())
"""


def test_a_process_without_files_waits_for_better_times_and_says_so_in_a_few_lines() -> None:
    with (
        warm.Popen(
            [sys.executable, "-c", textwrap.dedent(OUT_OF_FILES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            uses_ours=True,
        ) as process,
        ExitStack() as callers,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def next_line_but_for_the_log() -> str:
            assert process.stdout is not None
            while "[" in (line := str(process.stdout.readline())):
                log.append(line)
            return line.strip()

        def tell(what: str) -> str:
            assert process.stdin is not None
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
            return next_line_but_for_the_log()

        log: list[str] = []
        address, seats = next_line_but_for_the_log().split()
        assert int(seats) <= 160 - 24

        def call() -> object:
            with connect(address, "acc", handshake("client"), 10) as connection:
                return connection.call("echo", (1,), timeout=10)

        assert call() == 1
        assert tell("take") == "taken"
        waiting = [callers.enter_context(connect_only(address)) for _ in range(30)]
        second_is_over = time.monotonic() + 1  # As long as asyncio's own accepting would have pauses.
        until(lambda: time.monotonic() > second_is_over)
        assert all(caller.fileno() >= 0 for caller in waiting)
        assert tell("give back") == "given back"
        assert call() == 1
        with connect_only(address) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(1) == b""
        process.stdin.close()
        log += process.stdout.readlines()
        left_out = [int(count) for line in log for count in re.findall(r"(\d+) times", line)]
        assert sum(left_out) < 200, "it tried again without a pause"
        assert 1 <= len([line for line in log if "connections cannot be accepted" in line]) <= 21
        assert len(log) <= 25


def connect_only(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)
