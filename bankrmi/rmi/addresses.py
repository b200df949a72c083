"""Addresses are text, "host:port"; the sockets' pairs exist in this room only.

Rule: a broken address is a ConfigurationError, for an address comes from a configuration.
"""

from __future__ import annotations

from bankrmi.errors import ConfigurationError

__all__ = ["Address", "host_and_port", "joined"]

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
