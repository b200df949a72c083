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
from bankrmi.replication.code_versions import version_of
from bankrmi.robustness.services.known_versions import versions_from
from bankrmi.robustness.services.plain_objects import ModelMaker, kinds_of
from bankrmi.robustness.services.plain_services import models_of
from bankrmi.service.declaring import Description
from bankrmi.service.served_services import HOME, ServedServices
from bankrmi.service.using import Uses

__all__ = ["oldest_of_model", "releases_of", "releases_of_services"]

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


def releases_of(
    description: Description | ServedServices, model: ModelMaker | None, seed: int
) -> Sequence[Description | ServedServices]:
    """Return what servers are given, the oldest first: all versions that the classes name, and that the model
    knows. Of several services the order is drawn from the seed."""
    oldest = oldest_of_model(description, model)
    if isinstance(description, Description):
        return versions_from(description, oldest.get(HOME, 1))
    versions = {name: versions_from(one, oldest.get(name, 1)) for name, one in description.each()}
    return releases_of_services(description, versions, random.Random(f"releases of seed {seed}"))


def oldest_of_model(description: Description | ServedServices, model: ModelMaker | None) -> Mapping[str, int]:
    """Return the oldest versions that a model knows, by services; nothing where the classes are the model."""
    if model is None:
        return {}
    if isinstance(description, Description):
        return {HOME: min(kinds_of(model, description.version))}
    oldest = models_of(description, model)[-1].version
    return {name: version_of(oldest, name) for name, _ in description.each()}


def releases_of_services(
    newest: ServedServices,
    releases: Mapping[str, Sequence[Description]],
    chance: random.Random,
    *,
    later: Collection[str] = (),
    as_they_are: bool = False,
) -> list[ServedServices]:
    """Return releases of several services; `releases` are those of each, the oldest first.

    `later` are services beside the first that no server has at first. `as_they_are`: classes are used by the
    classes that they name, whatever a module of that name had before.
    """
    order = _Order(newest, releases, chance, as_they_are=as_they_are)
    at = {name: -1 if name in later else 0 for name in releases}
    if not order.can_start(at):
        at = dict.fromkeys(releases, 0)
    if not order.can_start(at):
        at = order.next(at)
    made = [order.release(at)]
    while any(at[name] < len(each) - 1 for name, each in releases.items()):
        at = order.next(at)
        made.append(order.release(at))
    return [newest] if len(made) == 1 else made


class _Order:
    """Who gets the next version when: a release is, of each service, a place in its own ones."""

    def __init__(
        self,
        newest: ServedServices,
        releases: Mapping[str, Sequence[Description]],
        chance: random.Random,
        *,
        as_they_are: bool,
    ) -> None:
        self._newest = newest
        self._releases = releases
        self._chance = chance
        self._as_they_are = as_they_are

    def next(self, at: Mapping[str, int]) -> dict[str, int]:
        """Draw the services that have something new in the next release."""
        chance = self._chance
        behind = [name for name, each in self._releases.items() if at[name] < len(each) - 1]
        chance.shuffle(behind)
        fewest = min(len(behind), 2 if chance.random() < _TOGETHER else 1)
        sizes = [*range(fewest, len(behind) + 1), *range(1, fewest)]
        for names in (names for size in sizes for names in combinations(behind, size)):
            ahead = {**at, **{name: at[name] + 1 for name in names}}
            if self.can_start(ahead):
                return ahead
        return {name: len(each) - 1 for name, each in self._releases.items()}

    def release(self, at: Mapping[str, int]) -> ServedServices:
        """Return the services of a release."""
        has = {name: each[at[name]] for name, each in self._releases.items() if at[name] >= 0}
        home, newest = has.pop(HOME), self._newest
        if self._as_they_are:
            return ServedServices(home, has, newest.home_name)
        return _ReleasedServices(home, has, newest.home_name, newest)

    def can_start(self, at: Mapping[str, int]) -> bool:
        """Whether a server with this release starts."""
        try:
            self.release(at).check_uses()
        except ConfigurationError:
            return False
        return True
