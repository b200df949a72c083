"""Servers that do as a test tells them, on real sockets: our own daemon, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bankrmi.bank.forms import DEPOSIT
from bankrmi.bank.outcomes import NO_ACCOUNT
from bankrmi.config import ClientSettings, Configuration
from bankrmi.replication.record import packed, unpacked
from bankrmi.rmi import Call, Daemon, Exposed, Limits, RemoteObject

METHODS = frozenset(
    {
        "balance",
        "withdraw",
        "deposit",
        "transfer",
        "open_account",
        "close_account",
        "total",
        "statement",
        "submit",
        "outcome",
        "status",
    }
)
Answering = Callable[[Call], None]


def free_address() -> str:
    """Return an address where nobody listens."""
    return free_addresses(1)[0]


def free_addresses(count: int) -> list[str]:
    """Return addresses where nobody listens, none of them given before: the kernel may choose one again."""
    addresses: list[str] = []
    with ExitStack() as held:
        while len(addresses) < count:
            one = held.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{one.getsockname()[1]}"
            if address not in _GIVEN:
                addresses.append(address)
                _GIVEN.add(address)
    return addresses


_GIVEN: set[str] = set()


class Account:
    """A remote object that answers as told; `asked` lists (method, args) of all calls."""

    exposed = Exposed(methods=METHODS)

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def invoke(self, call: Call) -> None:
        self.asked.append((call.method, tuple(call.args)))
        self.answering(call)


class Running:
    """A daemon in a thread; stopping it closes its connections and its port."""

    def __init__(
        self,
        address: str,
        objects: Mapping[str, RemoteObject],
        greeting: Mapping[str, object] | None = None,
    ) -> None:
        self.address = address
        self._objects = objects
        self._greeting = dict(greeting or {})
        self._started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self._started.wait(5)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        daemon = Daemon(Limits(), lambda: self._greeting)
        for object_id, one in self._objects.items():
            daemon.register(object_id, one)
        await daemon.listen(self.address)
        self._started.set()
        await self._stop.wait()
        await daemon.close()

    def stop(self) -> None:
        if self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self.thread.join(5)


class DoubleBank:
    """Two servers of one bank, each with an account object to be told what to answer."""

    def __init__(self, folder: Path, **settings: int) -> None:
        self.accounts: dict[str, Account] = {}
        self._running: dict[str, Running] = {}
        nameserver, first, second = free_addresses(3)
        self.configuration = Configuration(
            path=folder / "config.yaml",
            nameserver=nameserver,
            servers={"s1": first, "s2": second},
            client=ClientSettings(**({"timeout_ms": 5000} | settings)),
        )

    def start(self, server: str, answering: Answering) -> Account:
        account = self.accounts[server] = Account(answering)
        objects = {f"bankrmi.account.{server}": account}
        self._running[server] = Running(self.configuration.servers[server], objects)
        return account

    def thread_of(self, server: str) -> threading.Thread:
        """Return the thread that serves a server."""
        return self._running[server].thread

    def stop(self, server: str) -> None:
        self._running.pop(server).stop()

    def close(self) -> None:
        for server in list(self._running):
            self.stop(server)


class Names:
    """A name server that answers look-ups as told; `asked` lists the tags that were looked for.

    `answer` is what `named` makes, an error, whatever else it shall answer, or a function of the call.
    """

    exposed = Exposed(methods=frozenset({"yplookup"}))

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[set[str]] = []

    def invoke(self, call: Call) -> None:
        self.asked.append(set(call.args[0]))
        if isinstance(self.answer, Exception):
            call.fail(self.answer)
        elif callable(self.answer):
            self.answer(call)
        else:
            call.answer(self.answer)


def named(servers: Mapping[str, tuple[str, str]]) -> dict[str, object]:
    """Return what our name server answers of these servers: {server: (address, role)}."""
    return {
        f"bankrmi.account.{server}": [
            f"PYRO:bankrmi.account.{server}@{address}",
            ["service:account", f"server:{server}", f"role:{role}"],
        ]
        for server, (address, role) in servers.items()
    }


@contextmanager
def name_server(address: str, answer: object) -> Iterator[Names]:
    """Serve such names there for a while."""
    names = Names(answer)
    running = Running(address, {"Pyro.NameServer": names})
    try:
        yield names
    finally:
        running.stop()


@contextmanager
def double_bank(folder: Path, **settings: int) -> Iterator[DoubleBank]:
    bank = DoubleBank(folder, **settings)
    try:
        yield bank
    finally:
        bank.close()


class Ledger:
    """A primary that remembers outcomes by request id, as the rules say; answers at once."""

    def __init__(self, balances: dict[int, int], *, history: str = "h1") -> None:
        self.balances = balances
        self.history = history
        self.done: dict[str, dict[str, Any]] = {}

    def __call__(self, call: Call) -> None:
        call.answer(self.decided(call))

    def decided(self, call: Call) -> dict[str, Any]:
        if call.method == "balance":
            account = call.args[0]
            return self._news(account=account, balance=self.balances[account])
        if call.method == "status":
            return {"server": "s1", "role": "primary"}
        if call.method == "outcome":
            return self._news(request_id=call.args[0], results=[self.done[call.args[0]]])
        if call.method == "submit":
            operations, request_id, _ = call.args
            done = [
                self._done(f"{request_id}/{index}", "deposit" if kind == DEPOSIT else "withdraw", *of)
                for index, (kind, *of) in enumerate(unpacked(operations))
            ]
            outcomes = [result.get("balance", (NO_ACCOUNT, None)) for result in done]
            return self._news(request_id=request_id, outcomes=packed(outcomes))
        account, amount, request_id, _ = call.args
        return {**self._done(request_id, call.method, account, amount), "history": self.history}

    def _done(self, request_id: str, kind: str, account: int, amount: int) -> dict[str, Any]:
        if request_id not in self.done:
            change = amount if kind == "deposit" else -amount
            action_id = len(self.done) + 1
            self.done[request_id] = {"account": account, "action_id": action_id, "request_id": request_id}
            if account in self.balances:
                self.balances[account] += change
                self.done[request_id]["balance"] = self.balances[account]
            else:
                self.done[request_id] |= {"code": "account_not_found", "message": "no such account"}
        return self.done[request_id]

    def _news(self, **answer: Any) -> dict[str, Any]:
        return {"history": self.history, "action_id": len(self.done), **answer}
