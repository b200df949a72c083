"""A bank whose processes show figures and health, and how a test reads them.

with watched_bank(tmp_path) as (cluster, watch):
    watch.figure("s1", "bankrmi_role", role="primary") == 1
    watch.ask("s1", "/ready").well
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.ports import own_addresses

__all__ = ["Answer", "Watch", "watched_bank"]

Series = tuple[str, frozenset[tuple[str, str]]]


class Answer(NamedTuple):
    """What a port answered."""

    status: int
    said: str

    @property
    def well(self) -> bool:
        assert self.status in (200, 503), self
        return self.status == 200


class Watch:
    """The ports of a bank's processes, by name."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.addresses = addresses

    def ask(self, name: str, path: str, method: str = "GET") -> Answer:
        """Ask a process that answers."""
        host, _, port = self.addresses[name].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def says(self, name: str, path: str) -> bool:
        """Whether a check of a process is well; not if it is not there."""
        try:
            return self.ask(name, path).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def figures(self, name: str) -> dict[Series, float]:
        """Return all that a process shows."""
        status, page = self.ask(name, "/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def figure(self, name: str, figure: str, **labels: str) -> float | None:
        """Return one figure; None if it is not shown."""
        return self.figures(name).get((figure, frozenset(labels.items())))


@contextmanager
def watched_bank(directory: Path, *, servers: int = 2, **settings: Any) -> Iterator[tuple[Cluster, Watch]]:
    """Lend a bank, not started yet, and its watch."""
    names = [NAMESERVER, *(f"s{number}" for number in range(1, servers + 1))]
    with own_addresses(len(names)) as free:
        addresses = dict(zip(names, free, strict=True))
        with Cluster(directory, servers=servers, metrics=addresses, **settings) as cluster:
            yield cluster, Watch(addresses)
