"""The three members of an etcd that keeps the view of the bank under test, in the place of a witness.

Rule 1: each member is a process of the run like the others: killed, paused, and cut off where the network can
        be cut. (Where relays stand for it, the members reach each other whatever is cut.)
Rule 2: their data lie in the run's directory, and are kept when a member is killed: etcd is not to blame for
        what it was never promised.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bankrmi.errors import ConfigurationError
from bankrmi.held_port import HeldPort
from bankrmi.robustness.chaos.network import ChaosNetwork

__all__ = ["MEMBERS", "EtcdMembers"]

MEMBERS = ("m1", "m2", "m3")
_PEER_PORT = 2380
_ELECTION_MS, _HEARTBEAT_MS = 500, 50
"""Half of what etcd does by itself, so that a short run sees many elections."""


class EtcdMembers:
    """How the members are started, and found."""

    def __init__(self, network: ChaosNetwork, directory: Path) -> None:
        """Raises ConfigurationError if there is no etcd here."""
        program = shutil.which("etcd")
        if program is None:
            raise ConfigurationError(
                "etcd is not installed: apt-get install etcd-server, or leave --etcd out"
            )
        self._program = program
        self._network = network
        self._directory = directory
        self._held: list[HeldPort] = []
        self._peers = {member: self._peer_address(member) for member in MEMBERS}

    def _peer_address(self, member: str) -> str:
        """Return where a member finds another: at the same host, if each has one of its own."""
        if self._network.alike:
            host = self._network.address(member, seen_by=member).rpartition(":")[0]
            return f"{host}:{_PEER_PORT}"
        self._held.append(HeldPort())
        return self._held[-1].address

    def setting(self, *, seen_by: str) -> str:
        """Return what stands behind `witness:` in the configuration of a process."""
        urls = (f"http://{self._network.address(member, seen_by=seen_by)}" for member in MEMBERS)
        return f"{{etcd: [{', '.join(urls)}]}}"

    def command(self, member: str) -> list[str]:
        """Return the command that runs a member."""
        peer = f"http://{self._peers[member]}"
        client = f"http://{self._network.address(member, seen_by=member)}"
        cluster = ",".join(f"{name}=http://{address}" for name, address in self._peers.items())
        return [
            *(self._program, "--name", member, "--data-dir", str(self._directory / "data" / member)),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--initial-cluster", cluster, "--log-level", "error"),
            *("--heartbeat-interval", str(_HEARTBEAT_MS), "--election-timeout", str(_ELECTION_MS)),
        ]

    def close(self) -> None:
        """Give the ports back."""
        for held in self._held:
            held.close()
