"""The releases of a user's classes as files name them: what real servers serve, one release after the other.

Rule 1: an older class is served by its own name, as `inventory_1:Inventory` before `inventory:Inventory`. So
        it has a name in a module, and that is the one of the newest class: servers that serve classes of two
        names are of two banks.
Rule 2: a release is one that servers start with, each class as it is.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping

from bankrmi.robustness.services.known_versions import versions_from
from bankrmi.robustness.services.plain_objects import ModelMaker
from bankrmi.robustness.services.releases import oldest_of_model, releases_of_services
from bankrmi.service.declaring import Description
from bankrmi.service.served_services import ServedServices

__all__ = ["named_releases", "why_not_older"]


def named_releases(
    targets: Mapping[str, str],
    description: Description | ServedServices,
    model: ModelMaker | None,
    seed: int,
) -> list[dict[str, str]]:
    """Return what servers serve, by the names of the services, the oldest release first; the last one is
    `targets`. The order in which services get their versions is drawn from the seed."""
    services = ServedServices.of(description)
    oldest = oldest_of_model(description, model)
    versions, named = {}, dict[type, str]()
    for (name, one), target in zip(services.each(), targets.values(), strict=True):
        versions[name] = [*_nameable(one, oldest.get(name, 1), target)]
        for known in versions[name]:
            named[known.kind] = f"{known.kind.__module__}:{_attribute(target)}"
        named[one.kind] = target
    chance = random.Random(f"releases of seed {seed}")
    releases = releases_of_services(services, versions, chance, as_they_are=True)
    return [
        dict(zip(targets, (named[one.kind] for _, one in release.each()), strict=True))
        for release in releases
    ]


def why_not_older(targets: Mapping[str, str], description: Description | ServedServices) -> list[str]:
    """Return which classes no server serves as they were, though the newest one names them, and why."""
    services, found = ServedServices.of(description), []
    for (_, one), target in zip(services.each(), targets.values(), strict=True):
        served = [*_nameable(one, 1, target)]
        before = served[0].previous
        if before is not None:
            wanted = f"{before.kind.__module__}:{_attribute(target)}"
            found.append(
                f"{one.name} is served from version {served[0].version} on: the class before is no {wanted}, "
                "and servers that serve classes of two names are of two banks"
            )
    return found


def _nameable(one: Description, oldest: int, target: str) -> Iterator[Description]:
    """Yield a class in the versions that can be served by a name, the oldest first: up to the newest without
    a gap."""
    known = versions_from(one, oldest)
    cannot = [at for at, older in enumerate(known[:-1]) if not _has_name(older, one, target)]
    yield from known[cannot[-1] + 1 if cannot else 0 :]


def _has_name(older: Description, newest: Description, target: str) -> bool:
    module = sys.modules.get(older.kind.__module__)
    return older.name == newest.name and getattr(module, _attribute(target), None) is older.kind


def _attribute(target: str) -> str:
    return target.partition(":")[2]
