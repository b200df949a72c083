"""Addresses are text, "host:port"; the sockets' pairs exist in this room only. So do socket options.

Rule: a broken address is a ConfigurationError, for an address comes from a configuration.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from bankrmi.errors import ConfigurationError

__all__ = ["Address", "expect_large_messages", "host_and_port", "is_here", "joined", "notice_silent_deaths"]

Address = str

_LARGE_BYTES = 1 << 22


def host_and_port(address: Address) -> tuple[str, int]:
    """Return host and port; an IPv6 host is written in brackets."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{address!r} is not an address of the form host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def joined(host: str, port: int) -> Address:
    """Return the address of host and port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_here(address: Address) -> bool:
    """Return whether a process on this machine can listen at the address's host; looks the name up."""
    host, _ = host_and_port(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trying:
            trying.bind(where)
    except (OSError, UnicodeError):
        return False
    return True


def notice_silent_deaths(connected: socket.socket, *, within_seconds: int) -> None:
    """Have the system find out in time that the other machine is gone, whatever was said last.

    Whoever reads nothing for that long, though he lives, counts as gone, too.
    """
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system lets these be set, or knows their names.
    for option, value in (
        ("TCP_KEEPIDLE", within_seconds // 2),
        ("TCP_KEEPINTVL", max(1, within_seconds // 6)),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 1000 * within_seconds),  # What was sent, and is not taken, in ms.
    ):
        if hasattr(socket, option):
            with suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def expect_large_messages(connected: socket.socket) -> None:
    """Have the system take in a few megabytes before they are read: less would slow down who is far away."""
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LARGE_BYTES)
