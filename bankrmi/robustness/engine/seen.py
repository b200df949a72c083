"""What databases were in the course of a run, as far as somebody looked: for report and failovers.  Pure.

Rule: nothing is noted twice; what is noted is the change, at the look that saw it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from bankrmi.patroni.asking import DatabaseSituation
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.roles import Lead

__all__ = ["SeenDatabases"]

_HISTORY = "of the database"


class SeenDatabases:
    """All that was seen of them; looks may come from several threads."""

    def __init__(self, names: Sequence[str]) -> None:
        self.led: list[Lead] = []
        """Which of them led, and since when."""
        self.views: list[View] = []
        """The same with who was in sync, as the report has it for servers: the epoch is the timeline."""
        self._names = tuple(names)
        self._said: list[tuple[int, str, dict[str, Any]]] = []
        self._was: dict[str, dict[str, Any]] = {}
        self._looking = threading.Lock()

    def look(self, situation: DatabaseSituation, *, at_ns: int, at_us: int) -> None:
        """Take what was seen at this moment, by either clock."""
        with self._looking:
            for name in self._names:
                event = {"event": _role(name, situation), "epoch": situation.timeline}
                if self._was.get(name, {}).get("event") != event["event"]:
                    self._was[name] = event
                    self._said.append((at_ns, name, event))
            if situation.primary is not None:
                self._note_view(situation.primary, situation, at_ns, at_us)

    def _note_view(self, primary: str, situation: DatabaseSituation, at_ns: int, at_us: int) -> None:
        newest = self.views[-1] if self.views else None
        timeline, in_sync = situation.timeline, frozenset({primary, *situation.in_sync})
        if newest is not None and timeline < newest.epoch:
            return  # Of a moment before: another look was faster.
        if newest is None or (primary, timeline, in_sync) != (newest.primary, newest.epoch, newest.in_sync):
            members = {name: name for name in in_sync}
            self.views.append(
                View(
                    history=_HISTORY,
                    epoch=timeline,
                    primary=primary,
                    start_id=primary,
                    in_sync=in_sync,
                    incarnations=members,
                    written_us=at_us,
                )
            )
        if newest is None or primary != newest.primary:
            self.led.append(Lead(server=primary, epoch=timeline, at_ns=at_ns))

    def said_by(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what one of them was, as the log of a server would have told it."""
        yield from ((at_ns, event) for at_ns, one, event in self._said if one == name)


def _role(name: str, situation: DatabaseSituation) -> str:
    """Return the event by which the log of a server tells what it is by now."""
    if name == situation.primary:
        return "primary"
    said = situation.said.get(name)
    if said is None:
        return "stopped"
    return "standby" if name in situation.in_sync else "joining"
