"""A network of its own for each process, and a switch between them where packets are dropped.

    chaos itself:  a namespace with a bridge        10.77.0.1
      each process:  a namespace behind a veth pair   10.77.0.2, …

A cut is a rule of nftables on the bridge: packets from one address to another are dropped, one way or both.
A slow link is one that loses some of its packets at random: the kernel sends them again, later and later.
A process that is dead leaves its namespace behind, whose kernel refuses connections for it, as it should.

Rule 1: no namespace has a name: each is held by a descriptor of this process, and gone when the last process
        in it is. Nothing can be left behind, not even by `kill -9`.
Rule 2: nothing leads out of these namespaces, so the addresses are nobody else's business.
Assumption: the thread that opens the network starts all processes, and all threads that speak to them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Sequence

from bankrmi.relays import Hindered, Way
from bankrmi.robustness.chaos.network import NoNamespaces

__all__ = ["Namespaces"]

_CLONE_NEWNET = 0x40000000
_TOOLS = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux"}
_OWN = "/proc/thread-self/ns/net"
_NET = "10.77.0"
_PORT = 9090
_LOST_PERCENT = {20: 3, 80: 10, 250: 25}
"""What stands for a delay, since this switch can drop and not wait."""

_RULES = """
table bridge chaos {
  set cut { type ipv4_addr . ipv4_addr; }
  %(sets)s
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cut drop
    %(rules)s
  }
}
"""


class Namespaces:
    """See `network.ChaosNetwork`."""

    cuts_by = "network namespaces"
    alike = True
    insecure = True

    def __init__(self, processes: tuple[str, ...]) -> None:
        """Enter a namespace of our own, and make one for each process.

        Raises NoNamespaces, saying why not; then all is as it was.
        """
        _check_tools()
        self._hosts = {process: f"{_NET}.{number}" for number, process in enumerate(processes, start=2)}
        self._cut = Hindered()
        self._slow: dict[int, Hindered] = {late_ms: Hindered() for late_ms in _LOST_PERCENT}
        self._namespaces: dict[str, int] = {}
        self._home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        _enter_new_namespace()
        try:
            for process in processes:
                self._namespaces[process] = _new_namespace()
            self._build()
        except NoNamespaces:
            self.close()
            raise

    def _build(self) -> None:
        lines = ["link set lo up", "link add hub type bridge"]
        lines += [f"addr add {_NET}.1/24 dev hub", "link set hub up"]
        for number, process in enumerate(self._hosts):
            other_end = f"/proc/{os.getpid()}/fd/{self._namespaces[process]}"
            lines.append(f"link add port{number} type veth peer name eth0 netns {other_end}")
            lines.append(f"link set port{number} master hub up")
        _run(["ip", "-batch", "-"], "\n".join(lines))
        for process, host in self._hosts.items():
            inside = ["link set lo up", f"addr add {host}/24 dev eth0", "link set eth0 up"]
            command = self.command(process, ["ip", "-batch", "-"])
            _run(command, "\n".join(inside), pass_fds=self.inherited(process))
        sets = [f"set lossy{late_ms} {{ type ipv4_addr . ipv4_addr; }}" for late_ms in _LOST_PERCENT]
        rules = [
            f"ip saddr . ip daddr @lossy{late_ms} numgen random mod 100 < {percent} drop"
            for late_ms, percent in _LOST_PERCENT.items()
        ]
        _run(["nft", "-f", "-"], _RULES % {"sets": "\n".join(sets), "rules": "\n".join(rules)})

    def address(self, of: str, *, seen_by: str) -> str:  # noqa: ARG002 (the same for all)
        return f"{self._hosts[of]}:{_PORT}"

    def command(self, process: str, command: list[str]) -> list[str]:
        return ["nsenter", f"--net=/proc/self/fd/{self._namespaces[process]}", "--", *command]

    def inherited(self, process: str) -> tuple[int, ...]:
        return (self._namespaces[process],)

    def begins(self, process: str) -> None:
        pass  # The kernel of its namespace knows what to answer.

    def has_ended(self, process: str) -> None:
        pass

    def cut(self, *ways: Way) -> None:
        self._change("add", "cut", self._cut.hold(*ways))

    def heal(self, *ways: Way) -> None:
        self._change("delete", "cut", self._cut.release(*ways))

    def slow(self, late_ms: int, *ways: Way) -> str:
        self._change("add", f"lossy{late_ms}", self._slow[late_ms].hold(*ways))
        return f"{_LOST_PERCENT[late_ms]} % of the packets lost"

    def hasten(self, late_ms: int, *ways: Way) -> None:
        self._change("delete", f"lossy{late_ms}", self._slow[late_ms].release(*ways))

    def _change(self, verb: str, which: str, ways: Sequence[Way]) -> None:
        if ways:
            pairs = ", ".join(f"{self._hosts[source]} . {self._hosts[to]}" for source, to in ways)
            _run(["nft", verb, "element", "bridge", "chaos", which, f"{{ {pairs} }}"], "")

    def close(self) -> None:
        """Leave our namespaces; they are gone when the last process is."""
        for descriptor in self._namespaces.values():
            os.close(descriptor)
        self._namespaces.clear()
        if _libc().setns(self._home, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "this process cannot go back to its network")
        os.close(self._home)


def _check_tools() -> None:
    if os.geteuid() != 0:
        raise NoNamespaces("only root can cut a network for real: run it as root, or with sudo")
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise NoNamespaces(f"to cut a network for real, install {' and '.join(missing)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _enter_new_namespace() -> None:
    if _libc().unshare(_CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise NoNamespaces(f"this machine allows no network namespace of our own ({reason})")


def _new_namespace() -> int:
    """Return the descriptor of a new namespace that nobody is in; a thread was, for a moment."""
    made: list[int] = []

    def make() -> None:
        _enter_new_namespace()
        made.append(os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise NoNamespaces("this machine allows no more network namespaces")
    return made[0]


def _run(command: list[str], stdin: str, pass_fds: tuple[int, ...] = ()) -> None:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        pass_fds=pass_fds,
        check=False,
        start_new_session=True,  # The terminal's Ctrl-C is not meant for it.
    )
    if done.returncode != 0:
        what = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
        raise NoNamespaces(f"{' '.join(command)} failed ({what})")
