"""Gives the servers of a run newer code, one server after the other, as whoever has changed a class does.

Rule 1: what a server serves its own file says; a process goes by what that said when it started.
Rule 2: a release is on every server before the next one comes. Now and then one server gets the one before:
        by mistake.
Rule 3: after the rage every server has the last release.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["RollingOut", "releases_in_words"]

_GOES_BACK = 0.2


class RollingOut:
    """Which release is on which server."""

    def __init__(self, servers: Sequence[str], releases: Sequence[Mapping[str, str]], *, seed: int) -> None:
        """`releases` are the classes by the names of the services, the oldest first."""
        self._releases = releases
        self._chance = random.Random(f"rolling out/{seed}")
        self.installed = dict.fromkeys(servers, 0)

    @property
    def last(self) -> int:
        """The newest release."""
        return len(self._releases) - 1

    def next(self) -> tuple[int, list[str]]:
        """Draw which release comes next, and which servers get it, in which order; none: all have the last
        one."""
        chance, installed = self._chance, self.installed
        oldest, newest = min(installed.values()), max(installed.values())
        if oldest == self.last:
            return self.last, []
        if newest and chance.random() < _GOES_BACK:
            return newest - 1, [chance.choice(list(installed))]
        release = oldest + 1
        names = [name for name, held in installed.items() if held < release]
        chance.shuffle(names)
        return release, names

    def in_words(self, release: int) -> str:
        """Return what a release is, for a note of a fault."""
        classes = ", ".join(self._releases[release].values())
        return f"release {release + 1} of {len(self._releases)}: {classes}"


def releases_in_words(releases: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield what servers begin with, and what comes with each release after that."""
    before: Mapping[str, str] = {}
    for release in releases:
        yield ", ".join(target for name, target in release.items() if before.get(name) != target)
        before = release
