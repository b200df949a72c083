"""What serves a class where it is alone in its pair, if the usual way costs too much for it (ADR 52).

    class Tally(bankrmi.Service):
        served_alone = ServedAlone(state_machine="tally_machine:TallyMachine")

Each part is named, as "module:name", and loaded by whoever needs it: the server, or the client.

Rule 1: it is the class's own: who inherits from it has other methods, and is served as any class.
Rule 2: beside other services it is run as any class, so that they can call it in their updates. What the two
        ways keep on the disk differs, and neither opens what the other has left there.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from bankrmi.errors import ConfigurationError

__all__ = ["ServedAlone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAlone:
    """The parts that a class brings."""

    state_machine: str
    """In the place of `ServiceMachine`: makes a `storage.state_machine.StateMachine`, with its own undo, its
    own way to the disk, and its own form of what it decides. It is called with nothing; with the balances of
    the ledger, if that is what `create` takes.
    """
    remote_object: str | None = None
    """In the place of `ServiceObject`: what clients call (see `server.client_objects`). None: methods of the
    class, by name, of which the state machine gets one call at a time (see `calls`).
    """
    client: str | None = None
    """In the place of `ServiceClient`: what `bankrmi.connect` returns. None: with the remote object of any
    class.
    """
    async_client: str | None = None
    """The same of `bankrmi.aio.connect`."""

    @staticmethod
    def load(named: str) -> Any:
        """Return what is named; raises ConfigurationError."""
        module, _, name = named.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigurationError(f"served_alone names {named}, and that cannot be loaded: {error}") from None
