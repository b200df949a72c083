"""The URL of a database that keeps the accounts: is it one, what may be told of it, is the way there safe.

    postgresql://user:password@host:port,host:port/database?option=value

Rule: the password is said nowhere: what is shown are hosts and the name of the database.
Source: PostgreSQL 15, 34.1.1.2 (connection URIs) and 34.19.1 (what each `sslmode` protects against).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

__all__ = ["checked_database_url", "database_in_words", "reached_without_proof"]

_SCHEMES = frozenset({"postgresql", "postgres"})
_LONGEST = 2000
_NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_VERIFYING = frozenset({"verify-ca", "verify-full"})
_HOSTS_AT_MOST = 16


def checked_database_url(url: str) -> str:
    """Return a URL that libpq takes; raise ValueError, without its words: a password may be among them."""
    if len(url) > _LONGEST or "\0" in url:
        raise ValueError("engine is too long for the URL of a database")
    try:
        parts = urlsplit(url)
        hosts = _hosts(parts)
        options = parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("engine is not a URL: write postgresql://user@host:5432/database") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("engine is not the URL of a PostgreSQL: write postgresql://user@host:5432/database")
    if not parts.path.strip("/"):
        raise ValueError("engine names no database: write postgresql://user@host:5432/database")
    if _NOT_ENCODED.search(url):
        raise ValueError("engine has a % without two hexadecimal digits, or with 00: write %25 for a %")
    if parts.netloc.count("@") > 1:  # Libpq takes what is behind the first one for hosts, and tells them.
        raise ValueError("engine has an @ in its user or password: write %40 there")
    if not 1 <= len(hosts) <= _HOSTS_AT_MOST or not all(host for host, _ in hosts):
        raise ValueError(f"engine must name 1 to {_HOSTS_AT_MOST} hosts, with a comma between them")
    if any(not port.isdecimal() or not 0 < int(port) < 65536 for _, port in hosts):
        raise ValueError("engine has a port that is none: a number from 1 to 65535 is")
    for name, _ in options:
        if name in ("host", "hostaddr", "port", "dbname", "service"):
            raise ValueError(f"engine says {name} behind the question mark: say it before that")
    return url


def database_in_words(url: str) -> str:
    """Return which database that is, and where: host:port, and the name of the database."""
    parts = urlsplit(url)
    where = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in _hosts(parts))
    return f"{unquote(parts.path.strip('/'))} at {where}"


def reached_without_proof(url: str) -> list[str]:
    """Return the hosts beyond this machine that need not prove who they are, as `sslmode` has it."""
    parts = urlsplit(url)
    if dict(parse_qsl(parts.query)).get("sslmode") in _VERIFYING:
        return []
    return [host for host, _ in _hosts(parts) if not _is_loopback(host)]


def _hosts(parts: SplitResult) -> list[tuple[str, str]]:
    """Return host and port of each that is named; the port is 5432 unless it is said."""
    named = parts.netloc.rpartition("@")[2]
    return [_host_and_port(unquote(one)) for one in named.split(",")]


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":") or "5432"
    host, _, port = text.partition(":")
    return host, port or "5432"


def _is_loopback(host: str) -> bool:
    if host.startswith("/"):  # The folder of a socket.
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
