"""Traffic of strangers: within every limit on size, as costly as it can be made; bounded in time.

    python -m bankrmi.robustness.chaos.strangers OBJECT@HOST:PORT ... [--connections 16] [--seconds 60]
        [--idle 0] [--harmless] [--claims NAME ...] [--parent-pid PID]

Each connection repeats one kind of traffic, the kinds dealt out in turn.  Who is cut off comes back.  With
--idle N, N more connections to each target do nothing at all, half of them without having said a word.
With --harmless nothing changes an account or makes an entry, so that a journal can still be judged.
With --claims some say that they are servers of these names, and of names that nobody has.

Rule 1: Pyro's wire is spoken by hand here: a stranger would not use our code either.
Rule 2: it gives way to who is at work on the same machine: strangers live on others.
Rule 3: everything ends by itself, after `--seconds`, or with the parent.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgpack

from bankrmi import protocol_versions
from bankrmi.parent_death import end_with_parent
from bankrmi.signals import let_through

__all__ = ["CLAIMING", "HARMLESS", "IDLE", "KINDS", "run"]

SERPENT, JSON, MSGPACK = 1, 3, 4
CONNECT, INVOKE, PING = 1, 4, 6
ONEWAY, BATCH = 4, 8
BACK_SECONDS = 0.02


def _frame(kind: int, data: bytes, serializer: int = MSGPACK, flags: int = 0) -> bytes:
    head = (b"PYRO", 502, kind, serializer, flags, 1, len(data), 0, bytes(16), 0, 0x4DC5)
    return struct.pack("!4sHBBHHII16sHH", *head) + data


@dataclass(slots=True)
class Stranger:
    """One connection to one object."""

    object_id: str
    until: float
    done: Counter[str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    claims: Sequence[str] = ()
    """Names of servers, to be taken in vain."""

    def call(self, method: str, args: Sequence[object], flags: int = 0) -> bytes:
        """Return a call in msgpack."""
        return _frame(INVOKE, msgpack.packb((self.object_id, method, args, {})), MSGPACK, flags)

    async def ask(self, message: bytes) -> bytes:
        """Send a message and wait for the answer."""
        self.writer.write(message)
        await self.writer.drain()
        head = await self.reader.readexactly(40)
        return await self.reader.readexactly(struct.unpack("!I", head[12:16])[0])

    async def greet(self) -> None:
        """Introduce oneself as a stock client does."""
        request = json.dumps({"object": self.object_id, "handshake": "hello"}).encode()
        await self.ask(_frame(CONNECT, request, JSON))

    async def claim(self, role: str, server: str = "") -> None:
        """Introduce oneself as one of ours."""
        said = {"protocol": protocol_versions.stated(), "role": role, "server": server, "start_id": "false"}
        request = json.dumps({"object": self.object_id, "handshake": said}).encode()
        await self.ask(_frame(CONNECT, request, JSON))

    def meet_servers(self) -> None:
        """Ask for what servers ask for, where this stranger is."""
        account = "bankrmi.account."
        is_account = self.object_id.startswith(account)
        standby = "bankrmi.standby." + self.object_id.removeprefix(account)
        self.object_id = standby if is_account else "bankrmi.witness"

    @property
    def is_time(self) -> bool:
        """Whether to go on."""
        return time.monotonic() < self.until


Kind = Callable[[Stranger], Awaitable[None]]


async def _again_and_again(stranger: Stranger, kind: str, message: bytes) -> None:
    await stranger.greet()
    while stranger.is_time:
        await stranger.ask(message)
        stranger.done[kind] += 1


async def _nested_json(stranger: Stranger) -> None:
    nest = b"[" * 900 + b"]" * 900
    data = b'{"object":"x","method":"m","kwargs":{},"params":[' + b",".join([nest] * 560) + b"]}"
    await _again_and_again(stranger, "nested json", _frame(INVOKE, data, JSON))


async def _json_numbers(stranger: Stranger) -> None:
    data = b'{"object":"x","method":"m","kwargs":{},"params":[' + b",".join([b"1"] * 30_000) + b"]}"
    await _again_and_again(stranger, "json numbers", _frame(INVOKE, data, JSON))


async def _serpent_numbers(stranger: Stranger) -> None:
    for count in (31_000, 2_000, 1_000):
        data = b"('x','balance',[[" + b"1," * count + b"]],{})"
        await _again_and_again(stranger, f"{count} serpent numbers", _frame(INVOKE, data, SERPENT))


async def _lists_in_msgpack(stranger: Stranger) -> None:
    data = msgpack.packb(("x", "m", [[]] * 16_000, {}))
    await _again_and_again(stranger, "empty lists", _frame(INVOKE, data))


async def _batches(stranger: Stranger) -> None:
    await stranger.greet()
    for number in itertools.count(1):
        if not stranger.is_time:
            return
        request = f"{os.urandom(8).hex()}:{number}"
        await stranger.ask(stranger.call("submit", [[["withdraw", 1, 0]] * 8192, request]))
        await stranger.ask(stranger.call("outcome", [request]))
        stranger.done["batches of 8192, and their outcomes"] += 1


async def _json_batches(stranger: Stranger) -> None:
    call = {
        "object": stranger.object_id,
        "method": "submit",
        "params": [[["deposit", 404, 1]] * 8192],
        "kwargs": {},
    }
    await _again_and_again(stranger, "json batches", _frame(INVOKE, json.dumps(call).encode(), JSON))


async def _batched_calls(stranger: Stranger) -> None:
    part = ["balance", [1], {}]
    message = stranger.call("<batch>", [part] * 1000, BATCH)
    await _again_and_again(stranger, "batched calls", message)


async def _big_answers(stranger: Stranger) -> None:
    await stranger.greet()
    request = f"{os.urandom(8).hex()}:1"
    await stranger.ask(stranger.call("submit", [[["withdraw", 0, 1]] * 8192, request]))
    while stranger.is_time:
        await stranger.ask(stranger.call("<batch>", [["outcome", [request], {}]] * 100, BATCH))
        stranger.done["a hundred outcomes in one"] += 1


async def _names(stranger: Stranger) -> None:
    await stranger.greet()
    for number in itertools.count():
        if not stranger.is_time:
            return
        name = f"{os.urandom(8).hex()}{'n' * 150}"
        tags = [f"{number}:{tag}:{'t' * 150}" for tag in range(32)]
        await stranger.ask(stranger.call("register", [name, "PYRO:x@127.0.0.1:1", False, tags]))
        await stranger.ask(stranger.call("list", [None, None, True]))
        stranger.done["names"] += 1


async def _never_reads(stranger: Stranger) -> None:
    await stranger.greet()
    message = stranger.call("balance", [1]) + _frame(PING, b"x" * 4000)
    stranger.reader._transport.pause_reading()  # type: ignore[attr-defined]
    while stranger.is_time:
        stranger.writer.write(message)
        await asyncio.wait_for(stranger.writer.drain(), 5)
        stranger.done["calls whose answers nobody reads"] += 1


async def _oneway(stranger: Stranger) -> None:
    await stranger.greet()
    message = stranger.call("deposit", [1, 0], ONEWAY)
    while stranger.is_time:
        stranger.writer.write(message * 50)
        await stranger.writer.drain()
        stranger.done["oneway deposits"] += 50


async def _slow(stranger: Stranger) -> None:
    await stranger.greet()
    for byte in stranger.call("balance", [1]):
        stranger.writer.write(bytes([byte]))
        await asyncio.sleep(0.5)
        stranger.done["bytes sent slowly"] += 1
        if not stranger.is_time:
            return


async def _idle(stranger: Stranger) -> None:
    await stranger.greet()
    stranger.done["idle connections"] += 1
    await stranger.reader.read(1)


async def _says_nothing(stranger: Stranger) -> None:
    stranger.done["connections without a word"] += 1
    await stranger.reader.read(1)


async def _comes_and_goes(stranger: Stranger) -> None:
    await stranger.greet()
    stranger.done["greetings"] += 1


async def _as_ours(stranger: Stranger) -> None:
    """Our own clients' handshake, and messages as dear as each serializer allows."""
    named = stranger.object_id.encode()
    texts = b'{"object":"%s","method":"m","kwargs":{},"params":[' % named + b'"a",' * 48_000 + b'"a"]}'
    messages = [
        _frame(
            INVOKE, b"('%s','m',[" % named + b",".join(b"%d" % n for n in range(3_900)) + b"],{})", SERPENT
        ),
        _frame(INVOKE, texts, JSON),
        stranger.call("m", [str(number) for number in range(50_000)]),
        stranger.call("m", [[]] * 16_000),
        stranger.call("m", [{str(number): 1 for number in range(4_000)}]),
    ]
    await stranger.claim("client")
    for message in itertools.cycle(messages):
        if not stranger.is_time:
            return
        await stranger.ask(message)
        stranger.done["dear messages with our handshake"] += 1


async def _as_servers(stranger: Stranger) -> None:
    """The names of the configuration, and the largest that servers may say."""
    entry = [1, 1, "s" * 24, 1, 0, bytes(13), "done", 1, 1, bytes(16)]
    stranger.meet_servers()
    for server in itertools.cycle(stranger.claims or ("s1", "s2")):
        await stranger.claim("server", server)
        message = stranger.call("checkpoint", [[entry] * 16_000])
        while stranger.is_time:
            await stranger.ask(message)
            stranger.done["large messages in a server's name"] += 1


async def _as_servers_with_dicts(stranger: Stranger) -> None:
    stranger.meet_servers()
    await stranger.claim("server", (stranger.claims or ("s2",))[-1])
    await stranger.ask(stranger.call("checkpoint", [[{"a": 1}] * 200_000]))
    stranger.done["dicts in a server's name"] += 1


async def _as_no_server(stranger: Stranger) -> None:
    stranger.meet_servers()
    await stranger.claim("server", "s9")
    await stranger.ask(stranger.call("checkpoint", [[{"a": 1}] * 200_000]))
    stranger.done["dicts in no server's name"] += 1


CLAIMING: tuple[Kind, ...] = (_as_ours, _as_servers, _as_servers_with_dicts, _as_no_server)
HARMLESS: tuple[Kind, ...] = (
    _nested_json,
    _serpent_numbers,
    _batched_calls,
    _never_reads,
    _names,
    _json_numbers,
    _lists_in_msgpack,
    _slow,
    _idle,
    _says_nothing,
    _comes_and_goes,
)
IDLE: tuple[Kind, ...] = (_idle, _says_nothing)
KINDS: tuple[Kind, ...] = (*HARMLESS[:3], _batches, _big_answers, _json_batches, _oneway, *HARMLESS[3:])
"""Of strangers; who takes names in vain comes with `CLAIMING`."""


async def _connection(
    address: str, object_id: str, kind: Kind, until: float, done: Counter[str], claims: Sequence[str]
) -> None:
    host, _, port = address.rpartition(":")
    while time.monotonic() < until:
        writer = None
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            stranger = Stranger(object_id, until, done, reader, writer, claims)
            await asyncio.wait_for(kind(stranger), max(0.1, until - time.monotonic()))
        except (OSError, EOFError, TimeoutError):
            done["came back"] += 1
        finally:
            if writer is not None:
                writer.transport.abort()
        await asyncio.sleep(BACK_SECONDS)


async def run(
    targets: Sequence[str],
    connections: int,
    seconds: float,
    kinds: Sequence[Kind],
    claims: Sequence[str] = (),
    *,
    idle: int = 0,
) -> Counter[str]:
    """Let `connections` to each target (OBJECT@HOST:PORT) do their worst; return what they did.

    `idle` more to each do nothing.
    """
    until = time.monotonic() + seconds
    done: Counter[str] = Counter()
    dealt, resting = itertools.cycle(kinds), itertools.cycle(IDLE)
    await asyncio.gather(
        *(
            _connection(
                address, object_id, next(dealt if number < connections else resting), until, done, claims
            )
            for object_id, _, address in (target.partition("@") for target in targets)
            for number in range(connections + idle)
        )
    )
    return done


def main() -> None:
    """Run from the command line; print what was done."""
    parser = argparse.ArgumentParser(description="Traffic of strangers to these objects.")
    parser.add_argument("targets", nargs="+", metavar="OBJECT@HOST:PORT")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--harmless", action="store_true")
    parser.add_argument("--claims", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--parent-pid", type=int)
    options = parser.parse_args()
    end_with_parent(options.parent_pid)
    let_through()
    os.nice(10)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # It warns of writes after we were cut off.
    kinds = HARMLESS if options.harmless else KINDS
    if options.claims:
        kinds = (*CLAIMING, *kinds)
    work = run(
        options.targets, options.connections, options.seconds, kinds, options.claims, idle=options.idle
    )
    done = asyncio.run(work)
    sys.stdout.write(json.dumps(dict(done)) + "\n")


if __name__ == "__main__":
    main()
