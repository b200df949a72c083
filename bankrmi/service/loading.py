"""The classes of services by their names: `inventory:Inventory`, of a module that stands beside the
configuration."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from bankrmi.config import Configuration
from bankrmi.config_settings import BANK
from bankrmi.errors import ConfigurationError
from bankrmi.service.declaring import Description, described
from bankrmi.service.guard import check_names
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.served_services import ServedServices

__all__ = ["load", "load_served", "load_services"]

_TARGET = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*):([A-Za-z_][A-Za-z0-9_]*)")


def load_services(named: Mapping[str, str], folder: Path) -> ServedServices:
    """Return what a pair serves, by name, the first one first; raises ConfigurationError, saying what is
    wrong where."""
    (home, target), *others = named.items()
    beside = {name: _loaded(other, folder) for name, other in others}
    services = ServedServices(_loaded(target, folder), beside, home_name=home)
    if services.served_alone is None:
        ServiceMachine(services).try_class()
    return services


def load_served(configuration: Configuration) -> ServedServices:
    """Return what servers with this configuration serve; where it says nothing of that, the bank."""
    named = configuration.services or {configuration.service: BANK}
    return load_services(named, configuration.path.parent)


def load(target: str, folder: Path) -> Description:
    """Return one class, looked for in `folder` first; raises ConfigurationError likewise."""
    description = _loaded(target, folder)
    ServiceMachine(description).try_class()
    return description


def _loaded(target: str, folder: Path) -> Description:
    found = _TARGET.fullmatch(target)
    if found is None:
        raise ConfigurationError(
            f"{target!r:.80} is not the name of a class: write module:Class, like inventory:Inventory"
        )
    module_name, class_name = found[1], found[2]
    place = str(folder.absolute())
    if place not in sys.path and not _is_ours(module_name):
        sys.path.insert(0, place)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"there is no module {module_name} in {place}, nor elsewhere on Python's path"
            ) from None
        raise ConfigurationError(f"{module_name} cannot be imported: {error}") from None
    except SyntaxError as error:
        raise ConfigurationError(
            f"{module_name} cannot be imported: {error.msg} in {error.filename}, line {error.lineno}"
        ) from None
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"{module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from None
    kind = getattr(module, class_name, None)
    if kind is None:
        raise ConfigurationError(f"there is no {class_name} in {module.__file__ or module_name}")
    check_names(module)
    description = described(kind)
    if _is_ours(description.kind.__module__) and not _is_ours(module_name):
        name = description.name
        raise ConfigurationError(f"{target} is bankrmi's own {name}: call it by its name, bankrmi:{name}")
    for one in description.of_version.values():
        check_names(sys.modules[one.kind.__module__])
    return description


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "bankrmi"
