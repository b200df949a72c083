"""For stock Pyro5 programs without a front on their own machine: the first name server of several that
answers.

    PYRO_COMMTIMEOUT=2 python my_program.py       (else a machine that is off is waited for, for minutes)

A stock client knows one name server, and does not switch: when that is lost, the call raises
`CommunicationError`. Then call `locate_any` again; from then on `PYRONAME:` without an address goes to the
one that was found, too.
"""

from __future__ import annotations

from typing import Any

import Pyro5.api
from Pyro5.errors import NamingError

__all__ = ["locate_any"]


def locate_any(*addresses: str) -> Any:
    """Return a proxy of the first name server that answers; raise NamingError if none does."""
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            found = Pyro5.api.locate_ns(host, int(port))
        except NamingError:
            continue
        Pyro5.config.NS_HOST, Pyro5.config.NS_PORT = host, int(port)
        return found
    raise NamingError(f"no name server answers at {', '.join(addresses)}")
