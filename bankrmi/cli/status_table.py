"""The status as a person reads it: the view in a sentence, what is wrong, each server, and remarks.

Rule 1: everything shown is in the dictionary of `client.overview`; nothing is asked for here.
Rule 2: what servers say of themselves is foreign text: whoever answers at an address may say anything.
Rule 3: what has to be seen from across the room comes before the servers, over the whole width.
Rule 4: a narrow terminal gets some lines for each server in the place of a table, as many as it has room for.
Rule 5: where the end may be cut off (a narrow terminal, a watched one), the reasons come before the servers.
Rule 6: no colour says anything that a word does not say, too: there may be none (NO_COLOR).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from itertools import combinations
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.health import (
    Status,
    begun,
    findings,
    health,
    keeper_of,
    keeper_tells,
    missed,
    pause_in_words,
    unanswered,
)
from bankrmi.foreign_text import foreign
from bankrmi.moments import end_in_words
from bankrmi.written_over import is_dumb

__all__ = ["Changed", "Status", "StatusTable", "standard_output"]

Changed = Collection[tuple[str, str]]
"""Of which server, which value: what has changed lately. ("", "view") is the view."""

_TABLE_COLUMNS = 78
_CERTIFICATE_DAYS = 30
_LOST_MEMORY = (
    "holds no view, though the servers hold accounts: it has lost its memory, and nobody can take over; "
    "run `bankrmi witness restore`"
)
_CHANGED = "bold reverse"
_CELL_CUT_AT = 60
_ALARM = "bold white on red"
_ROLES = {
    "primary": "bold green",
    "standby": "cyan",
    "starting": "yellow",
    "joining": "yellow",
    "silent": "bold red",
    "away": "bold red",
}
_VERDICTS: dict[int, str] = {ExitCode.DONE: "green", HealthCode.NOBODY_COULD_TAKE_OVER: "yellow"}
_PIPE_COLUMNS = 200
"""A pipe has no edge to break lines at."""
_ALARMING = (HealthCode.NOBODY_LEADS, HealthCode.NOTHING_ACKNOWLEDGED, HealthCode.ONE_COPY)


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


def standard_output() -> Console:
    """Return rich's view of it: as wide as it is, and obeyed as far as it obeys."""
    if is_dumb():  # rich takes it for one of 80 columns, whatever it is.
        columns, rows = shutil.get_terminal_size()
        console = Console(color_system=None, width=columns, height=rows)
    else:
        console = Console()
    if not sys.stdout.isatty():
        console.width = _PIPE_COLUMNS
    return console


class StatusTable:
    """One status, for rich to print."""

    def __init__(self, status: Status, changed: Changed = (), *, watched: bool = False) -> None:
        """`watched`: on one screen, which is written over, and says whether all is well."""
        self._status = status
        self._changed = changed
        self._watched = watched

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        narrow = options.max_width < _TABLE_COLUMNS
        in_colour = console.color_system is not None
        alarms = [Padding(Text(one), style=_ALARM, expand=in_colour) for one in _alarms(self._status)]
        said: list[RenderableType] = [self._headline(), *alarms]
        code, sentence = health(self._status)
        if self._watched and not alarms:
            said.append(Text(sentence, style=_VERDICTS.get(code, _ALARM)))
        remarks: list[RenderableType] = [
            Text(one) for one in _remarks(self._status) if not (self._watched and one == sentence)
        ]
        if narrow or self._watched:
            said += remarks
            remarks = []
        yield from said
        if narrow:
            used = sum(len(console.render_lines(one, options)) for one in said)
            # A screen that is not watched has a prompt below.
            rows = console.height - used - (not self._watched) if console.is_terminal else None
            yield from self._blocks(rows)
        else:
            yield self._table()
        yield from remarks

    def _shown(self, server: str, key: str, text: str, style: str = "") -> Text:
        return Text(text, style=_CHANGED if (server, key) in self._changed else style)

    def _cell(self, server: Status, key: str, shown: Callable[[object], str]) -> Text:
        value = _value(server, key)
        style = _ROLES.get(value, "") if key == "role" and isinstance(value, str) else ""
        if key == "lag" and value:
            style = "yellow"
        return self._shown(server["server"], key, shown(value), style)

    def _headline(self) -> Text:
        view, services = self._status["view"], self._status.get("services") or {}
        named = f"service {self._status['service']}"
        if len(services) > 1:
            named = f"services {', '.join(map(_text, services))}"
        if view is None:
            return Text(f"{named}: no view is known")
        in_sync = ", ".join(map(_text, view["in_sync"]))
        epoch, primary, history = (_text(view[key]) for key in ("epoch", "primary", "history"))
        told = f"epoch {epoch}, primary {primary}, in sync {in_sync}, history {history}"
        return Text(f"{named}: ").append_text(self._shown("", "view", told))

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        for key, title, _ in _COLUMNS:
            on_the_left = key in {"server", "role", "address"}
            table.add_column(title, justify="left" if on_the_left else "right", overflow="fold")
        for server in self._status["servers"]:
            table.add_row(*(self._cell(server, key, shown) for key, _, shown in _COLUMNS))
        return table

    def _blocks(self, rows: int | None) -> Iterator[Text]:
        """Yield some lines for each server: as many as fit into `rows`, the first ones of each."""
        blocks = [list(self._block(server)) for server in self._status["servers"]]
        tallest = max(map(len, blocks))
        while rows is not None and tallest > 1 and sum(min(len(one), tallest) for one in blocks) > rows:
            tallest -= 1
        for block in blocks:
            yield from block[:tallest]

    def _block(self, server: Status) -> Iterator[Text]:
        cells = {key: self._cell(server, key, shown) for key, _, shown in _COLUMNS}
        yield Text.assemble((server["server"], "bold"), " ", cells["role"], " at ", cells["address"])
        if server["reachable"]:
            yield Text.assemble("  in sync: ", cells["in_sync"], ", entry ", cells["action_id"])
            yield Text.assemble("  acknowledged ", cells["acknowledged"], ", lag ", cells["lag"])
            yield Text.assemble("  epoch ", cells["epoch"], ", lease ", cells["read_lease_ms"], " ms")
            yield Text.assemble("  pid ", cells["pid"], ", in role for ", cells["role_for_ms"])


def _value(server: Status, key: str) -> Any:
    if key == "role" and not server["reachable"]:
        return "denied" if "denied" in server else "silent" if server.get("silent") else "away"
    return server.get(key)


def _alarms(status: Status) -> list[str]:
    """Return what nobody may overlook."""
    view = status["view"]
    if view is None:
        forgotten = keeper_tells(status) and begun(status)
        return [f"{keeper_of(status)} {_LOST_MEMORY}"] if forgotten else []
    found = list(findings(status))
    alarms = [sentence for code, sentence in found if code in _ALARMING]
    if not any(code == HealthCode.NOTHING_ACKNOWLEDGED for code, _ in found) and (waiting := missed(status)):
        alarms.append(f"nothing will be acknowledged without {', '.join(waiting)}, until the view changes")
    return alarms


def _remarks(status: Status) -> list[str]:
    servers = status["servers"]
    remarks = []
    copies = len(status["view"]["in_sync"]) if status["view"] is not None else 0
    if copies > 1 and not missed(status):
        remarks.append(f"{copies} copies hold every acknowledged entry")
    if paused := pause_in_words(status):
        remarks.append(f"{paused}; `bankrmi resume` ends it")
    remarks += [
        f"there is no handshake with {', '.join(one['who'])}: {foreign(one['why'])}"
        for one in status.get("denials", ())
    ]
    if not status["witness"]["reachable"] and "denied" not in status["witness"]:
        remarks.append(unanswered(status))
        if status.get("view_from"):
            remarks.append(f"the view is what {status['view_from']} says")
    elif status["witness"]["reachable"] and "denied" in status["witness"]:
        whose = status.get("view_from")
        told = f"the view is what {whose} says" if whose else "the view is not known"
        if status["witness"].get("lets_us_in") is False:
            remarks.append(told)
        else:
            why = f" ({foreign(status['why_client'], 300)})" if status.get("why_client") else ""
            remarks.append(f"the witness tells operators only, and a client asked{why}: {told}")
    if not status["nameserver"]["reachable"] and "denied" not in status["nameserver"]:
        remarks.append("the name server cannot be reached: clients use the addresses of the configuration")
    remarks += _silent_members(status["witness"])
    for server in servers:
        if not server["reachable"] and "denied" not in server and server.get("reason"):
            remarks.append(f"{server['server']} is {_value(server, 'role')}: {server['reason']}")
        if server["reachable"] and server.get("why"):
            remarks.append(f"{server['server']} is {server['role']}: {server['why']}")
        if server["reachable"] and server.get("migration"):
            remarks.append(foreign(server["migration"], 1200))
        if server.get("listens_at") not in (None, server["address"]):
            remarks.append(f"{server['server']} listens at {_text(server['listens_at'])}")
        if server.get("slow_ms"):
            remarks.append(f"{server['server']} is slow: it took {server['slow_ms']} ms to answer")
    return [*remarks, *_folded(status), *_broken_links(status), *_open_doors(status)]


def _folded(status: Status) -> list[str]:
    """Return from which action id on servers keep the journal, where they do not keep it whole."""
    begin = [(one["server"], one.get("journal_from")) for one in status["servers"]]
    from_where = [
        f"{_text(server)} from action id {at}" for server, at in begin if type(at) is int and at > 1
    ]
    return [f"the journal is kept by {', '.join(from_where)} on"] if from_where else []


def _open_doors(status: Status) -> list[str]:
    """Return where nobody has to prove who he is, and whose certificates end soon."""
    remarks = []
    if addresses := status.get("open_to_strangers"):
        remarks.append(f"{', '.join(addresses)} can be reached by others, who need not prove who they are")
    remarks += [
        f"the certificate of {whose}, or its authority's, {end_in_words(days)}: see `bankrmi cert list`"
        for whose, days in _certificates(status)
        if isinstance(days, int) and days < _CERTIFICATE_DAYS
    ]
    return remarks


def _certificates(status: Status) -> Iterator[tuple[str, object]]:
    """Yield whose certificates are known here, and for how many days each counts."""
    for server in status["servers"]:
        yield server["server"], server.get("certificate_days")
    witness, nameserver = status["witness"], status["nameserver"]
    yield "the name server", nameserver.get("certificate_days")
    if witness.get("address") != nameserver.get("address"):
        yield "the witness", witness.get("certificate_days")
    own = status.get("own_certificate")
    if own is not None:
        yield f"the {own['holder']}, who asks", own["days"]


def _silent_members(witness: Status) -> list[str]:
    """Return which members of etcd do not answer, where others do."""
    members = witness.get("members", ())
    silent = [one["address"] for one in members if not one["reachable"]]
    if not silent or len(silent) == len(members):
        return []
    do = "does" if len(silent) == 1 else "do"
    return [f"{len(silent)} of {len(members)} members of etcd {do} not answer: {', '.join(silent)}"]


def _broken_links(status: Status) -> list[str]:
    """Return who of those that can be asked does not reach whom."""
    known = [one for one in status["servers"] if one["reachable"] and one.get("connected") is not None]
    told = []
    for one, other in combinations(known, 2):
        there = other["server"] in one["connected"]
        back = one["server"] in other["connected"]
        if not there and not back:
            told.append(f"{one['server']} and {other['server']} do not reach each other")
        elif not there or not back:
            near, far = (one, other) if not there else (other, one)
            told.append(f"{near['server']} does not reach {far['server']}")
    if status["witness"]["reachable"]:
        told += [
            f"{one['server']} does not reach {keeper_of(status)}"
            for one in known
            if one.get("witness_silent_ms")
        ]
    return told
