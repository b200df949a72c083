"""The first event: whose events these are, by the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import bankrmi
from bankrmi.config import Configuration
from bankrmi.console.events import FORMAT, NAME_AT_MOST, HelloEvent

__all__ = ["hello_of", "told_services"]


def hello_of(configuration: Configuration, *, told_by: Literal["console", "record"], t: float) -> HelloEvent:
    """Return what is told first of a bank, or of the services of a pair."""
    services = told_services(configuration.services)
    return HelloEvent(
        t=t,
        format=FORMAT,
        version=bankrmi.__version__,
        service=configuration.service,
        servers=dict(configuration.servers),
        serves=next(iter(services.values()), None),
        services=services,
        keeper="witness" if configuration.etcd is None else "etcd",
        told_by=told_by,
    )


def told_services(services: Mapping[str, str]) -> dict[str, str]:
    """Return classes by their services as an event takes them: the name of a module may be longer."""
    return {name: target[:NAME_AT_MOST] for name, target in services.items()}
