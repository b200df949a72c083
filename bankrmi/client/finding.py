"""Who may be asked, and who probably leads: shared by both clients.

Rule 1: names are a hint. Without the name server the client begins with the first server configured.
Rule 2: the configured servers are always candidates; a primary that only the name server knows is one more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bankrmi.client.decisions import Candidate
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.rmi import NamedObject

__all__ = ["Candidates", "configured", "primary_tags", "with_named_primary"]

Candidates = tuple[Candidate, ...]


def configured(servers: Mapping[str, str]) -> Candidates:
    """Return the servers of the configuration as candidates, in its order."""
    return tuple(Candidate(server, address) for server, address in servers.items())


def primary_tags(service: str) -> tuple[str, str]:
    """Return the tags under which the name server knows the primary."""
    return f"service:{service}", "role:primary"


def with_named_primary(
    candidates: Candidates, found: Iterable[NamedObject]
) -> tuple[Candidates, Candidate | None]:
    """Return the candidates, and whom of them the name server calls the primary."""
    for named in found:
        if named.object_id.startswith(ACCOUNT_ID):
            primary = Candidate(named.object_id.removeprefix(ACCOUNT_ID), named.address)
            return (candidates if primary in candidates else (*candidates, primary)), primary
    return candidates, None
