"""The status as a person reads it: the view in a sentence, a line for each server, what is out of reach.

Rule 1: everything shown is in the dictionary of `client.overview`; nothing is asked for here.
Rule 2: what servers say of themselves is foreign text: whoever answers at an address may say anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bankrmi.foreign_text import foreign

__all__ = ["Status", "status_table"]

Status = Mapping[str, Any]

_CHANGED = "bold reverse"
_CELL_CUT_AT = 60


def _text(value: object) -> str:
    return "-" if value is None else foreign(value, _CELL_CUT_AT)


def _yes(value: object) -> str:
    return "-" if value is None else "yes" if value else "no"


def _duration(value: object) -> str:
    if not isinstance(value, int | float):
        return "-"
    seconds = int(value) // 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


# Titles are broken so that the table fits into 80 columns.
_COLUMNS: tuple[tuple[str, str, Callable[[object], str]], ...] = (
    ("server", "server", _text),
    ("role", "role", _text),
    ("pid", "pid", _text),
    ("address", "address", _text),
    ("epoch", "epoch", _text),
    ("action_id", "action\nid", _text),
    ("acknowledged", "acknow-\nledged", _text),
    ("lag", "lag", _text),
    ("in_sync", "in\nsync", _yes),
    ("read_lease_ms", "lease\n(ms)", _text),
    ("role_for_ms", "in\nrole", _duration),
)
# They change all the time, so that their changes say nothing.
_RESTLESS = {"read_lease_ms", "role_for_ms"}


def status_table(status: Status, before: Status | None = None) -> Group:
    """Return the status for rich to print; what differs from `before` stands out."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for key, title, _ in _COLUMNS:
        table.add_column(
            title, justify="left" if key in {"server", "role", "address"} else "right", overflow="fold"
        )
    former = {server["server"]: server for server in before["servers"]} if before else {}
    for server in status["servers"]:
        table.add_row(*_cells(server, former.get(server["server"])))
    return Group(_headline(status, before), table, *_remarks(status))


def _cells(server: Status, former: Status | None) -> list[Text]:
    cells = []
    for key, _, shown in _COLUMNS:
        changed = former is not None and key not in _RESTLESS and server.get(key) != former.get(key)
        value = server.get(key)
        if key == "role" and not server["reachable"]:
            value = "away"
        cells.append(Text(shown(value), style=_CHANGED if changed else ""))
    return cells


def _headline(status: Status, before: Status | None) -> Text:
    view = status["view"]
    if view is None:
        return Text(f"service {status['service']}: no view is known")
    in_sync = ", ".join(map(_text, view["in_sync"]))
    epoch, primary, history = _text(view["epoch"]), _text(view["primary"]), _text(view["history"])
    changed = before is not None and before["view"] != view
    return Text(f"service {status['service']}: ").append(
        f"epoch {epoch}, primary {primary}, in sync {in_sync}, history {history}",
        style=_CHANGED if changed else "",
    )


def _remarks(status: Status) -> list[Text]:
    remarks = []
    if status["view"] is not None:
        copies = len(status["view"]["in_sync"])
        remarks.append(
            f"{copies} copies hold every acknowledged entry"
            if copies > 1
            else f"ONE COPY ONLY: what {_text(status['view']['primary'])} holds is all there is"
        )
    elif status["witness"]["reachable"] and any(server.get("epoch") for server in status["servers"]):
        remarks.append(
            "the witness holds no view, though the servers hold accounts: it has lost its memory, and nobody "
            "can take over; run `bankrmi witness restore`"
        )
    if not status["witness"]["reachable"]:
        remarks.append("the witness cannot be reached: no change of primary until it can")
        if status.get("view_from"):
            remarks.append(f"the view is what {status['view_from']} says")
    if not status["nameserver"]["reachable"]:
        remarks.append("the name server cannot be reached: clients use the addresses of the configuration")
    away = [server for server in status["servers"] if not server["reachable"] and server.get("reason")]
    remarks += [f"{server['server']} is away: {server['reason']}" for server in away]
    waited_for = [server["server"] for server in status["servers"] if _is_missed(server)]
    if waited_for:
        remarks.append(f"nothing is acknowledged without {', '.join(waited_for)}, until the view changes")
    return [Text(remark) for remark in remarks]


def _is_missed(server: Status) -> bool:
    """Whether a copy counts and cannot be reached: for a moment, or for as long as the witness is away."""
    return bool(server.get("in_sync")) and not server["reachable"]
