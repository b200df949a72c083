"""The TCP sockets of this machine, and which processes have them, by the word of the kernel.

Assumption: Linux. Elsewhere, and of the processes of other users, less is known, and nothing is made up.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Endpoint", "TcpSocket", "endpoint", "socket_owners", "tcp_sockets"]

_TABLES = ("net/tcp", "net/tcp6")
_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9
_LISTENS = "0A"

Endpoint = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSocket:
    """One socket: its own end, the other one, and the number that the kernel knows it by."""

    local: Endpoint
    remote: Endpoint
    listens: bool
    inode: str


def tcp_sockets(ports: Collection[int], proc: Path = Path("/proc")) -> Iterator[TcpSocket]:
    """Yield every socket whose own end has one of these ports."""
    endings = tuple(f":{port:04X}" for port in ports)
    for table in _TABLES:
        with suppress(OSError):
            for words in map(str.split, (proc / table).read_text().splitlines()[1:]):
                if words[_LOCAL].endswith(endings):
                    yield TcpSocket(
                        local=_read(words[_LOCAL]),
                        remote=_read(words[_REMOTE]),
                        listens=words[_STATE] == _LISTENS,
                        inode=words[_INODE],
                    )


def socket_owners(
    inodes: Collection[str], pids: Iterable[int] | None = None, proc: Path = Path("/proc")
) -> dict[str, int]:
    """Return the processes that have these sockets; only of those in `pids`, or of all that there are."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for pid in (_all(proc) if pids is None else pids) if wanted else ():
        with suppress(OSError):
            for descriptor in (proc / str(pid) / "fd").iterdir():
                with suppress(OSError):
                    inode = wanted.get(str(descriptor.readlink()))
                    if inode is not None:
                        owners.setdefault(inode, pid)
    return owners


def endpoint(host: str, port: int) -> Endpoint:
    """Return a socket's address as it is compared here."""
    return _plain(ipaddress.ip_address(host.partition("%")[0])), port


def _all(proc: Path) -> Iterator[int]:
    return (int(process.name) for process in proc.iterdir() if process.name.isdigit())


def _read(text: str) -> Endpoint:
    """Read the kernel's form: words of four bytes, each as the machine has it."""
    address, _, port = text.partition(":")
    raw = bytes.fromhex(address)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return _plain(ipaddress.ip_address(raw)), int(port, 16)


def _plain(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that is written as IPv6 is the IPv4 address."""
    return getattr(address, "ipv4_mapped", None) or address
