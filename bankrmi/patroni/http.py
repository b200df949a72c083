"""One question over HTTP, to a program of this machine.

Rule: it has a deadline, its answer a bound; who does not answer has said nothing (status 0), and why.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

__all__ = ["asked_http", "login"]

_BYTES = 1 << 16


def asked_http(
    address: str,
    method: str,
    path: str,
    *,
    seconds: float,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Return status and text of an answer of `host:port`."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=seconds)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read(_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, f"no answer: {error}"
    finally:
        connection.close()


def login(user: str, password: str) -> dict[str, str]:
    """Return the header by which somebody says who he is."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
