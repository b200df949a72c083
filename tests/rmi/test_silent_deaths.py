"""A machine that loses its power ends no connection: whoever waits for it has to find out.

Two networks of our own; what the process that is killed would say is dropped, as if its machine had died.
"""

from __future__ import annotations

import subprocess
import sys

from bankrmi.robustness.chaos.namespaces import Namespaces
from tests import warm
from tests.robustness.networks import in_a_thread

SERVE = """
import asyncio, sys
from bankrmi.rmi import Daemon, Limits
from tests.rmi.account import Account

async def serve():
    daemon = Daemon(Limits(), dict)
    daemon.register("standby", Account(), for_servers=True, of_any_bank=True)
    await daemon.listen(sys.argv[1])
    print("listens", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""
CALL = """
import asyncio, sys
from bankrmi.rmi import handshake, link

async def call():
    lost = asyncio.Event()
    link.SILENT_SECONDS = int(sys.argv[2])
    await link.open_link(sys.argv[1], "standby", handshake("server"), 5, lambda _: lost.set())
    print("up", flush=True)
    await asyncio.wait_for(lost.wait(), 20)
    print("lost", flush=True)

asyncio.run(call())
"""


@in_a_thread
def test_a_link_to_a_machine_that_lost_its_power_is_lost_though_nothing_is_sent() -> None:
    """Else a server that comes back there would not be spoken to: its partner believes it has a link."""
    network = Namespaces(("server", "caller"))
    address = network.address("server", seen_by="caller")
    running: list[subprocess.Popen[str]] = []

    def start(process: str, script: str, *arguments: str) -> subprocess.Popen[str]:
        command = network.command(process, [sys.executable, "-c", script, address, *arguments])
        fds = network.inherited(process)
        running.append(warm.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=fds, uses_ours=True))
        return running[-1]

    def says(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    try:
        server = start("server", SERVE)
        assert says(server) == "listens"
        caller = start("caller", CALL, "2")
        assert says(caller) == "up"
        network.cut(("server", "caller"), ("caller", "server"))
        server.kill()
        assert says(caller) == "lost"
    finally:
        for process in running:
            process.kill()
            process.communicate()
        network.close()
