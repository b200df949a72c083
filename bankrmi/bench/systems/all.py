"""The table of systems."""

from __future__ import annotations

from bankrmi.bench.systems.etcd import Etcd
from bankrmi.bench.systems.floor import Floor
from bankrmi.bench.systems.ours import Ours, OursOfFive, OursOfThree, OursOverTls
from bankrmi.bench.systems.postgresql import PostgreSql
from bankrmi.bench.systems.pyro5 import StockPyro5
from bankrmi.bench.systems.pysyncobj import PySyncObj
from bankrmi.bench.systems.redis import Redis
from bankrmi.bench.systems.system import System

__all__ = ["PEERS", "Ours"]

PEERS: dict[str, type[System]] = {
    system.name: system
    for system in (
        PostgreSql,
        Redis,
        Etcd,
        PySyncObj,
        StockPyro5,
        Floor,
        OursOverTls,
        OursOfThree,
        OursOfFive,
    )
}
"""What ours can be compared to, by the name on the command line."""
