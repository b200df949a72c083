"""Who may be asked, and who probably leads: shared by both clients.

Rule 1: names are a hint. Without the name server the client begins with the first server configured.
Rule 2: the configured servers are where a client starts. Another one is asked only if one of them names it as
        the primary; or if none of them could answer, and the name server has it.
Rule 3: what is learned so is a name that only a server of the bank can hold, and nothing that a configuration
        file could not name, too (V12).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bankrmi.client.decisions import Candidate, candidate_of
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.config import Configuration, check_learned, load, of_nameserver
from bankrmi.errors import ConfigurationError
from bankrmi.rmi import Failure, NamedObject

if TYPE_CHECKING:  # It loads what a bank's client has no use for.
    from bankrmi.service.declaring import Description
    from bankrmi.service.served_alone import ServedAlone

__all__ = [
    "MOST_SERVERS",
    "Candidates",
    "configuration_of",
    "configured",
    "learned",
    "merged",
    "named_primary",
    "primary_tag",
    "served_alone",
    "service_beside",
    "service_called",
    "service_tag",
    "what_to_connect",
    "why_no_names",
]

Candidates = tuple[Candidate, ...]

MOST_SERVERS = 64
"""That are learned; a name server that has more of them is not ours."""


def configuration_of(
    configuration: str | Path | Configuration | None,
    nameserver: str | None,
    *,
    insecure: bool,
    certificates: str | Path | None = None,
) -> Configuration:
    """Return what a client was told, loaded if it was a file's path; raises ConfigurationError."""
    if nameserver is not None:
        if configuration is not None:
            raise ConfigurationError("say where the configuration is, or where the name server is, not both")
        folder = None if certificates is None else Path(certificates)
        return of_nameserver(nameserver, insecure=insecure, certificates=folder)
    if certificates is not None:
        raise ConfigurationError("where the certificates are, the configuration says")
    if isinstance(configuration, Configuration):
        return configuration
    try:
        path = None if configuration is None else Path(configuration)
    except TypeError:
        raise ConfigurationError(f"neither a configuration nor its path: {configuration!r:.80}") from None
    return load(path, insecure=insecure)


def what_to_connect(
    first: object,
    configuration: str | Path | Configuration | None,
    nameserver: str | None,
    *,
    insecure: bool,
    certificates: str | Path | None = None,
) -> tuple[type | None, Configuration]:
    """Return the class, if that is what a client begins with, and the configuration, loaded.

    Raises ConfigurationError.
    """
    kind = first if isinstance(first, type) else None
    if kind is None and first is not None:
        if configuration is not None:
            raise ConfigurationError("say which class it is first, and then where the configuration is")
        configuration = first  # type: ignore[assignment]  # What it is, is looked at now.
    return kind, configuration_of(configuration, nameserver, insecure=insecure, certificates=certificates)


def service_called(configuration: Configuration, kind: type | None, service: str | None = None) -> str | None:
    """Return the name of the service that is called with this class; None if only the servers know it.

    `service` is the name that the caller has said. Raises ConfigurationError if it is known that it is not
    this class, or a bank, that is served; or if several services could be meant.
    """
    if kind is None and service is not None:
        raise ConfigurationError("a service is called by its class: say connect(Class, ..., service=...)")
    served = configuration.services
    if not served:
        return service  # `bankrmi serve` may have said it.
    where, what = configuration.path, configuration.serves_in_words
    classes = {name: target.partition(":")[2] for name, target in served.items()}
    if kind is None:
        which = next(iter(classes.values())) if len(classes) == 1 else "Class"
        such = "that class" if len(classes) == 1 else "one of these classes"
        raise ConfigurationError(
            f"{where} serves {what}, and no accounts: say connect({which}, ...), with {such}"
        )
    found = [name for name, its in classes.items() if its == kind.__name__]
    if service is not None and service not in served:
        raise ConfigurationError(f"{where} serves {what}, and nothing that is called {service!r:.80}")
    if service is not None and service not in found:
        raise ConfigurationError(f"{where} serves {served[service]} as {service}, and not {kind.__name__}")
    if not found:
        raise ConfigurationError(f"{where} serves {what}, and not {kind.__name__}")
    if service is None and len(found) > 1:
        raise ConfigurationError(
            f"{where} serves {kind.__name__} as {', '.join(found)}: say which, with "
            f"connect({kind.__name__}, ..., service={found[0]!r})"
        )
    return service or found[0]


def served_alone(
    configuration: Configuration, description: Description, service: str | None = None
) -> ServedAlone | None:
    """Return what the class brings to be served alone, if it is; `service` is the name that the caller has
    said.

    Whoever knows the name server only says a name for what stands beside other services. Raises
    ConfigurationError if there is nothing of that name.
    """
    alone = None if configuration.services else description.served_alone
    if alone is None or service is None:
        return alone
    if not configuration.servers:
        return None
    if service != configuration.service:
        raise ConfigurationError(
            f"{configuration.path} serves {description.name} as {configuration.service}, and nothing that is "
            f"called {service!r:.80}"
        )
    return alone


def configured(servers: Mapping[str, str]) -> Candidates:
    """Return the servers of the configuration as candidates, in its order."""
    return tuple(Candidate(server, address) for server, address in servers.items())


def service_tag(service: str) -> str:
    """Return the tag under which the name server knows all servers."""
    return f"service:{service}"


def primary_tag() -> str:
    """Return the tag that the name server gives to the one that leads."""
    return "role:primary"


def named_primary(candidates: Candidates, found: Iterable[NamedObject]) -> Candidate | None:
    """Return which of the candidates the name server calls the primary, if any.

    Servers whose accounts are in a database (`engine`) are all called so: then it is any of them.
    """
    named = (candidate_of(candidates, _server_of(one), one.address) for one in found if _leads(one))
    leading = [one for one in named if one is not None]
    return random.choice(leading) if len(leading) > 1 else next(iter(leading), None)


def learned(found: Iterable[NamedObject], *, insecure: bool) -> tuple[Candidates, str]:
    """Return the servers among the names, and why one was left out (empty if none was)."""
    servers: list[Candidate] = []
    why = ""
    for one in found:
        server = _server_of(one)
        if server is None or len(servers) >= MOST_SERVERS:
            continue
        objection = check_learned(server, one.address, insecure=insecure)
        if objection:
            why = why or objection
        else:
            servers.append(Candidate(server, one.address))
    return tuple(servers), why


def merged(known: Candidates, servers: Candidates) -> Candidates:
    """Return those that are known, and then the others; one that has moved is asked where it was, too."""
    return (*known, *(one for one in servers if one not in known))[:MOST_SERVERS]


def why_no_names(nameserver: str, error: Exception) -> str:
    """Return why nothing was learned, without the words of whoever answered there."""
    reason = error.reason if isinstance(error, Failure) else "it answered with an error"
    return f"the name server at {nameserver} does not say who the servers are: {reason}"


def _leads(named: NamedObject) -> bool:
    return primary_tag() in named.tags


def _server_of(named: NamedObject) -> str | None:
    """Return whose account object it is; None for a name that is not that of its object."""
    if named.name != named.object_id or not named.object_id.startswith(ACCOUNT_ID):
        return None
    return named.object_id.removeprefix(ACCOUNT_ID).partition(".")[0]


def service_beside(found: Iterable[NamedObject], known: str) -> str:
    """Return the service of these names, as objects have it: nothing for the first one of a pair; `known`, if
    there are none."""
    for one in found:
        if _server_of(one) is not None:
            return one.object_id.removeprefix(ACCOUNT_ID).partition(".")[2]
    return known
