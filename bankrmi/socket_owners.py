"""The TCP sockets of this machine, and which processes have them, by the word of the kernel.

Assumption: Linux. Elsewhere, and of the processes of other users, less is known, and nothing is made up.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Endpoint", "TcpSocket", "endpoint", "inode_of", "socket_owners", "tcp_sockets"]

_TABLES = ("net/tcp", "net/tcp6")
_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9
_LISTENS = "0A"

# sock_diag(7): one question about one socket, which costs the same however many there are.
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_ANY_STATE, _NO_COOKIE = 0xFFFFFFFF, b"\xff" * 8
_HEADER, _QUESTION = struct.Struct("=IHHII"), struct.Struct("=BBBxI")
_INODE_AT = _HEADER.size + 68
_ANSWER_S = 0.2

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


def inode_of(local: Endpoint, remote: Endpoint) -> str | None:
    """Return the number of the socket with these two ends; None if there is none, or nobody can say."""
    try:
        return _asked(local, remote)
    except OSError:  # A kernel without sock_diag.
        sockets = tcp_sockets([local[1]])
        return next((one.inode for one in sockets if (one.local, one.remote) == (local, remote)), None)


def _asked(local: Endpoint, remote: Endpoint) -> str | None:
    (here, port), (there, remote_port) = local, remote
    family = socket.AF_INET if here.version == 4 else socket.AF_INET6
    ports = struct.pack("!HH", port, remote_port)
    ends = here.packed.ljust(16, b"\0") + there.packed.ljust(16, b"\0")
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _ANY_STATE) + ports + ends + bytes(4) + _NO_COOKIE
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_ANSWER_S)
        kernel.send(header + body)
        answer = kernel.recv(4096)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _SOCK_DIAG_BY_FAMILY:
        return str(struct.unpack_from("=I", answer, _INODE_AT)[0])
    (code,) = struct.unpack_from("=i", answer, _HEADER.size)
    if code in (-errno.ENOENT, -errno.ESTALE):
        return None
    raise OSError(-code, "the kernel does not answer about sockets")


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
