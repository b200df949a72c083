"""All of a cluster: for those who do not play in it, but watch, harm, load or end it.

Rule: whoever is handed this stands above the players; no player knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bankrmi.robustness.simulator.client import SimulatedClient
from bankrmi.robustness.simulator.cluster import Cluster
from bankrmi.robustness.simulator.exporting import Exporter
from bankrmi.robustness.simulator.operator import Operator
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.stock_client import StockClient

__all__ = ["WholeCluster"]


class WholeCluster(Cluster, Protocol):
    """The cluster, with its players as they are."""

    @property
    def servers(self) -> Mapping[str, SimulatedServer]:
        """All of them, by name."""

    @property
    def clients(self) -> Sequence[SimulatedClient]:
        """All of ours."""

    @property
    def stock_clients(self) -> Sequence[StockClient]:
        """The stock proxies."""

    @property
    def exporter(self) -> Exporter:
        """Who exports all accounts now and then."""

    @property
    def operator(self) -> Operator:
        """Who restores the view."""

    @property
    def parties(self) -> Sequence[str]:
        """Everybody who sends and gets messages."""

    @property
    def told_busy(self) -> int:
        """How often a caller was told that a server is busy."""
