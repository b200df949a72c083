"""Which versions of what is replicated a server's code knows: of classes that were changed, old and new (S5,
S6).

A *version* is of the state, so it is the same at an action id in all copies. What is replicated begins with
one, and a migration, which is a record, makes the next one of it. Code runs some versions, and can migrate
from some. Where several services are in one pair (S8), each has a version; that of one which is not there yet
is 0, and to create it is the migration from there.

Rule 1: nothing here is agreed on: each server states what its code knows, and the primary goes by that.
Rule 2: what a stranger states is small whole numbers and short texts, and few of them, or it is version 1 of
        everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = [
    "MIGRATIONS",
    "VERSION_1",
    "CodeVersions",
    "DoneMigration",
    "SeveralVersions",
    "StateVersion",
    "migration_of",
    "migration_session",
    "state_version_of",
    "stated_state",
    "version_in_words",
    "version_of",
    "with_version",
]

MIGRATIONS = "~version-"
"""What the sessions of migrations begin with, which no client can name; the service, if it is not the first
one, and the version that comes of it follow."""

_SESSION = re.compile(re.escape(MIGRATIONS) + r"(?:([A-Za-z0-9_-]{1,64})-)?([1-9][0-9]{0,5})")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AT_MOST = 999_999
_DIGEST_AT_MOST = 64
_BESIDE_AT_MOST = 64


class SeveralVersions(NamedTuple):
    """The versions of several services: of the first one, and of those beside it that are there, by name."""

    home: int
    beside: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return version_in_words(self)


StateVersion = int | SeveralVersions
"""Of the state of one service; or of several."""


def version_of(version: StateVersion, service: str) -> int:
    """Return the version of one service; "" is the first one. 0: it is not there."""
    if isinstance(version, int):
        return 0 if service else version
    return dict(version.beside).get(service, 0) if service else version.home


def with_version(version: StateVersion, service: str, new: int) -> StateVersion:
    """Return the versions, where that of one service is another one."""
    home, beside = (version, ()) if isinstance(version, int) else version
    if not service:
        home = new
    else:
        others = {**dict(beside), service: new}
        beside = tuple(sorted((name, one) for name, one in others.items() if one))
    return SeveralVersions(home, beside) if beside else home


def version_in_words(version: StateVersion) -> str:
    """Return it as people can read it."""
    if isinstance(version, int):
        return str(version)
    return ", ".join([str(version.home), *(f"of {name} {one}" for name, one in version.beside)])


class DoneMigration(NamedTuple):
    """A migration that is in a journal: which version of which service it has made; "" is the first one."""

    action_id: int
    service: str
    target: int


class CodeVersions(NamedTuple):
    """What one server's code knows: of the service that is alone, or the first one; and of those beside it.

    Of a service it does not know, it knows one thing: how to do without.
    """

    oldest: int = 1
    newest: int = 1
    migrates_from: int = 1
    """The oldest version from which it can migrate to its newest."""
    digest: str = ""
    """Tells the code of one version from other code that calls itself the same; empty: not known."""
    beside: tuple[tuple[str, CodeVersions], ...] = ()

    def of(self, service: str) -> CodeVersions | None:
        """Return what it knows of one service; None if that is nothing."""
        return dict(self.beside).get(service) if service else self

    def runs(self, version: StateVersion) -> bool:
        """Whether it can do what is asked of a state of this version."""
        return _runs_all(self, version)

    def migrates(self, version: StateVersion) -> bool:
        """Whether it can make a newer version of such a state."""
        return self.may_lead(version) and any(True for _ in self.steps(version))

    def may_lead(self, version: StateVersion) -> bool:
        """Whether whoever has this code can lead with such a state (S5)."""
        return _may_lead(self, version)

    def steps(self, version: StateVersion) -> Iterator[str]:
        """Yield the services that it can make a newer version of, the first one first."""
        return (service for service in self._named(version) if self._migrates(service, version))

    def makes(self, service: str, target: int, version: StateVersion) -> bool:
        """Whether it can do a migration of one service to this version, or create it so; to a version that
        the state has already, that does nothing, and is done by any code (S6)."""
        code, held = self.of(service), version_of(version, service)
        if held >= target:
            return True
        if code is None:
            return False
        if not service or held:
            return code.migrates_from < target <= code.newest
        return code.oldest <= target <= code.newest

    def _named(self, version: StateVersion) -> list[str]:
        held = () if isinstance(version, int) else version.beside
        return ["", *dict.fromkeys([*(name for name, _ in self.beside), *(name for name, _ in held)])]

    def _runs(self, service: str, version: StateVersion) -> bool:
        held, code = version_of(version, service), self.of(service)
        if service and not held:
            return True  # It is not there, and nothing is asked of it.
        return code is not None and code.oldest <= held <= code.newest

    def _migrates(self, service: str, version: StateVersion) -> bool:
        held, code = version_of(version, service), self.of(service)
        if code is None:
            return False
        return not held if service and not held else code.migrates_from <= held < code.newest

    @property
    def in_words(self) -> str:
        """Return its newest versions, as people can read them."""
        return version_in_words(
            SeveralVersions(self.newest, tuple((name, code.newest) for name, code in self.beside))
            if self.beside
            else self.newest
        )

    def stated(self) -> dict[str, Any]:
        """Return it as a server states it."""
        stated = self._asdict()
        beside = stated.pop("beside")
        if beside:
            stated["beside"] = {name: code.stated() for name, code in beside}
        return stated

    @classmethod
    def of_stated(cls, form: object) -> CodeVersions:
        """Return what another server states; version 1 of everything if that is nothing of the kind."""
        one = _one_of_stated(form)
        if one is None:
            return cls()
        assert isinstance(form, Mapping)
        return one._replace(beside=tuple(sorted(_beside_of_stated(form.get("beside")))))


# Asked in every step, of the same few: a server's own code and state, and those of others.
@lru_cache(maxsize=128)
def _runs_all(code: CodeVersions, version: StateVersion) -> bool:
    return all(code._runs(service, version) for service in code._named(version))


@lru_cache(maxsize=128)
def _may_lead(code: CodeVersions, version: StateVersion) -> bool:
    return all(
        code._runs(service, version) or code._migrates(service, version) for service in code._named(version)
    )


def _one_of_stated(form: object) -> CodeVersions | None:
    if not isinstance(form, Mapping):
        return None
    versions: list[Any] = [form.get(name) for name in ("oldest", "newest", "migrates_from")]
    if not all(type(version) is int and 1 <= version <= _AT_MOST for version in versions):
        return None
    digest: Any = form.get("digest")
    is_short = type(digest) is str and len(digest) <= _DIGEST_AT_MOST
    oldest, newest, migrates_from = versions
    return CodeVersions(oldest, newest, migrates_from, digest if is_short else "")


def _beside_of_stated(form: object) -> Iterator[tuple[str, CodeVersions]]:
    if not isinstance(form, Mapping) or len(form) > _BESIDE_AT_MOST:
        return
    for name, stated in form.items():
        code = _one_of_stated(stated)
        if code is not None and _is_name(name):
            yield name, code


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


VERSION_1 = CodeVersions()
"""Of what never was of another version."""


def stated_state(version: StateVersion) -> dict[str, Any]:
    """Return the version of a state as a server states it, beside what its code knows."""
    if isinstance(version, int):
        return {"state": version}
    return {"state": version.home, "states_beside": dict(version.beside)}


def state_version_of(form: object) -> StateVersion:
    """Return the version of a state that another server states; 1 if that is nothing of the kind."""
    if not isinstance(form, Mapping):
        return 1
    home, beside = form.get("state"), form.get("states_beside")
    version: StateVersion = home if type(home) is int and 1 <= home <= _AT_MOST else 1
    if isinstance(beside, Mapping) and len(beside) <= _BESIDE_AT_MOST:
        for name, one in beside.items():
            if _is_name(name) and type(one) is int and 1 <= one <= _AT_MOST:
                version = with_version(version, name, one)
    return version


def migration_session(target: int, service: str = "") -> str:
    """Return the session of the requests that make this version."""
    return f"{MIGRATIONS}{service}-{target}" if service else f"{MIGRATIONS}{target}"


def migration_of(session: str) -> tuple[str, int] | None:
    """Return the service ("": the first one), and the version that a request of this session makes; None if
    it is no migration."""
    found = _SESSION.fullmatch(session)
    return None if found is None else (found[1] or "", int(found[2]))
