"""What the members of the database say of themselves, asked of Patroni beside each.

Rule: who does not answer in time is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bankrmi.foreign_text import foreign
from bankrmi.patroni.http import asked_http, login
from bankrmi.patroni.members import DatabaseMembers, DatabasePlace

__all__ = ["DatabaseSituation", "database_situation", "switch_database_over"]

_ANSWER_S = 1.5
_SWITCHOVER_S = 15.0
_PRIMARY = ("master", "primary")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSituation:
    """What each member said of itself; those that did not answer are missing."""

    said: Mapping[str, Mapping[str, Any]]

    @property
    def primary(self) -> str | None:
        """Return who takes changes, as he says himself; of two, who is on the newer timeline."""
        leads = [
            (self._timeline(one), name)
            for name, one in self.said.items()
            if one.get("role") in _PRIMARY and one.get("state") == "running"
        ]
        return max(leads)[1] if leads else None

    @property
    def timeline(self) -> int:
        """Return the newest timeline that anybody is on: each who takes over begins one."""
        return max(map(self._timeline, self.said.values()), default=0)

    @staticmethod
    def _timeline(said: Mapping[str, Any]) -> int:
        timeline = said.get("timeline")
        return timeline if isinstance(timeline, int) else 0

    @property
    def in_sync(self) -> tuple[str, ...]:
        """Return who has all that is acknowledged, beside the primary."""
        return tuple(
            name
            for name, one in self.said.items()
            if one.get("sync_standby") and one.get("state") in ("running", "streaming")
        )

    def in_words(self) -> str:
        """Return it as a part of a sentence."""
        told = [
            f"{name} {one.get('role')}{' in sync' if one.get('sync_standby') else ''} ({one.get('state')})"
            for name, one in sorted(self.said.items())
        ]
        return foreign(", ".join(told)) or "no database answers"


def database_situation(members: DatabaseMembers) -> DatabaseSituation:
    """Ask all of them, side by side."""
    with ThreadPoolExecutor(len(members.databases)) as asking:
        answers = list(asking.map(_asked, members.databases.values()))
    said = {name: answer for name, answer in zip(members.databases, answers, strict=True) if answer}
    return DatabaseSituation(said=said)


def _asked(place: DatabasePlace) -> dict[str, Any] | None:
    _, text = asked_http(place.rest, "GET", "/patroni", seconds=_ANSWER_S)
    try:
        said = json.loads(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def switch_database_over(members: DatabaseMembers, primary: str) -> str:
    """Have the primary hand over to the other, as `patronictl switchover` does; return what came of it."""
    _, said = asked_http(
        members.databases[primary].rest,
        "POST",
        "/switchover",
        seconds=_SWITCHOVER_S,
        body=json.dumps({"leader": primary}),
        headers={"Content-Type": "application/json", **login("operator", members.passwords.rest)},
    )
    return foreign(said.strip())[:200]
