"""Two or three classes that are made up from a seed, served by one pair, which call each other; each has
versions of its own, and one may come later than the others.

Each calls the next one, the last one the first. What it calls may be gone there, or not there yet, or come
with the next version: that raises, and some methods catch it.

Rule 1: as of a pair (`made_up_pair`), an inner call that raises has changed nothing, caught or not.
Rule 2: what a call finds in another service is what that has in the version of the state, whatever the code
        of servers knows.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.services.made_up import MadeUpModel
from bankrmi.robustness.services.made_up_versions import (
    MadeUpVersion,
    calls_of_versions,
    models_of_versions,
    releases_of_versions,
    versions_of,
)
from bankrmi.robustness.services.releases import releases_of_services
from bankrmi.service.declaring import Service
from bankrmi.service.served_services import HOME, ServedServices
from bankrmi.service.using import Uses

__all__ = ["made_up_several", "made_up_several_calls", "made_up_several_model"]

_NAMES = ("first", "second", "third")
_THREE = 0.35
_LATER = 0.4
"""Of these worlds, in how many the last service comes later."""
_BARE = 0.15
_WEIGHTS = {2: (25, 55, 20), 3: (45, 45, 10)}
"""Of one version, two, or three; by how many services there are."""


class _Cast:
    """The services of a seed: their names, who calls whom, and their versions."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(f"services of seed {seed}")
        count = 3 if chance.random() < _THREE else 2
        self.names = _NAMES[:count]
        self.called = dict(zip(self.names, [*self.names[1:], self.names[0]], strict=True))
        self.later = [self.names[-1]] if chance.random() < _LATER else []
        self.versions = {name: self._versions(f"{seed} {name}", name, _WEIGHTS[count]) for name in self.names}
        if not self.later and all(len(versions) == 1 for versions in self.versions.values()):
            name = chance.choice(self.names)
            self.versions[name] = self._versions(f"{seed} {name}", name, (0, 1, 0))

    def _versions(self, seed: str, name: str, weights: Sequence[int]) -> list[MadeUpVersion]:
        return versions_of(seed, weights, first_calls=self.calls(name, 1), others_call=True)

    def calls(self, name: str, version: int) -> bool:
        """Whether the class of a service calls another one in a version: one that comes later is not there
        for the first versions."""
        return version > 1 or self.called[name] not in self.later

    def in_journal(self, name: str) -> str:
        """Return the name of a service before its methods."""
        return HOME if name == self.names[0] else name


def made_up_several(seed: int) -> list[ServedServices]:
    """Return what servers are given, one after the other: the last one knows all versions of all services."""
    cast = _Cast(seed)
    bases: dict[str, type[Service]] = {
        name: type(f"MadeUp{seed}{name.title()}", (Service,), {}) for name in cast.names
    }

    def uses(name: str, version: int) -> Mapping[str, Uses[Any]]:
        return {"other": Uses(bases[cast.called[name]])} if cast.calls(name, version) else {}

    chance = random.Random(f"releases of services of seed {seed}")
    releases = {
        cast.in_journal(name): releases_of_versions(
            versions, bases[name], chance, bare=_BARE, uses=partial(uses, name)
        )
        for name, versions in cast.versions.items()
    }
    home, *beside = cast.names
    newest = ServedServices(releases[HOME][-1], {name: releases[name][-1] for name in beside}, home)
    return releases_of_services(newest, releases, chance, later=cast.later)


def made_up_several_calls(seed: int) -> CallScript:
    """Return a workload for all of them, in whichever of their versions a client has them."""
    calls = {name: calls_of_versions(versions) for name, versions in _Cast(seed).versions.items()}

    def workload(chance: random.Random, services: Any) -> Any:
        name = chance.choice(list(calls))
        return calls[name](chance, getattr(services, name))

    return workload


class _MadeUpServices:
    """The services of a seed, on dicts."""

    kinds: Mapping[str, type[MadeUpModel]]
    called: Mapping[str, str]

    def __init__(self) -> None:
        self.path: list[str] = []
        for name, kind in self.kinds.items():
            part = kind()
            part.calls_other = _Calls(self, name, self.called[name])
            setattr(self, name, part)

    def parts(self) -> list[MadeUpModel]:
        """Return those that are there."""
        return [part for name in self.kinds if (part := vars(self).get(name)) is not None]


def made_up_several_model(seed: int) -> type:
    """Return the model of the newest versions; the ones before are its `previous`, one after the other."""
    cast = _Cast(seed)
    models = {name: models_of_versions(versions) for name, versions in cast.versions.items()}
    made: type | None = None
    for back in reversed(range(max(map(len, models.values())))):
        kinds = {name: each[max(0, len(each) - 1 - back)] for name, each in models.items()}
        content = {"kinds": kinds, "called": cast.called, "previous": made}
        made = type("MadeUpServices", (_MadeUpServices,), content)
    assert made is not None
    return made


class _Calls:
    """How one of them calls the next one: copied with them."""

    def __init__(self, services: _MadeUpServices, caller: str, called: str) -> None:
        self._services = services
        self._caller = caller
        self._called = called

    def __call__(self, program: int, name: str, number: int) -> None:
        services, path = self._services, self._services.path
        other: MadeUpModel = getattr(services, self._called)
        method = getattr(other, f"update_{program}")
        if self._called in path or self._called == self._caller:
            raise RuntimeError("a call of it goes on")
        services.path = [*(path or [self._caller]), self._called]
        before = [(part, part.state()) for part in services.parts()]
        try:
            method(name, number)
        except Exception:
            for part, state in before:
                part.put_back(state)
            raise
        finally:
            services.path = path
