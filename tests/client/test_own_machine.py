"""A machine without files, threads or names: for both clients.

Rule: whatever leaves a client is one of our errors, and says truly whether it happened.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import bankrmi
import bankrmi.aio
from bankrmi.errors import BankError, Unreached
from tests.client.both_clients import WITHDRAW, Perform, asynchronous, blocking, replace_servers
from tests.client.doubles import DoubleBank

pytestmark = pytest.mark.parametrize("perform", [blocking, asynchronous])


@contextmanager
def no_more_files() -> Iterator[None]:
    """Nothing can be opened any more in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[socket.socket] = []
    try:
        with socket.socket() as highest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno() + 8, hard))
        while True:
            held.append(socket.socket())
    except OSError:
        yield
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_files_nothing_was_sent(bank: DoubleBank, perform: Perform) -> None:
    if perform is asynchronous:

        async def work() -> Any:
            async with await bankrmi.aio.connect(bank.configuration, timeout=0.3) as client:
                with no_more_files():
                    try:
                        return await client.withdraw(2, 10)
                    except BankError as error:
                        return error

        answer = asyncio.run(work())
    else:
        with no_more_files():
            (answer,) = perform(bank.configuration, [WITHDRAW], 0.3)
    assert isinstance(answer, Unreached)


def test_without_threads_or_names_nothing_was_sent(
    bank: DoubleBank, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def no_thread(thread: threading.Thread) -> None:
        if "_do_shutdown" not in thread.name:  # That is asyncio's own end.
            raise RuntimeError("can't start new thread")
        start(thread)

    named = replace_servers(bank.configuration, {"s1": "no-such-host.invalid:1"})
    assert isinstance(perform(named, [WITHDRAW], 0.3)[0], Unreached)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert isinstance(perform(named, [WITHDRAW], 0.3)[0], Unreached)
