"""A handshake with oneself, in memory: would others take this certificate?

A certificate of another tool's can be well-formed, in time and of the right authority, and OpenSSL refuses it
all the same: for its purposes, its signature, its key, what is missing in it. So that is known at the start.

Rule: what is tried is what will be used: the same contexts, the same checks.
"""

from __future__ import annotations

import ssl

__all__ = ["refusal"]

_ROUNDS = 6


def refusal(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Return why one of the two refuses the other; an empty text if none does."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        for _ in range(_ROUNDS):
            waiting = [end for end in waiting if not _is_done(end)]
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return str(error.reason or error)
    return "the handshake comes to no end" if waiting else ""


def _is_done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
