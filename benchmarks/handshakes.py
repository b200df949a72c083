"""A bank behind certificates, and handshakes that never end, or come in thousands: how does a client fare?

    python benchmarks/handshakes.py [--connections 1000] [--seconds 6]

The crowd keeps so many connections to the primary, and comes again where one is cut. It says nothing, a part
of the first message of a handshake, or all of it; in the end it makes whole handshakes, as fast as it can.
"""

from __future__ import annotations

import argparse
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bankrmi
from bankrmi.bench.bank import own_folder
from bankrmi.bench.figures import percentile
from bankrmi.bench.shapes import SHAPES
from bankrmi.bench.systems.ours import OursOverTls
from bankrmi.certificates import Credentials
from bankrmi.config import Configuration, load

_PAUSE_S = 0.005
_STORMING = 16


def main() -> None:
    """Measure each crowd in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with own_folder() as folder:
        bank = OursOverTls(folder)
        bank.start()
        try:
            _measure(bank, given.connections, given.seconds)
        finally:
            bank.stop()


def _measure(bank: OursOverTls, connections: int, seconds: float) -> None:
    where = bank.order(SHAPES["1x1"], seconds).where
    configuration = load(Path(where["configuration"]), environment={})
    context = Credentials.of(Path(where["certificates"]), "client").client_context()
    host, _, port = where["address"].rpartition(":")
    primary, address = bank.processes()["primary"], (host, int(port))
    _honest("alone", configuration, primary, seconds)
    first = _first_message(context)
    for said in (b"", first[:60], first):
        with _repeated(lambda stop, said=said: _keep(address, connections, said, stop), 1):  # type: ignore[misc]
            _honest(f"{connections} that said {len(said)} bytes", configuration, primary, seconds)
    with _repeated(lambda stop: _storm(address, context, stop), _STORMING):
        _honest("a storm of whole handshakes", configuration, primary, seconds)
    _honest("alone again", configuration, primary, seconds)


def _honest(what: str, configuration: Configuration, primary: int, seconds: float) -> None:
    """Withdraw again and again; print how long that took, and the primary's memory."""
    took: list[float] = []
    with bankrmi.connect(configuration) as client:
        until = time.monotonic() + seconds
        while (begun := time.monotonic()) < until:
            client.withdraw(1, 1)
            took.append(1000 * (time.monotonic() - begun))
            time.sleep(_PAUSE_S)
        epoch = client.status()["epoch"]
    took.sort()
    resident_kb = int(Path(f"/proc/{primary}/status").read_text().partition("VmRSS:")[2].split()[0])
    print(
        f"{what:29} median {percentile(took, 50):5.1f} ms, 99 % {percentile(took, 99):5.1f}, "
        f"slowest {took[-1]:6.1f}; {resident_kb // 1024:4} MB, epoch {epoch}",
        flush=True,
    )


@contextmanager
def _repeated(work: Callable[[threading.Event], None], threads: int) -> Iterator[None]:
    stop = threading.Event()
    running = [threading.Thread(target=work, args=(stop,)) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()


def _keep(address: tuple[str, int], connections: int, said: bytes, stop: threading.Event) -> None:
    crowd: list[socket.socket] = []
    while not stop.wait(0.05):
        crowd = [one for one in crowd if not _is_cut(one)]
        with suppress(OSError):
            while len(crowd) < connections and not stop.is_set():
                one = socket.create_connection(address, 5)
                one.sendall(said)
                one.setblocking(False)
                crowd.append(one)
    for one in crowd:
        one.close()


def _is_cut(one: socket.socket) -> bool:
    try:
        said = one.recv(1 << 16)
    except BlockingIOError:
        return False
    except OSError:
        said = b""
    if not said:
        one.close()
    return not said


def _storm(address: tuple[str, int], context: ssl.SSLContext, stop: threading.Event) -> None:
    while not stop.is_set():
        with (
            suppress(OSError),
            socket.create_connection(address, 5) as connected,
            context.wrap_socket(connected),
        ):
            pass


def _first_message(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


if __name__ == "__main__":
    main()
