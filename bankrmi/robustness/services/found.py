"""A class, or the classes of one pair, with workload and model by the names that a command line has for them.

Rule: a name without a module is looked for in the module of the class, of several in that of the first. Where
      no workload is named, that is `workload` there; if there is none, any method is called with anything
      that its annotations allow.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.robustness.services.any_calls import any_calls
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.services.named_releases import named_releases, why_not_older
from bankrmi.robustness.services.plain_objects import ModelMaker
from bankrmi.robustness.services.simulated import ServiceWorkload
from bankrmi.service.declaring import Description
from bankrmi.service.loading import load, load_services
from bankrmi.service.served_services import ServedServices, plain_name

__all__ = ["FoundService", "found_model", "found_service", "loaded"]

_USUAL_NAME = "workload"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundService:
    """What is run, what clients do, and what it is held against."""

    services: Mapping[str, str]
    """The classes by the names of the services, the first one first."""
    folder: Path
    description: Description | ServedServices
    script: CallScript
    model: ModelMaker | None
    script_name: str
    """As it was found; nothing if calls are drawn."""

    def told_as(self, method: str) -> str:
        """Return how people call a method of the journal: of several services, with its service."""
        if isinstance(self.description, Description):
            return method
        service, plain = plain_name(method)
        return f"{self.description.called(service)}.{plain}"

    def releases(self, seed: int) -> list[dict[str, str]]:
        """Return what real servers serve, one release after the other, where classes name the ones before."""
        return named_releases(self.services, self.description, self.model, seed)

    def why_not_older(self) -> list[str]:
        """Return which of the classes no server serves as they were, and why."""
        return why_not_older(self.services, self.description)

    def world(self, seed: int) -> ServiceWorkload:
        """Return it as what is replicated in the simulated world of a seed."""
        return ServiceWorkload(self.description, self.script, self.model, seed)


def found_service(
    services: Mapping[str, str], folder: Path, workload: str | None = None, model: str | None = None
) -> FoundService:
    """Return them, by the names of the services; raises ConfigurationError if one is not there, or is not
    what it should be."""
    target = next(iter(services.values()))
    description = loaded(services, folder)
    module = target.partition(":")[0]
    name = _USUAL_NAME if workload is None else workload
    found = _look(module, name, "workload", must=workload is not None)
    made = found_model(target, model)
    script: CallScript = any_calls(description) if found is None else found
    ServiceByItself(description, made)
    return FoundService(
        services=dict(services),
        folder=folder.absolute(),
        description=description,
        script=script,
        model=made,
        script_name="" if found is None else name,
    )


def loaded(services: Mapping[str, str], folder: Path) -> Description | ServedServices:
    """Return the class, or those of several services; raises ConfigurationError."""
    if len(services) == 1:
        return load(next(iter(services.values())), folder)
    return load_services(services, folder)


def found_model(target: str, model: str | None) -> ModelMaker | None:
    """Return what a class is held against; None: itself.  Raises ConfigurationError if it is not there."""
    return None if model is None else _look(target.partition(":")[0], model, "model", must=True)


def _look(module: str, name: str, what: str, *, must: bool) -> Callable[..., Any] | None:
    """Return what has this name; None if there is nothing, and need not be."""
    place, _, attribute = name.rpartition(":")
    place = place or module
    try:
        found: Any = getattr(importlib.import_module(place), attribute, None)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"the {what} {name!r:.80} is not to be had: {place} cannot be imported "
            f"({type(error).__name__}: {error})"
        ) from None
    if found is None and not must:
        return None
    if not callable(found):
        file = getattr(sys.modules.get(place), "__file__", None) or place
        raise ConfigurationError(
            f"there is no {what} {attribute} in {file}: name a "
            f"{'function' if what == 'workload' else 'class'}, as NAME or MODULE:NAME"
        )
    made: Callable[..., Any] = found
    return made
