"""Which code servers are given, one release after the other: of one class its versions, of several services
one service's next version after the other's, in an order that is drawn.

Rule 1: a release is what a server could start with: whatever a class in it uses is in it, too.
Rule 2: the first one has every service in its oldest version; or lacks one that comes later. The last one has
        all that there is.
Rule 3: what a class uses is looked for by what the newest release has: before, a module of the same name had
        an older class.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.replication.code_versions import StateVersion, version_of, with_version
from bankrmi.robustness.services.plain_objects import ModelMaker
from bankrmi.robustness.services.plain_services import models_of
from bankrmi.service.declaring import Description
from bankrmi.service.served_services import HOME, ServedServices
from bankrmi.service.using import Uses

__all__ = ["opening_version", "releases_of", "releases_of_services", "versions_from"]

_TOGETHER = 0.25
"""Of the releases of several services, how many bring two of them a new version."""


@dataclass(frozen=True)
class _ReleasedServices(ServedServices):
    """Several services, as one release has them."""

    newest: ServedServices | None = None

    def used(self, user: Description, uses: Uses[Any]) -> str:
        assert self.newest is not None
        name = self.newest.used(user, uses)
        if self.find(name) is None:
            raise ConfigurationError(f"{user.name} uses {self.newest.called(name)}, which comes later")
        return name


def opening_version(release: Description | ServedServices) -> StateVersion:
    """Return the version of a state that servers with this code make."""
    version: StateVersion = 1
    for name, one in ServedServices.of(release).each():
        version = with_version(version, name, one.version)
    return version


def releases_of(
    description: Description | ServedServices, model: ModelMaker | None, seed: int
) -> Sequence[Description | ServedServices]:
    """Return what servers are given, the oldest first: all versions that the classes name, and that the model
    knows. Of several services the order is drawn from the seed."""
    if isinstance(description, ServedServices):
        oldest = None if model is None else models_of(description, model)[-1].version
        versions = {
            name: versions_from(one, 1 if oldest is None else version_of(oldest, name))
            for name, one in description.each()
        }
        return releases_of_services(description, versions, random.Random(f"releases of seed {seed}"))
    known = list(description.of_version.values())
    held: Any = description.kind if model is None else model
    count = 0
    while held is not None and count < len(known):
        held, count = getattr(held, "previous", None), count + 1
    return known[:count][::-1]


def versions_from(one: Description, version: int) -> list[Description]:
    """Return a class in all versions that are known, from one on, the oldest first."""
    return [known for held, known in one.of_version.items() if held >= version][::-1]


def releases_of_services(
    newest: ServedServices,
    releases: Mapping[str, Sequence[Description]],
    chance: random.Random,
    *,
    later: Collection[str] = (),
) -> list[ServedServices]:
    """Return releases of several services; `releases` are those of each, the oldest first.

    `later` are services beside the first that no server has at first.
    """
    at = {name: -1 if name in later else 0 for name in releases}
    if not _is_startable(_release(newest, releases, at)):
        at = dict.fromkeys(releases, 0)
    made = [_release(newest, releases, at)]
    while any(at[name] < len(each) - 1 for name, each in releases.items()):
        at = _next(newest, releases, at, chance)
        made.append(_release(newest, releases, at))
    if len(made) == 1:
        return [newest]
    return made


def _next(
    newest: ServedServices,
    releases: Mapping[str, Sequence[Description]],
    at: Mapping[str, int],
    chance: random.Random,
) -> dict[str, int]:
    """Draw the services that have something new in the next release."""
    behind = [name for name, each in releases.items() if at[name] < len(each) - 1]
    chance.shuffle(behind)
    fewest = min(len(behind), 2 if chance.random() < _TOGETHER else 1)
    sizes = [*range(fewest, len(behind) + 1), *range(1, fewest)]
    for names in (names for size in sizes for names in combinations(behind, size)):
        ahead = {**at, **{name: at[name] + 1 for name in names}}
        if _is_startable(_release(newest, releases, ahead)):
            return ahead
    return {name: len(each) - 1 for name, each in releases.items()}


def _release(
    newest: ServedServices, releases: Mapping[str, Sequence[Description]], at: Mapping[str, int]
) -> ServedServices:
    has = {name: each[at[name]] for name, each in releases.items() if at[name] >= 0}
    home = has.pop(HOME)
    return _ReleasedServices(home, has, newest.home_name, newest)


def _is_startable(release: ServedServices) -> bool:
    try:
        release.check_uses()
    except ConfigurationError:
        return False
    return True
