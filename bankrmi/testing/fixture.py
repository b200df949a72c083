"""The pytest fixture `cluster`: `from bankrmi.testing import cluster` in a test's module, or in conftest.py.

def test_nothing_is_lost(cluster):
    service = cluster(Inventory)
    ...
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from bankrmi.service.declaring import Service
from bankrmi.testing.running import DEADLINE_S, ServiceCluster

__all__ = ["StartCluster", "cluster"]

_ServiceT = TypeVar("_ServiceT", bound=Service)


class StartCluster(Protocol):
    """Starts a cluster that ends with the test."""

    def __call__(
        self,
        service: type[_ServiceT] | Mapping[str, type[_ServiceT]],
        *,
        servers: int = 2,
        deadline: float = DEADLINE_S,
        **settings: object,
    ) -> ServiceCluster[_ServiceT]:
        """Start a name server and `servers` servers; return when all copies are in sync."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StartCluster]:
    """Run services on real processes; all of them end with the test."""
    started: list[ServiceCluster[Any]] = []
    with ExitStack() as open_clusters:

        def start(
            service: type[_ServiceT] | Mapping[str, type[_ServiceT]],
            *,
            servers: int = 2,
            deadline: float = DEADLINE_S,
            **settings: object,
        ) -> ServiceCluster[_ServiceT]:
            directory = tmp_path / f"service-{len(started) + 1}"
            made = ServiceCluster(
                service, servers=servers, directory=directory, deadline=deadline, **settings
            )
            started.append(open_clusters.enter_context(made))
            return made

        yield start
        for one in started:
            sys.stderr.write(one.logs())  # Which pytest shows if the test has failed.
