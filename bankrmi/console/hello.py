"""The first event: whose events these are, by the configuration."""

from __future__ import annotations

from typing import Literal

import bankrmi
from bankrmi.config import Configuration
from bankrmi.console.events import FORMAT, NAME_AT_MOST, HelloEvent

__all__ = ["hello_of"]


def hello_of(configuration: Configuration, *, told_by: Literal["console", "record"], t: float) -> HelloEvent:
    """Return what is told first of a bank, or of the services of a pair."""
    # The name of a module may be longer than what an event takes.
    services = {name: target[:NAME_AT_MOST] for name, target in configuration.services.items()}
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
