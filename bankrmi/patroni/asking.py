"""What the members of the database say of themselves, asked of Patroni beside each.

Rule: every question has a deadline, and an answer a bound; who does not answer is left out.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bankrmi.foreign_text import foreign
from bankrmi.patroni.members import DatabaseMembers, DatabasePlace

__all__ = ["DatabaseSituation", "database_situation", "switch_database_over"]

_ANSWER_S = 1.5
_SWITCHOVER_S = 15.0
_BYTES = 1 << 16
_PRIMARY = ("master", "primary")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSituation:
    """What each member said of itself; those that did not answer are missing."""

    said: Mapping[str, Mapping[str, Any]]

    @property
    def primary(self) -> str | None:
        """Return who takes changes, as he says himself; of two, who is on the newer timeline."""
        leads = [
            (int(one.get("timeline") or 0), name)
            for name, one in self.said.items()
            if one.get("role") in _PRIMARY and one.get("state") == "running"
        ]
        return max(leads)[1] if leads else None

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
    try:
        with urllib.request.urlopen(f"http://{place.rest}/patroni", timeout=_ANSWER_S) as answer:
            said = json.loads(answer.read(_BYTES))
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return said if isinstance(said, dict) else None


def switch_database_over(members: DatabaseMembers, primary: str) -> str:
    """Have the primary hand over to the other, as `patronictl switchover` does; return what came of it."""
    place = members.databases[primary]
    login = base64.b64encode(f"operator:{members.passwords.rest}".encode()).decode()
    request = urllib.request.Request(
        f"http://{place.rest}/switchover",
        json.dumps({"leader": primary}).encode(),
        {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_SWITCHOVER_S) as answer:
            said = answer.read(_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as refused:
        said = refused.read(_BYTES).decode(errors="replace")
    except (OSError, ValueError) as error:
        said = f"no answer: {error}"
    return foreign(said.strip())[:200]
