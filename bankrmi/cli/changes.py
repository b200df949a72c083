"""What has changed since the look before, in a line each: `status -w` where there is no screen.  Pure.

Rule: what changes all the time (action ids, leases, how far a copy has come) is no line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bankrmi.cli.health import Status, health
from bankrmi.cli.looks import Change, Look
from bankrmi.foreign_text import foreign

__all__ = ["Changes"]


class Changes:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._view: tuple[object, object] | None = None
        self._standings: dict[str, tuple[object, ...]] | None = None
        self._verdict = ""

    def take(self, look: Look) -> list[str]:
        """Return a line for each change; of the first look only whether all is well."""
        return [
            *self._of_the_view(look.changes),
            *self._of_processes(look.status),
            *self._of_all(look.status),
        ]

    def _of_the_view(self, changes: tuple[Change, ...]) -> Iterator[str]:
        known, self._view = self._view, _key(changes[-1]) if changes else self._view
        if known is None or known == self._view:
            return
        keys = [_key(one) for one in changes]
        for change in changes[keys.index(known) + 1 if known in keys else 0 :]:
            _, epoch, primary, in_sync, why, by = change.row
            yield f"epoch {epoch}: primary {primary}, in sync {in_sync}: {why} (by {by})"

    def _of_processes(self, status: Status) -> Iterator[str]:
        parts = {one["server"]: one for one in status["servers"]}
        parts |= {"the witness": status["witness"], "the name server": status["nameserver"]}
        before, self._standings = self._standings, {name: _standing(one) for name, one in parts.items()}
        if before is None:
            return
        for name, standing in self._standings.items():
            if standing != before.get(name):
                yield f"{name}: {_in_words(parts[name])}"
        yield from (f"{name} is no server of the bank any more" for name in before if name not in parts)

    def _of_all(self, status: Status) -> Iterator[str]:
        _, verdict = health(status)
        if verdict != self._verdict:
            self._verdict = verdict
            yield verdict


def _key(change: Change) -> tuple[object, object]:
    return change.history, change.epoch


def _standing(one: Status) -> tuple[object, ...]:
    if not one["reachable"]:
        return (False, one.get("silent"))
    return (True, one.get("role"), one.get("pid"))


def _in_words(one: dict[str, Any] | Status) -> str:
    if not one["reachable"]:
        return f"{'silent' if one.get('silent') else 'away'}: {foreign(one.get('reason'))}"
    if "role" not in one:
        return "it answers"
    why = f": {foreign(one['why'])}" if one.get("why") else ""
    return f"{foreign(one['role'])}, pid {foreign(one.get('pid'))}{why}"
