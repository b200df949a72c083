"""What happened, in words, for a trace."""

from __future__ import annotations

from typing import Any

from bankrmi.robustness.exhaustive import client
from bankrmi.robustness.exhaustive.server import NAMES, Servers, start_id
from bankrmi.robustness.exhaustive.state import Label
from bankrmi.robustness.in_words import message_in_words, view_in_words

__all__ = ["in_words"]


def in_words(servers: Servers, label: Label) -> str:
    """Return one event in one line."""
    if isinstance(label[0], int):
        place, happening, *rest = label
        return " ".join([f"{NAMES[place]} {_happening(servers, place, happening)}", *rest])
    match label:
        case ("time passes",):
            return "half a lease passes"
        case ("the witness decides" | "the witness decides late" as what, place, number):
            who = "somebody's" if place is None else f"{NAMES[place]}'s"
            return f"{what} {who} proposal: {view_in_words(servers.kept[number])}"
        case ("the client waits no longer", place, request):
            return f"the client waits no longer for {NAMES[place]} to answer {client.in_words(request)}"
        case ("the request is late", place, request):
            return f"the client takes {client.in_words(request)} to {NAMES[place]} for lost, and it is late"
        case ("lost", place, number):
            return f"lost on the connection of {NAMES[place]}: {message_in_words(servers.kept[number])}"
        case ("the connection breaks", place):
            return f"the connection of {NAMES[place]} to {NAMES[1 - place]} breaks"
    return f"{NAMES[label[1]]} {label[0]}"


def _happening(servers: Servers, place: int, happening: tuple[Any, ...]) -> str:
    kept, other = servers.kept, NAMES[1 - place]
    match happening:
        case ("message", number) | ("answer", number):
            return f"gets from {other}: {message_in_words(kept[number])}"
        case ("ask", request):
            return f"gets {client.in_words(request)}"
        case ("proceed",):
            return "forms a group, or confirms a read"
        case ("tick", ms):
            return f"ticks, {ms:.0f} ms later"
        case ("link up", boot):
            return f"is connected to {start_id(1 - place, boot)}"
        case ("link down",):
            return f"is told that its connection to {other} is lost"
        case ("probed", _, found):
            return (
                f"finds at the address of {other}: {found if isinstance(found, str) else f'process {found}'}"
            )
        case ("view", number, _):
            return f"reads the view: {view_in_words(kept[number])}"
        case ("proposed", number):
            return f"hears what became of its proposal: {view_in_words(kept[number])}"
        case ("silence", proposal):
            return f"hears nothing of its {'proposal' if proposal else 'reading of the view'}"
    return " ".join(map(str, happening))
