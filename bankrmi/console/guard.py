"""Who may ask the console: a browser on this machine, on our own page; to change something, with the token.

Rule 1: a request that names another host than this machine is refused: a page elsewhere whose name was made
        to lead here (DNS rebinding) reads nothing.
Rule 2: whatever changes something comes from our own page or from no page (`Origin`), and brings the token
        that the terminal has printed.
Rule 3: a program that opens the page for somebody hands over the token by an invitation, which is good once:
        what stands on a command line can be read by everybody on this machine.
Rule 4: the page may load what is on this console, and nothing else; no other page may show it within itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

__all__ = ["HEADERS", "INVITED", "Guard", "new_token"]

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


INVITED = "/open/"
"""Where an invitation leads to, with its code behind it."""


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(18)


class Guard:
    """What one console requires."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
        self._invitation: str | None = None

    def invite(self) -> str:
        """Return the path of the page for whoever comes first; an invitation from before counts no more."""
        self._invitation = new_token()
        return f"{INVITED}{self._invitation}"

    def accept(self, shown: str) -> str | None:
        """Return where the page is, with the token, for whoever shows the invitation; else None."""
        known, self._invitation = self._invitation, None
        if known is None or not secrets.compare_digest(shown.encode(), known.encode()):
            return None
        return f"/#token={self._token}"

    def why_not(self, headers: Mapping[str, str], *, changes: bool) -> tuple[int, str] | None:
        """Return status and sentence for a request that is refused; None for one that may be."""
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "the console is for browsers on this machine: open http://127.0.0.1 with its port"
        origin = headers.get("origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self._hosts:
            return 403, "another page may not ask the console"
        if not changes:
            return None
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(shown.encode(), self._token.encode()):
            return 401, "this needs the token: open the whole address that the terminal has printed"
        return None
