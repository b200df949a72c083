"""A remote object for the tests, and raw callers that send what no client would."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from bankrmi.errors import InsufficientFunds
from bankrmi.rmi import Call, Daemon, Exposed
from bankrmi.rmi.frames import CONNECT, INVOKE, MSGPACK, Frame, FrameReader, Rules, frame_bytes
from bankrmi.rmi.values import read_form, write_call, write_value

EVERYTHING = Rules(
    kinds=frozenset(range(1, 7)), payload_bytes=dict.fromkeys(range(256), 1 << 26), ping_bytes=1 << 20
)


class Account:
    """Answers at once, fails in every way, or keeps calls for the test to answer."""

    def __init__(self) -> None:
        self.exposed = Exposed(
            methods=frozenset({"echo", "withdraw", "crash", "keep", "note", "large", "strange"}),
            oneway=frozenset({"note"}),
            attributes=frozenset({"owner"}),
        )
        self.kept: list[Call] = []
        self.noted: list[object] = []
        self.invoked: list[str] = []

    def invoke(self, call: Call) -> None:
        self.invoked.append(call.method)
        match call.method:
            case "echo":
                call.answer(call.args[0] if len(call.args) == 1 else [list(call.args), call.kwargs])
            case "withdraw":
                raise InsufficientFunds("the amount exceeds the balance", account=2, request_id=None)
            case "crash":
                raise RuntimeError("secret in /etc/bank.key")
            case "keep":
                self.kept.append(call)
            case "note":
                self.noted.append(call.args[0])
                call.answer(None)
            case "large":
                call.answer(b"x" * call.args[0])
            case "strange":
                call.answer(object())
            case "__getattr__":
                call.answer("the owner")


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until it is true; fail if it does not become so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


class RawCaller:
    """A socket that speaks frames, right or wrong."""

    def __init__(self, daemon: Daemon, *, greet: bool = True, role: object = None) -> None:
        host, _, port = daemon.address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.reader = FrameReader(EVERYTHING)
        if greet:
            hello = "hello" if role is None else {"protocol": [1, 1], "role": role}
            self.send(CONNECT, write_value(MSGPACK, {"handshake": hello, "object": "acc"}))
            assert self.receive().kind == 2

    def __enter__(self) -> RawCaller:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(
        self, kind: int, payload: bytes, serializer: int = MSGPACK, flags: int = 0, seq: int = 7
    ) -> None:
        self.socket.sendall(frame_bytes(kind, serializer, flags, seq, payload))

    def call(self, method: str, *args: object, seq: int = 7) -> None:
        self.send(INVOKE, write_call("acc", method, args, {}), seq=seq)

    def receive(self) -> Frame:
        while (frame := self.reader.take()) is None:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError("closed by the daemon")
            self.reader.feed(data)
        return frame

    def answer(self) -> object:
        return read_form(self.receive().payload)

    def is_cut(self) -> bool:
        """Wait until the daemon has closed the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True
