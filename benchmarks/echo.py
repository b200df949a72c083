"""How many calls a second does a daemon answer, ours and Pyro5's multiplex one, in alternating rounds?

    python benchmarks/echo.py [--connections 32] [--seconds 2] [--rounds 3]

The daemons run in processes of their own, and their own CPU time is what is reported: calls per second of
the daemon's CPU, next to calls per second of the clock (in which the callers share the machine). Callers
are raw sockets that send one prepared msgpack call each and wait for the answer.
Assumption: nothing else runs on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import select
import socket
import statistics
import struct
import time
from multiprocessing.connection import Connection as Pipe

import Pyro5.api
import Pyro5.server
from Pyro5 import config

from bankrmi.rmi import Call, Daemon, Exposed, Limits, handshake
from bankrmi.rmi.frames import CONNECT, INVOKE, MSGPACK, frame_bytes
from bankrmi.rmi.values import write_call, write_value

OBJECT = "bench.echo"
_SIZE_AT = struct.Struct("!I")


class Echo:
    exposed = Exposed(methods=frozenset({"echo"}))

    def invoke(self, call: Call) -> None:
        call.answer(call.args)


@Pyro5.server.expose
class StockEcho:
    def echo(self, *args: object) -> tuple[object, ...]:
        return args


def serve_ours(pipe: Pipe) -> None:
    async def serve() -> None:
        daemon = Daemon(Limits(), lambda: {"protocol": 1})
        daemon.register(OBJECT, Echo())
        await daemon.listen("127.0.0.1:0")
        pipe.send(int(daemon.address.rpartition(":")[2]))
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_reader(pipe.fileno(), stop.set)
        await stop.wait()
        await daemon.close()

    asyncio.run(serve())
    _report(pipe)


def serve_stock(pipe: Pipe) -> None:
    config.SERVERTYPE = "multiplex"
    with Pyro5.server.Daemon("127.0.0.1", 0) as daemon:
        daemon.register(StockEcho(), OBJECT)
        pipe.send(int(daemon.locationStr.rpartition(":")[2]))
        daemon.requestLoop(lambda: not pipe.poll())
    _report(pipe)


def _report(pipe: Pipe) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send(used.ru_utime + used.ru_stime)


def call_for(port: int, connections: int, seconds: float) -> int:
    """Return how many calls were answered."""
    hello = write_value(MSGPACK, {"handshake": handshake("client"), "object": OBJECT})
    call = frame_bytes(INVOKE, MSGPACK, 0, 1, write_call(OBJECT, "echo", (2, 10, "session:12"), {}))
    epoll, callers = select.epoll(), {}
    for _ in range(connections):
        caller = socket.create_connection(("127.0.0.1", port))
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller.sendall(frame_bytes(CONNECT, MSGPACK, 0, 0, hello))
        caller.recv(4096)
        callers[caller.fileno()] = caller
        epoll.register(caller, select.EPOLLIN)
    for caller in callers.values():
        caller.sendall(call)
    answered, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for number, _ in epoll.poll(1):
            answer = callers[number].recv(4096)
            assert len(answer) == 40 + _SIZE_AT.unpack_from(answer, 12)[0]
            callers[number].send(call)
            answered += 1
    for caller in callers.values():
        caller.close()
    return answered


def one_round(serve: object, connections: int, seconds: float) -> tuple[float, float]:
    """Return calls per second of the daemon's CPU, and of the clock."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))  # type: ignore[arg-type]
    process.start()
    port = here.recv()
    call_for(port, connections, 0.3)  # warm
    before = _cpu_seconds(process.pid)
    answered = call_for(port, connections, seconds)
    used = _cpu_seconds(process.pid) - before
    here.send("stop")
    here.recv()
    process.join()
    return answered / used, answered / seconds


def _cpu_seconds(pid: int | None) -> float:
    with open(f"/proc/{pid}/schedstat") as file:  # noqa: PTH123 - of the one thread that serves
        return int(file.read().split()[0]) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {"bankrmi": [], "Pyro5 multiplex": []}
    for _ in range(chosen.rounds):
        for name, serve in (("bankrmi", serve_ours), ("Pyro5 multiplex", serve_stock)):
            figures[name].append(one_round(serve, chosen.connections, chosen.seconds))
    for name, rounds in figures.items():
        by_cpu, by_clock = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:16} {by_cpu:8.0f} calls per CPU second, {by_clock:8.0f} calls/s")


if __name__ == "__main__":
    main()
