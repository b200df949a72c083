"""What every server, the witness and the name server say of themselves, asked side by side.

Rule 1: whoever is down is reported as such and keeps nobody waiting for longer than half a second.
Rule 2: the view is the witness's; where it cannot be asked, that of the server with the newest one,
        and `view_from` says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bankrmi.client.asking import ask_once
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.config import Configuration
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError
from bankrmi.foreign_text import foreign
from bankrmi.rmi import NAMESERVER_NAME

__all__ = ["overview", "view_fields"]

_SECONDS = 0.5

_Told = Mapping[str, Any]

_UNKNOWN = dict.fromkeys(
    ("role", "pid", "epoch", "action_id", "acknowledged", "digest", "lag", "read_lease_ms", "role_for_ms")
)


def overview(configuration: Configuration) -> dict[str, Any]:
    """Return the status of the whole bank, in the shape of `bankrmi status --json`."""
    with ThreadPoolExecutor(len(configuration.servers) + 2) as pool:
        asked = {
            name: pool.submit(ask_once, address, ACCOUNT_ID + name, "status", seconds=_SECONDS)
            for name, address in configuration.servers.items()
        }
        witness = pool.submit(
            ask_once, configuration.witness, WITNESS_ID, "read", [configuration.service], seconds=_SECONDS
        )
        names = pool.submit(ask_once, configuration.nameserver, NAMESERVER_NAME, "ping", seconds=_SECONDS)
    told = {name: _told(one) for name, one in asked.items()}
    view, view_from = _view(_told(witness), told)
    return {
        "service": configuration.service,
        "view": view,
        "view_from": view_from,
        "servers": [
            _server(name, address, told[name], view) for name, address in configuration.servers.items()
        ],
        "witness": _reachable(configuration.witness, witness),
        "nameserver": _reachable(configuration.nameserver, names),
    }


def _told(asked: Future[Any]) -> _Told | str:
    """Return what was answered, or the reason why nothing was."""
    try:
        answer = asked.result()
    except BankError as error:
        return error.message
    return answer if isinstance(answer, dict) else {}


def _reachable(address: str, asked: Future[Any]) -> dict[str, Any]:
    told = _told(asked)
    if isinstance(told, str):
        return {"reachable": False, "address": address, "reason": told}
    return {"reachable": True, "address": address}


def _view(
    witness: _Told | str, servers: Mapping[str, _Told | str]
) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(witness, dict):
        # It was reached, so that it holds none is the truth, whatever the servers remember.
        return (view_fields(witness), "witness") if witness else (None, "witness")
    views = {
        name: view_fields(told)
        for name, told in servers.items()
        if isinstance(told, dict) and told.get("role") == "primary" and isinstance(told.get("epoch"), int)
    }
    if not views:
        return None, None
    name = max(views, key=lambda one: views[one]["epoch"])
    views[name]["primary"] = name
    return views[name], name


def view_fields(told: _Told) -> dict[str, Any]:
    """Return what a view is made of, each of its kind, whatever was told."""
    view: dict[str, Any] = {name: _scalar(told.get(name)) for name in ("history", "epoch", "primary")}
    in_sync = told.get("in_sync")
    view["in_sync"] = sorted(map(str, in_sync)) if isinstance(in_sync, list | tuple) else []
    return view


def _scalar(value: object) -> str | int | None:
    """Return the value if it is one that a view has; a server that is none may say anything."""
    return value if value is None or isinstance(value, str | int) else foreign(value)


def _server(name: str, address: str, told: _Told | str, view: _Told | None) -> dict[str, Any]:
    known = {"server": name, **_UNKNOWN}
    if isinstance(told, str):
        known |= {"reachable": False, "reason": told}
    else:
        known |= {**told, "server": name, "reachable": True}
    if view is not None:
        known["in_sync"] = name in view["in_sync"]
    elif not isinstance(known.get("in_sync"), bool):
        known["in_sync"] = None
    return {**known, "address": address}
