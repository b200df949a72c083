"""Addresses are text, "host:port"; the sockets' pairs exist in this room only. So do socket options.

Rule: a broken address is a ConfigurationError, for an address comes from a configuration.
"""

from __future__ import annotations

import socket

from bankrmi.errors import ConfigurationError

__all__ = ["Address", "host_and_port", "joined", "notice_silent_deaths"]

Address = str


def host_and_port(address: Address) -> tuple[str, int]:
    """Return host and port; an IPv6 host is written in brackets."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{address!r} is not an address of the form host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def joined(host: str, port: int) -> Address:
    """Return the address of host and port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def notice_silent_deaths(connected: socket.socket, *, within_seconds: int) -> None:
    """Have the system find out in time that the other machine is gone, whatever was said last."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # By name: not every system lets these be set.
    for option, value in (
        ("TCP_KEEPIDLE", within_seconds // 2),
        ("TCP_KEEPINTVL", max(1, within_seconds // 6)),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 1000 * within_seconds),  # What was sent, and is not received, in ms.
    ):
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
