"""A daemon in a thread of its own, for callers that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import pytest

from bankrmi.event_loop import new_event_loop
from bankrmi.rmi import Daemon, Limits, RemoteObject, TlsCredentials

from .account import Account

T = TypeVar("T")


class Serving:
    """An event loop in a thread, and the daemons in it."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self.complaints: list[Mapping[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._daemons: list[Daemon] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def do(self, action: Callable[[], T]) -> T:
        """Call it in the loop."""

        async def act() -> T:
            return action()

        return self.run(act())

    def daemon(
        self,
        limits: Limits | None = None,
        objects: Mapping[str, RemoteObject] | None = None,
        servers: Collection[str] = (),
        credentials: TlsCredentials | None = None,
    ) -> Daemon:
        """Return a daemon that listens, with "acc" and the other objects."""
        greeting = {"server": "s1", "start_id": "boot-1"}
        daemon = Daemon(limits or Limits(), lambda: greeting, servers=servers, credentials=credentials)
        for object_id, obj in {"acc": Account(), **(objects or {})}.items():
            daemon.register(object_id, obj)
        self.run(daemon.listen("127.0.0.1:0"))
        self._daemons.append(daemon)
        return daemon

    def stop(self) -> None:
        for daemon in self._daemons:
            self.run(daemon.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        assert not self.complaints, self.complaints


@pytest.fixture
def serving() -> Iterator[Serving]:
    started = Serving()
    yield started
    started.stop()


@pytest.fixture
def daemon(serving: Serving) -> Daemon:
    return serving.daemon()
