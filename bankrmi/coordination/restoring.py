"""How the witness is restored: ask everybody, let `restore` decide, propose what it says.  For operators.

Rule 1: only a witness that answers, and holds no view, is restored.
Rule 2: each server is told to hold still; it answers nobody until there is a view, so nothing that was seen
        here changes before the view that rests on it is made.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

from bankrmi.config import Configuration
from bankrmi.coordination.restore import Holding, NoSafeView, SafeView, decide
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError, OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.replication.forms import holdings_of
from bankrmi.replication.view import View
from bankrmi.rmi import Failure, RemoteError, connect, handshake

__all__ = ["OPERATOR_ID", "Findings", "apply", "gather"]

OPERATOR_ID = "bankrmi.operator."
"""What the ids of operator objects begin with; the name of the server follows."""

_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What each server holds, or why it could not be asked; and what follows from that."""

    answers: Mapping[str, Holding | str]
    verdict: SafeView | NoSafeView


def gather(configuration: Configuration, *, given_up: Collection[str] = ()) -> Findings:
    """Ask the witness and all servers; raises OperationFailed if the witness needs no restoring."""
    view = _call_witness(configuration, "read", [configuration.service])
    if view is not None:
        epoch = foreign(view["epoch"] if isinstance(view, dict) else view)
        raise OperationFailed(f"there is nothing to restore: the witness holds a view (epoch {epoch})")
    names = list(configuration.servers)
    with ThreadPoolExecutor(len(names)) as pool:
        told = pool.map(lambda name: _holding(name, configuration.servers[name]), names)
        answers = dict(zip(names, told, strict=True))
    verdict = decide(names, answers, new_history=secrets.token_hex(8), given_up=given_up)
    return Findings(answers=answers, verdict=verdict)


def apply(configuration: Configuration, view: View) -> View:
    """Propose the view; raises OperationFailed if there is one meanwhile."""
    answer = _call_witness(configuration, "propose", [configuration.service, None, view.to_wire()])
    try:
        won, holds = bool(answer["won"]), View.from_wire(answer["view"])
    except (KeyError, TypeError, ValueError):
        raise OperationFailed(
            f"the witness at {configuration.witness} answered what cannot be read"
        ) from None
    if not won:
        raise OperationFailed(f"the witness holds a view meanwhile (epoch {holds.epoch})")
    return holds


def _call_witness(configuration: Configuration, method: str, args: list[object]) -> Any:
    try:
        with connect(configuration.witness, WITNESS_ID, handshake("operator"), _SECONDS) as connection:
            return connection.call(method, args, timeout=_SECONDS)
    except (Failure, RemoteError) as error:
        raise OperationFailed(f"the witness at {configuration.witness} does not answer: {error}") from error


def _holding(server: str, address: str) -> Holding | str:
    try:
        with connect(address, OPERATOR_ID + server, handshake("operator"), _SECONDS) as connection:
            return _read(connection.call("hold_still", timeout=_SECONDS))
    except (Failure, RemoteError, BankError) as error:
        return str(error)
    except ValueError:
        return "it answered what cannot be read"


def _read(form: Any) -> Holding:
    told = holdings_of(form)
    return Holding(**{field.name: getattr(told, field.name) for field in fields(Holding)})
