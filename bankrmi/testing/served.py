"""Which modules classes are in, so that the processes of a service find them, too.

Rule: a class that another process cannot import is refused in a sentence, before anything is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from bankrmi.errors import ConfigurationError
from bankrmi.service.declaring import Service, described
from bankrmi.service.guard import check_names
from bankrmi.service.served_services import ServedServices

__all__ = ["GivenServices", "import_path", "served_as", "services_of"]

GivenServices = type[Service] | Mapping[str, type[Service]]
"""A class; or several by the names of the services, the first one first."""


def services_of(given: GivenServices) -> ServedServices:
    """Return what a pair serves; raises ConfigurationError."""
    if isinstance(given, type):
        return ServedServices(described(given))
    if not given:
        raise ConfigurationError("no class is named: say {name: class, ...}")
    (home, kind), *others = given.items()
    beside = {name: described(other) for name, other in others}
    services = ServedServices(described(kind), beside, home)
    services.check_uses()
    return services


def served_as(service: type[Service]) -> str:
    """Return a class as `serves` in a configuration says it; raises ConfigurationError."""
    described(service)
    module, name = service.__module__, service.__qualname__
    if module == "__main__" or "." in name:
        where = "of the program itself" if module == "__main__" else "within a function or another class"
        raise ConfigurationError(
            f"{name} is {where}, and no other process could import it: put it in a module, at the top"
        )
    if not _can_be_imported(module.partition(".")[0]):
        raise ConfigurationError(
            f"{name} is in the module {module}, which no other process would find: put it where "
            f"`import {module}` works"
        )
    check_names(sys.modules[module])
    return f"{module}:{name}"


def _can_be_imported(name: str) -> bool:
    """Whether a module or package is found by its name: one that was loaded from a file need not be."""
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    return any(find is not None and find(name, None) is not None for find in finders)


def import_path() -> str:
    """Return PYTHONPATH for processes that are to import what can be imported here."""
    return os.pathsep.join(dict.fromkeys(os.path.abspath(place) for place in sys.path))  # noqa: PTH100
