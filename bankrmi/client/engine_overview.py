"""What servers say whose accounts are in a database (`engine`), asked side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bankrmi.client.asking import ask_once
from bankrmi.client.onlooker import Onlooker
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.config import Configuration
from bankrmi.database_url import database_in_words
from bankrmi.errors import BankError
from bankrmi.foreign_text import foreign
from bankrmi.rmi import NAMESERVER_NAME

__all__ = ["engine_overview"]

_SECONDS = 2.5


def engine_overview(configuration: Configuration) -> dict[str, Any]:
    """Return the status of all of it, in the shape of `bankrmi status --json`."""
    assert configuration.engine is not None
    onlooker = Onlooker.of(configuration)

    def asked(name: str, address: str, object_id: str, method: str) -> dict[str, Any]:
        row: dict[str, Any] = {"server": name, "address": address, "reachable": False}
        try:
            said = ask_once(
                address,
                object_id,
                method,
                seconds=_SECONDS,
                role=onlooker.role,
                credentials=onlooker.credentials,
            )
        except BankError as error:
            return row | {"reason": foreign(error.message)}
        known = {key: said.get(key) for key in _SHOWN} if isinstance(said, dict) else {}
        return row | {"reachable": True} | known

    with ThreadPoolExecutor(len(configuration.servers) + 1) as asking:
        servers = [
            asking.submit(asked, name, address, ACCOUNT_ID + name, "status")
            for name, address in configuration.servers.items()
        ]
        names = asking.submit(asked, "nameserver", configuration.nameserver, NAMESERVER_NAME, "ping")
        rows = [one.result() for one in servers]
    found = names.result()
    return {
        "service": configuration.service,
        "database": database_in_words(configuration.engine),
        "open_to_strangers": configuration.open_to_strangers(),
        "servers": rows,
        "nameserver": {key: found[key] for key in ("address", "reachable")}
        | ({} if found["reachable"] else {"reason": found["reason"]}),
    }


_SHOWN = ("role", "why", "pid", "database_answers", "retired_for", "history", "waiting")
"""What is shown of what a server says."""
