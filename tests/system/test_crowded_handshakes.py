"""A thousand connections that never end their handshakes: who has a certificate is served beside them."""

from __future__ import annotations

import resource
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bankrmi.certificates import Credentials
from tests.certificates import made
from tests.system.cluster import DEADLINE_S, Cluster

pytestmark = pytest.mark.long

CROWD = 1000
OWN_FILES = 200
NEWCOMERS = 25
DRIP_S = 0.05


@pytest.fixture(scope="module", autouse=True)
def _enough_files() -> Iterator[None]:
    """Each connection is a file of ours, and one of the server's, which has itself allowed as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CROWD + OWN_FILES  # The server has clients, servers and operators beside them.
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open here, and it takes {wanted} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("bank")
    made.bank(folder / "certificates")
    with Cluster(
        folder,
        certificates={"folder": "certificates"},
        # However slow this machine is meanwhile, no server takes another one for dead.
        lease_ms=30_000,
        checkpoint_timeout_ms=30_000,
        # Nobody of the crowd goes because his time is over: only to make room.
        limits={"message_deadline_ms": 600_000},
    ) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


class Crowd:
    """As many connections at once as it was told; who is cut comes again.  It lives in a thread."""

    def __init__(self, address: str, first: bytes, dripped: bytes) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._first = first
        self._dripped = dripped
        self._waiting = selectors.DefaultSelector()
        self._told: dict[socket.socket, int] = {}
        self._over = threading.Event()
        self.is_whole = threading.Event()
        self.came = 0

    def live(self) -> None:
        while not self._over.is_set():
            while len(self._told) < CROWD and not self._over.is_set():
                self._come()
            self.is_whole.set()
            for key, _ in self._waiting.select(DRIP_S):
                self._hear(key.fileobj)  # type: ignore[arg-type]
            for one, told in list(self._told.items()) if self._dripped else ():
                with suppress(OSError):
                    one.send(self._dripped[told : told + 1])
                self._told[one] = told + 1
        for one in list(self._told):
            self._leave(one)
        self._waiting.close()

    def _come(self) -> None:
        with suppress(OSError):
            one = socket.create_connection(self._address, DEADLINE_S)
            self._told[one] = 0
            self._waiting.register(one, selectors.EVENT_READ)
            self.came += 1
            one.sendall(self._first)
            one.setblocking(False)

    def _hear(self, one: socket.socket) -> None:
        with suppress(BlockingIOError):
            try:
                if one.recv(1 << 16):
                    return
            except ConnectionError:
                pass
            self._leave(one)

    def _leave(self, one: socket.socket) -> None:
        self._waiting.unregister(one)
        del self._told[one]
        one.close()

    def end(self) -> None:
        self._over.set()


@contextmanager
def crowd(address: str, first: bytes, dripped: bytes) -> Iterator[Crowd]:
    one = Crowd(address, first, dripped)
    living = threading.Thread(target=one.live)
    living.start()
    try:
        assert one.is_whole.wait(DEADLINE_S), f"only {one.came} came"
        yield one
    finally:
        one.end()
        living.join()


def first_message(folder: Path) -> bytes:
    """Return that of a client whom the bank would take."""
    outgoing = ssl.MemoryBIO()
    session = Credentials.of(folder, "client", "anna").client_context().wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("how", ["silent", "half a message", "a message", "slow"])
def test_a_thousand_handshakes_that_never_end_keep_nobody_out(bank: Cluster, how: str) -> None:
    """Neither who is in already, nor who comes; and no server is taken for dead."""
    hello = first_message(bank.directory / "certificates")
    first, dripped = {
        "silent": (b"", b""),
        "half a message": (hello[: len(hello) // 2], b""),
        "a message": (hello, b""),
        "slow": (b"", hello),
    }[how]
    leads = bank.primary()
    client, before = bank.client(), bank.view()
    balance = client.withdraw(10, 1).balance
    with crowd(bank.configuration.servers[leads], first, dripped) as strangers:
        for count in range(1, NEWCOMERS + 1):
            assert client.withdraw(10, 1).balance == balance - count
            told = bank.ask(leads, "balance", 10)
            assert told["balance"] == balance - count
        assert strangers.came >= CROWD
    assert bank.view() == before
