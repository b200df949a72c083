"""Which module a class is in, so that the processes of a service find it, too.

Rule: a class that another process cannot import is refused in a sentence, before anything is started.
"""

from __future__ import annotations

import os
import sys

from bankrmi.errors import ConfigurationError
from bankrmi.service.declaring import Service, described
from bankrmi.service.guard import check_names
from bankrmi.service.machine import ServiceMachine

__all__ = ["import_path", "served_as"]


def served_as(service: type[Service]) -> str:
    """Return a class as `serves` in a configuration says it; raises ConfigurationError."""
    description = described(service)
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
    ServiceMachine(description).try_class()
    return f"{module}:{name}"


def _can_be_imported(name: str) -> bool:
    """Whether a module or package is found by its name: one that was loaded from a file need not be."""
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    return any(find is not None and find(name, None) is not None for find in finders)


def import_path() -> str:
    """Return PYTHONPATH for processes that are to import what can be imported here."""
    return os.pathsep.join(dict.fromkeys(os.path.abspath(place) for place in sys.path))  # noqa: PTH100
