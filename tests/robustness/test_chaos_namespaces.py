"""Networks of our own: packets are dropped between them, and nothing is left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from bankrmi.robustness.chaos.namespaces import Namespaces
from tests.robustness.networks import in_a_thread

LISTEN = """
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
with socket.create_server((host, int(port))) as listening:
    print("listens", flush=True)
    while True:
        connection, _ = listening.accept()
        connection.sendall(b"hello")
        connection.close()
"""
ASK = """
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
try:
    with socket.create_connection((host, int(port)), float(sys.argv[2])) as connection:
        print(connection.recv(5).decode())
except OSError as error:
    print(type(error).__name__)
"""


def ask(network: Namespaces, source: str, destination: str, seconds: float = 20.0) -> str:
    address = network.address(destination, seen_by=source)
    command = network.command(source, [sys.executable, "-c", ASK, address, str(seconds)])
    asked = subprocess.run(
        command, capture_output=True, text=True, pass_fds=network.inherited(source), check=True
    )
    return asked.stdout.strip()


@in_a_thread
def test_a_cut_drops_and_never_refuses_and_only_the_dead_refuse() -> None:
    """Each way by itself; and the kernel of a dead process's network refuses in its name."""
    network = Namespaces(("s1", "s2"))
    try:
        assert ask(network, "s2", "s1") == "ConnectionRefusedError"
        address = network.address("s1", seen_by="s1")
        listening = subprocess.Popen(
            network.command("s1", [sys.executable, "-c", LISTEN, address]),
            stdout=subprocess.PIPE,
            pass_fds=network.inherited("s1"),
        )
        try:
            assert listening.stdout is not None
            assert listening.stdout.readline() == b"listens\n"
            assert ask(network, "s2", "s1") == "hello"
            for way in (("s1", "s2"), ("s2", "s1")):
                network.cut(way)
                assert ask(network, "s2", "s1", 0.3) == "TimeoutError"
                network.heal(way)
                assert ask(network, "s2", "s1") == "hello"
        finally:
            listening.kill()
            listening.communicate()
        assert ask(network, "s2", "s1") == "ConnectionRefusedError"
    finally:
        network.close()


@in_a_thread
def test_nobody_outside_sees_anything_of_it() -> None:
    """The machine's own network has nothing new, while it lasts and after it."""
    devices_before, home = own_devices(), Path("/proc/thread-self/ns/net").stat().st_ino
    network = Namespaces(("s1", "s2"))
    assert "hub" in own_devices()
    assert "hub" not in Path(f"/proc/{os.getpid()}/net/dev").read_text(), "the main thread sees it"
    network.close()
    assert Path("/proc/thread-self/ns/net").stat().st_ino == home
    assert own_devices() == devices_before


def own_devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}
