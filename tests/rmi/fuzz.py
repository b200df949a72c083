"""Sends mutated frames to a whole bank in one process, before and after the handshake, as every role.

    python -m tests.rmi.fuzz [--frames 100000] [--seed 1] [--objects account,names,…]

Name server, witness and one server run in one event loop, from their own processes' code, on real sockets
and a real disk; the frames come from a thread. What must not be: a traceback in the log, an exception that
reaches the event loop, a process that ends, a long turn of the loop (between two looks at the sockets).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import socket
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import serpent
import structlog

from bankrmi import config
from bankrmi.nameserver import process as nameserver_process
from bankrmi.rmi.frames import (
    BATCH,
    CONNECT,
    INVOKE,
    JSON,
    MSGPACK,
    ONEWAY,
    PING,
    SERPENT,
    FrameReader,
    FrameRefused,
    Rules,
    frame_bytes,
)
from bankrmi.server import process as server_process

from .strange_servers import free_address

OBJECTS = ("account", "names", "witness", "standby", "operator")
LONGEST_TURN_MS = 50
ROLES = (None, "client", "server", "operator")
_ANY = Rules(
    kinds=frozenset(range(256)), payload_bytes=dict.fromkeys(range(256), 1 << 27), ping_bytes=1 << 20
)
_VIEW = {
    "history": "h",
    "epoch": 1,
    "primary": "s1",
    "in_sync": ["s1"],
    "start_id": "x",
    "incarnations": {"s1": "i"},
}
_POSITION = [0, 0, bytes(16)]
_ENTRY = [1, 1, "s", 1, 0, b"\x93\xa8withdraw\x01\x01", "done", 1, 1, bytes(16)]
CALLS: dict[str, list[tuple[str, list[Any]]]] = {
    "account": [
        ("withdraw", [1, 5, "s:1", ["h", 1]]),
        ("deposit", [2, 5]),
        ("balance", [1, ["h", 0]]),
        ("submit", [[["withdraw", 1, 2], ["deposit", 2, 2]] * 20, "s:2"]),
        ("outcome", ["s:1"]),
        ("status", []),
        ("__getattr__", ["service"]),
        ("__setattr__", ["service", 1]),
    ],
    "names": [
        ("register", ["n", "PYRO:x@h:1", False, ["a", "b"]]),
        ("register", ["n", {"__class__": "Pyro5.core.URI", "state": ["PYRO", "x", None, "h", 1]}]),
        ("list", ["b", None, True]),
        ("lookup", ["n", True]),
        ("yplookup", [["a"], None, True]),
        ("set_metadata", ["n", ["a"]]),
        ("remove", ["n"]),
        ("remove", [None, "n", "(a+)+$"]),
        ("count", []),
        ("ping", []),
    ],
    "witness": [
        ("read", ["account"]),
        ("history", ["fuzz"]),
        ("propose", ["fuzz", None, _VIEW]),
        ("propose", ["fuzz", ["h", 1], {**_VIEW, "epoch": 2}]),
    ],
    "standby": [
        ("checkpoint", ["h", 1, "s1", "x", 1, _POSITION, _POSITION, 0, [_ENTRY]]),
        ("join", ["s9", "i", "x", 1, "h", [_POSITION]]),
        ("leave", ["s9", "x"]),
        ("view_news", [_VIEW]),
        ("census", ["s9"]),
        ("begin_copy", []),
        ("read_copy", ["x", 0]),
        ("end_copy", ["x"]),
    ],
    "operator": [("export", []), ("export", ["x+1"]), ("switchover", ["s9"])],
}
_NASTY: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    -(2**63) - 1,
    2**200,
    10**600,
    1.5,
    math.inf,
    "",
    "x" * 5000,
    "\x1b[2J\u202e\n\r",
    "é漢😀",
    [],
    [[]] * 50,
    {},
    {"__class__": "x"},
    {"": {"a": [1]}},
    ["withdraw", 1, 1],
    [["withdraw", 1, 1]] * 3000,
    list(range(4000)),
    bytes(3000),
]
_FRAGMENTS = [
    b"\x91" * 300,
    b"\xdd\xff\xff\xff\xff",
    b"\xc7\x05\x31",
    b"[" * 300,
    b"{" * 99,
    b"'" * 99,
    b"\\",
    b"1," * 500,
]


@dataclass
class Findings:
    """What was seen; `wrong` should be empty."""

    frames: int = 0
    answered: int = 0
    cut: int = 0
    longest_ms: float = 0.0
    longest_cpu_ms: float = 0.0
    now: str = ""
    """What is being asked."""
    slowest: str = ""
    """What was, in the longest turn by the processor's time."""
    greeted: set[tuple[str, str | None]] = field(default_factory=set)
    """Which object let in whom, so that frames came after the handshake, too."""
    wrong: list[str] = field(default_factory=list)


class Fuzzer:
    """Makes frames, one seed, always the same ones."""

    def __init__(self, seed: int, objects: tuple[str, ...]) -> None:
        self.random = random.Random(seed)
        self.objects = objects

    def handshake(self, object_id: str, role: str | None) -> bytes:
        said: Any = (
            "hello" if role is None else {"protocol": [1, 1], "role": role, "server": "s9", "start_id": "x"}
        )
        return self.written({"handshake": said, "object": object_id}, MSGPACK)

    def connect_frame(self, object_id: str, role: str | None) -> bytes:
        """A handshake with something wrong."""
        serializer = self.random.choice((MSGPACK, JSON, SERPENT))
        said = {"handshake": {"protocol": [1, 1], "role": role or "client"}, "object": object_id}
        return self._frame(CONNECT, self.written(self._changed(said), serializer), serializer)

    def call_frame(self, name: str, object_id: str) -> bytes:
        """A call with something wrong."""
        pick = self.random
        method, args = pick.choice(CALLS[name])
        serializer = pick.choice((MSGPACK, MSGPACK, JSON, SERPENT))
        flags = pick.choice((0, 0, 0, 0, ONEWAY, BATCH))
        whole: Any = [object_id, method, self._changed(args), {}]
        if flags == BATCH:
            parts = [pick.choice(CALLS[name]) for _ in range(pick.randrange(20))]
            whole = [object_id, "<b>", [[one, self._changed(its), {}] for one, its in parts], {}]
        if pick.random() < 0.1:
            whole = self._changed(whole)
        if serializer == JSON and pick.random() < 0.8 and isinstance(whole, list) and len(whole) == 4:
            whole = dict(zip(("object", "method", "params", "kwargs"), whole, strict=True))
        return self._frame(INVOKE, self.written(whole, serializer), serializer, flags)

    def written(self, value: Any, serializer: int) -> bytes:
        try:
            if serializer == MSGPACK:
                return bytes(msgpack.packb(value, default=_long))
            if serializer == JSON:
                return json.dumps(value, default=list).encode()
            return bytes(serpent.dumps(value))
        except (ValueError, TypeError, OverflowError):
            return b"?"

    def _changed(self, value: Any) -> Any:
        """The value, with one place in it exchanged (or none)."""
        pick = self.random
        if pick.random() < 0.25 or not isinstance(value, list | dict) or not value:
            return pick.choice(_NASTY) if pick.random() < 0.6 else value
        if isinstance(value, dict):
            key = pick.choice(list(value))
            return {**value, key: self._changed(value[key])}
        place = pick.randrange(len(value))
        return [*value[:place], self._changed(value[place]), *value[place + 1 :]]

    def _frame(self, kind: int, payload: bytes, serializer: int, flags: int = 0) -> bytes:
        pick = self.random
        if pick.random() < 0.4:
            payload = self._scratched(payload)
        frame = bytearray(frame_bytes(kind, serializer, flags, 7, payload))
        if pick.random() < 0.05:
            frame[pick.randrange(40)] = pick.randrange(256)
        return bytes(frame)

    def _scratched(self, payload: bytes) -> bytes:
        pick, changed = self.random, bytearray(payload or b"?")
        for _ in range(pick.randrange(1, 4)):
            place = pick.randrange(len(changed))
            match pick.randrange(5):
                case 0:
                    changed[place] ^= 1 << pick.randrange(8)
                case 1:
                    changed[place] = pick.randrange(256)
                case 2:
                    changed[place:place] = pick.choice(_FRAGMENTS)
                case 3 if len(changed) > 2:
                    del changed[place : place + pick.randrange(1, 9)]
                case _:
                    changed += changed[place : place + 500]
            changed = changed or bytearray(b"?")
        return bytes(changed)


def _long(value: Any) -> Any:
    return msgpack.ExtType(0x31, str(value).encode()) if type(value) is int else list(value)


class Caller:
    """One connection; `ask` says whether it is still there afterwards."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.reader = FrameReader(_ANY)

    def ask(self, data: bytes, found: Findings) -> bool:
        """Send a frame, and a ping after it: who is not cut is answered the ping in the end."""
        try:
            self.socket.sendall(data + frame_bytes(PING, MSGPACK, 0, 9, b"fuzz"))
            self.socket.settimeout(10 if _is_whole(data) else 0.05)
            while True:
                while (frame := self.reader.take()) is not None:
                    if frame.kind == PING and frame.sequence == 9:
                        return True
                    found.answered += 1
                received = self.socket.recv(1 << 16)
                if not received:
                    break
                self.reader.feed(received)
        except (OSError, FrameRefused):
            pass
        found.cut += 1
        self.socket.close()
        return False


def _is_whole(data: bytes) -> bool:
    return len(data) >= 40 and struct.unpack_from("!I", data, 12)[0] == len(data) - 40


def attack(bank: config.Configuration, fuzzer: Fuzzer, frames: int, found: Findings) -> None:
    """Send them all, one at a time, on connections that are kept as long as the bank keeps them."""
    places = {
        "account": (bank.servers["s1"], "bankrmi.account.s1"),
        "standby": (bank.servers["s1"], "bankrmi.standby.s1"),
        "operator": (bank.servers["s1"], "bankrmi.operator.s1"),
        "diagnosis": (bank.servers["s1"], "bankrmi.diagnosis.s1"),
        "names": (bank.nameserver, "Pyro.NameServer"),
        "witness": (str(bank.witness), "bankrmi.witness"),
    }
    kept: dict[tuple[str, str | None], Caller] = {}
    for found.frames in range(1, frames + 1):
        if found.wrong:
            break
        key = name, role = fuzzer.random.choice(fuzzer.objects), fuzzer.random.choice(ROLES)
        address, object_id = places[name]
        if fuzzer.random.random() < 0.15:
            stranger = Caller(address)
            found.now = f"a handshake with {name} as {role}"
            stranger.ask(fuzzer.connect_frame(object_id, role), found)
            stranger.socket.close()
            continue
        if key not in kept:
            caller = Caller(address)
            hello = frame_bytes(CONNECT, MSGPACK, 0, 0, fuzzer.handshake(object_id, role))
            if not caller.ask(hello, found):
                continue  # this role may not use that object
            kept[key] = caller
            found.greeted.add(key)
        frame = fuzzer.call_frame(name, object_id)
        found.now = f"a call of {name} as {role}, {len(frame)} bytes: {frame[40:140]!r}"
        if not kept[key].ask(frame, found):
            del kept[key]
    for caller in kept.values():
        caller.socket.close()


@contextlib.contextmanager
def watched(loop: asyncio.AbstractEventLoop, found: Findings) -> Iterator[Callable[[], None]]:
    """Measure the turns of the loop, and note what must not be in the log; yields what begins to count."""
    counts = False
    selector: Any = loop._selector  # type: ignore[attr-defined]
    select = selector.select
    woken = woken_cpu = 0.0

    def timed(timeout: float | None = None) -> Any:
        nonlocal woken, woken_cpu
        if counts:
            found.longest_ms = max(found.longest_ms, (time.perf_counter() - woken) * 1000)
            cpu_ms = (time.thread_time() - woken_cpu) * 1000
            if cpu_ms > found.longest_cpu_ms:
                found.longest_cpu_ms, found.slowest = cpu_ms, found.now
        events = select(timeout)
        woken, woken_cpu = time.perf_counter(), time.thread_time()
        return events

    def note(_: object, method: str, entry: MutableMapping[str, Any]) -> Any:
        if entry.get("exc_info") or method in ("error", "critical", "exception"):
            error = entry.get("exc_info")
            where = "".join(traceback.format_exception(error)) if isinstance(error, Exception) else ""
            found.wrong.append(f"in the log: {entry} {where}")
        raise structlog.DropEvent

    def begin() -> None:
        nonlocal counts
        counts = True

    selector.select = timed
    before = structlog.get_config()
    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    loop.set_exception_handler(lambda _, context: found.wrong.append(f"reached the loop: {context}"))
    try:
        yield begin
    finally:
        structlog.configure(**before)


async def _fuzzed(bank: config.Configuration, fuzzer: Fuzzer, frames: int, found: Findings) -> None:
    loop = asyncio.get_running_loop()
    with watched(loop, found) as begin:
        ready, told = os.pipe()
        names = asyncio.create_task(nameserver_process._Process(bank, None).serve(None))
        server = asyncio.create_task(server_process._Process(bank, "s1", first=True).serve(told))
        await loop.run_in_executor(None, os.read, ready, 1000)
        os.close(ready)
        begin()
        attacking = loop.run_in_executor(None, attack, bank, fuzzer, frames, found)
        done, _ = await asyncio.wait((names, server, attacking), return_when=asyncio.FIRST_COMPLETED)
        if attacking not in done:
            found.wrong.append(f"a process ended: {[task.exception() for task in done]}")
        await attacking
        for task in (server, names):
            task.cancel()
        await asyncio.gather(server, names, return_exceptions=True)


def fuzz(folder: Path, *, frames: int, seed: int, objects: tuple[str, ...] = OBJECTS) -> Findings:
    """Fuzz a new bank in the folder; return what was seen."""
    found = Findings()
    asyncio.run(_fuzzed(new_bank(folder), Fuzzer(seed, objects), frames, found))
    return found


def new_bank(folder: Path) -> config.Configuration:
    """Return the configuration of a bank with a few accounts; of its two servers s9 is never there."""
    (folder / "ledger.csv").write_text("".join(f"{account},1000\n" for account in range(1, 11)))
    path = folder / "config.yaml"
    path.write_text(
        f"nameserver: {free_address()}\nservers:\n  s1: {free_address()}\n  s9: {free_address()}\n"
    )
    return config.load(path)


def main() -> None:
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--objects", default=",".join(OBJECTS))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        objects = tuple(chosen.objects.split(","))
        found = fuzz(Path(folder), frames=chosen.frames, seed=chosen.seed, objects=objects)
    sys.stdout.write(
        f"{found.frames} frames, {found.answered} answers, {found.cut} connections cut; longest turn of the "
        f"loop {found.longest_ms:.1f} ms, {found.longest_cpu_ms:.1f} ms of CPU, after {found.slowest}\n"
    )
    sys.stdout.writelines(f"WRONG: {wrong}\n" for wrong in found.wrong)
    if found.longest_cpu_ms > LONGEST_TURN_MS:
        found.wrong.append(f"a turn of the loop took more than {LONGEST_TURN_MS} ms of CPU")
        sys.stdout.write(f"WRONG: {found.wrong[-1]}\n")
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
