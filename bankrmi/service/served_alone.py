"""What serves a class where it is alone in its pair, if the usual way costs too much for it (ADR 52).

    class Account(bankrmi.Service):
        served_alone = ServedAlone(state_machine="bankrmi.bank.accounts:Accounts", ...)

Rule 1: it is the class's own: who inherits from it has other methods, and is served as any class.
Rule 2: beside other services it is run as any class, so that they can call it in their updates. What the two
        ways keep on the disk differs, and neither opens what the other has left there.
Rule 3: each part is named, as "module:name", and loaded by whoever needs it: the server, or the client.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from bankrmi.errors import ConfigurationError

__all__ = ["ServedAlone", "load_part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAlone:
    """The parts that a class brings, which do together what its methods say."""

    state_machine: str
    """In the place of `ServiceMachine`: a `storage.state_machine.StateMachine`, with its own undo, its own
    way to the disk, and its own form of what it decides. It is made with the balances of the ledger file,
    where `create` takes them, and else with nothing.
    """
    remote_object: str
    """In the place of `ServiceObject`: what clients call. It is made as `server.account.AccountObject` is."""
    client: str
    """In the place of `ServiceClient`: what `bankrmi.connect` returns. It has the methods of the class."""
    async_client: str
    """The same of `bankrmi.aio.connect`."""
    noted_as: str | None
    """What its database says that it holds, in the place of the class's name; None: nothing. Those of banks
    say nothing, as they have from the beginning."""


def load_part(named: str) -> Any:
    """Return one of them; raises ConfigurationError."""
    module, _, name = named.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{named}, a part of a class served alone, is not there: {error}") from None
