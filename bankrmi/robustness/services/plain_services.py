"""A plain model of several services: one object, which has an object for each under its name.

    class PlainShop1:
        def __init__(self):
            self.stock = PlainStock1()
            self.orders = PlainOrders(self.stock)

    class PlainShop:
        previous = PlainShop1

        def __init__(self):
            self.stock = PlainStock()  # It has a migrate_1_to_2.
            self.orders = PlainOrders(self.stock)

Rule 1: a model of services in several versions names the one before as `previous`: where that has an object
        of another class, it stands for the version before; else for the same one.
Rule 2: where a service is migrated its object becomes one of the next class, and stays itself: whatever other
        object knows it, calls the newer one from then on.
Rule 3: an object of a service that comes later is made with the others; until that is there the model has no
        such attribute.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.replication.code_versions import StateVersion, version_of, with_version
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.plain_objects import (
    ModelMaker,
    PlainModel,
    came_of_migration,
    name_of,
    set_moment,
    unmakeable,
)
from bankrmi.service.declaring import Given, migration_name
from bankrmi.service.served_services import ServedServices, plain_name

__all__ = ["PlainModelOfSeveral", "models_of"]

_MODELS_AT_MOST = 1000
_LATER = "later "
"""No name of an attribute: before the name of a service that comes later."""


@dataclass(frozen=True, slots=True)
class ModelOfServices:
    """What makes a model, of which versions it is, and the classes of its objects, by the services."""

    make: ModelMaker
    version: StateVersion
    kinds: dict[str, type]


def models_of(services: ServedServices, model: ModelMaker) -> list[ModelOfServices]:
    """Return the model in all versions that it and the classes know, the newest first.

    Raises ConfigurationError if it cannot be made.
    """
    version = services.opening_version
    found = [ModelOfServices(model, version, _kinds_in(services, model))]
    made: Any = getattr(model, "previous", None)
    while made is not None and len(found) < _MODELS_AT_MOST:
        kinds = _kinds_in(services, made)
        for name, one in services.each():
            newer = found[-1].kinds.get(name)
            if kinds.get(name) is newer:
                continue
            version = with_version(version, name, version_of(version, name) - 1)
            if name not in kinds or version_of(version, name) not in one.of_version:
                return found
            _check_change(kinds[name], newer)
        found.append(ModelOfServices(made, version, kinds))
        made = getattr(made, "previous", None)
    return found


def _kinds_in(services: ServedServices, make: ModelMaker) -> dict[str, type]:
    try:
        made = make()
    except Exception as error:
        raise unmakeable(make, error) from error
    parts = {name: getattr(made, services.called(name), None) for name, _ in services.each()}
    return {name: type(part) for name, part in parts.items() if part is not None}


def _check_change(older: type, newer: type | None) -> None:
    """Raise ConfigurationError if an object of the one class cannot become one of the other."""
    try:
        probe: Any = object.__new__(older)
        probe.__class__ = newer
    except TypeError as error:
        raise ConfigurationError(
            f"an object of {older.__qualname__} cannot become one of {name_of(newer)}, as a model does "
            f"where its service is migrated: {error}"
        ) from None


class PlainModelOfSeveral(PlainModel):
    """The objects that stand for several services, which may call each other."""

    def __init__(self, services: ServedServices, model: ModelMaker, version: StateVersion) -> None:
        """`version`: at the beginning; 0 of a service that comes later.

        Raises ConfigurationError if there is no model for that.
        """
        self._services = services
        self._of: dict[str, dict[int, type]] = {name: {} for name, _ in services.each()}
        make: ModelMaker | None = None
        held = {name: version_of(version, name) for name, _ in services.each()}
        for known in models_of(services, model):
            for name, kind in known.kinds.items():
                self._of[name][version_of(known.version, name)] = kind
            if all(one in (0, version_of(known.version, name)) for name, one in held.items()):
                make = known.make
        if make is None:
            raise ConfigurationError(
                f"{name_of(model)} knows nothing of version {version}: name the model of the versions before "
                "as its `previous`"
            )
        self._object = make()
        for name, one in held.items():
            if not one:
                vars(self._object)[_LATER + name] = vars(self._object).pop(services.called(name))

    def has(self, name: str, version: int) -> bool:
        """Whether there is such a method, of a service in a version."""
        service, plain = plain_name(name)
        kind = self._of[service].get(version)
        own = self._part(service)
        return callable(getattr(own if type(own) is kind else kind, plain, None))

    def _part(self, service: str) -> Any:
        return getattr(self._object, self._services.called(service), None)

    def migrate(self, service: str, target: int, given: Given) -> CallOutcome:
        """Have the object of a service become one of the next version."""
        before = copy.deepcopy(self._object)
        part = self._part(service)
        part.__class__ = self._of[service][target]
        self._set_moment(given)
        came = came_of_migration(getattr(part, migration_name(target)))
        if came.raised:
            self._object = before
        return came

    def create(self, service: str, target: int) -> CallOutcome:
        """Have a service that comes later be there."""
        part = vars(self._object).pop(_LATER + service)
        part.__class__ = self._of[service][target]
        setattr(self._object, self._services.called(service), part)
        return CallOutcome.returned(None)

    def _set_moment(self, given: Given) -> None:
        set_moment([self._object, *(self._part(name) for name, _ in self._services.each())], given)

    def _found(self, name: str) -> Any:
        service, plain = plain_name(name)
        return getattr(self._part(service), plain, None)
