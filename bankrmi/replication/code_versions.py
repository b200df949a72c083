"""Which versions of what is replicated a server's code knows: of a class that was changed, old and new (S5,
S6).

A *version* is of the state, so it is the same at an action id in all copies. What is replicated begins with
one, and a migration, which is a record, makes the next one of it. Code runs some versions, and can migrate
from some.

Rule 1: nothing here is agreed on: each server states what its code knows, and the primary goes by that.
Rule 2: what a stranger states is three small whole numbers and a short text, or it is version 1 of
        everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["MIGRATIONS", "VERSION_1", "CodeVersions", "migration_session", "migration_target"]

MIGRATIONS = "~version-"
"""What the sessions of migrations begin with, which no client can name; the version that comes of it
follows."""

_SESSION = re.compile(re.escape(MIGRATIONS) + r"([1-9][0-9]{0,5})")
_AT_MOST = 999_999
_DIGEST_AT_MOST = 64


class CodeVersions(NamedTuple):
    """What one server's code knows."""

    oldest: int = 1
    newest: int = 1
    migrates_from: int = 1
    """The oldest version from which it can migrate to its newest."""
    digest: str = ""
    """Tells the code of one version from other code that calls itself the same; empty: not known."""

    def runs(self, version: int) -> bool:
        """Whether it can do what is asked of a state of this version."""
        return self.oldest <= version <= self.newest

    def migrates(self, version: int) -> bool:
        """Whether it can make a newer version of such a state."""
        return self.migrates_from <= version < self.newest

    def may_lead(self, version: int) -> bool:
        """Whether whoever has this code can lead with such a state (S5)."""
        return self.runs(version) or self.migrates(version)

    def stated(self) -> dict[str, Any]:
        """Return it as a server states it."""
        return self._asdict()

    @classmethod
    def of_stated(cls, form: object) -> CodeVersions:
        """Return what another server states; version 1 of everything if that is nothing of the kind."""
        if not isinstance(form, Mapping):
            return cls()
        versions: list[Any] = [form.get(name) for name in ("oldest", "newest", "migrates_from")]
        if not all(type(version) is int and 1 <= version <= _AT_MOST for version in versions):
            return cls()
        digest: Any = form.get("digest")
        is_short = type(digest) is str and len(digest) <= _DIGEST_AT_MOST
        oldest, newest, migrates_from = versions
        return cls(oldest, newest, migrates_from, digest if is_short else "")


VERSION_1 = CodeVersions()
"""Of what never was of another version."""


def migration_session(target: int) -> str:
    """Return the session of the requests that make this version."""
    return f"{MIGRATIONS}{target}"


def migration_target(session: str) -> int | None:
    """Return the version that a request of this session makes; None if it is no migration."""
    found = _SESSION.fullmatch(session)
    return None if found is None else int(found[1])
